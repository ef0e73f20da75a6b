#include "backends/cuda/host/kernel_name.hpp"

#include <gtest/gtest.h>

namespace deformer::cuda {
namespace {

/// As a driver told them.
TEST(KernelName, OursIsToldByItsNameAndTypes) {
  EXPECT_EQ(short_kernel_name("_ZN8deformer4cuda47_GLOBAL__N__0b9dcfd0_14_row_kernels_cu_8855be0411"
                              "norm_kernelINS0_4Bf16ELi6EEEvNS0_8NormArgsE"),
            "norm_kernel<Bf16, 6>");
  EXPECT_EQ(short_kernel_name("_ZN8deformer4cuda52_GLOBAL__N__553a0751_19_attention_kernel_cu_"
                              "b796433216attention_kernelINS0_4Bf16ELi64ELb0EEEvNS0_13Attention"
                              "ArgsE"),
            "attention_kernel<Bf16, 64, false>");
  EXPECT_EQ(short_kernel_name("_ZN8deformer4cuda12_GLOBAL__N_111norm_kernelINS0_4Bf16ELi6EEEvNS0_8"
                              "NormArgsE"),
            "norm_kernel<Bf16, 6>");
  EXPECT_EQ(short_kernel_name("_ZN8deformer4cuda5plainEPf"), "plain");
}

TEST(KernelName, ALibrarysKeepsWhoseItIs) {
  EXPECT_EQ(short_kernel_name("nvjet_sm90_tst_128x48_64x9_2x1_v_bz_bias_TNT"),
            "nvjet_sm90_tst_128x48_64x9_2x1_v_bz_bias_TNT");
  EXPECT_EQ(
      short_kernel_name("_ZN8cublasLt19splitKreduce_kernelILi32ELi16Eif13__nv_bfloat16fS1_Lb0E"
                        "fS1_S1_Lb1ELb1ELb0ELb0EEEvNS_18cublasSplitKParamsIT4_EEPKT2_PKT8_PT7_"
                        "PT3_PKS3_SG_"),
      "cublasLt::splitKreduce_kernel<32, 16, int, float, __nv_bfloat16, float, "
      "__nv_bfloat16, false, float, __nv_bfloat16, __nv_bfloat16, true, true, false, false>");
}

/// As cuobjdump names it in the module.
TEST(KernelName, OursMadeOfALibrarysPartsTellsItsTile) {
  EXPECT_EQ(
      short_kernel_name("_ZN7cutlass13device_kernelIN8deformer4cuda11TileProductINS2_8BiasOnto"
                        "ELi128ELi64ELi64ELi2ELi2ENS2_11CooperativeEE6KernelEEEvNT_6ParamsE"),
      "cutlass::device_kernel<deformer::cuda::TileProduct<deformer::cuda::BiasOnto, 128, 64, "
      "64, 2, 2, deformer::cuda::Cooperative>::Kernel>");
}

TEST(KernelName, WhatIsNoNameOfCppStaysAsItIs) {
  for (const char* name : {"", "copy", "fill", "_Z", "_Znonsense", "_start"}) {
    EXPECT_EQ(short_kernel_name(name), name);
  }
}

}  // namespace
}  // namespace deformer::cuda
