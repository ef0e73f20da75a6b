#pragma once
/// Names of kernels, as they stand in the machine code, for people.

#include <string>

namespace deformer::cuda {

/// Without return type and parameters, and of a kernel of ours also without where it stands:
///
///     _ZN8deformer4cuda...11norm_kernelINS0_4Bf16ELi6EEEvNS0_8NormArgsE
///         norm_kernel<Bf16, 6>
///     _ZN8cublasLt19splitKreduce_kernelILi32EEEvNS_18cublasSplitKParamsE
///         cublasLt::splitKreduce_kernel<32>
///     nvjet_sm90_tst_128x48_64x9_2x1_v_bz_bias_TNT
///         as it is
///
/// What is no mangled C++ name stays as it is.
std::string short_kernel_name(const std::string& name);

}  // namespace deformer::cuda
