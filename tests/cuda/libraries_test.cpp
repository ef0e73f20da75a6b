/// The libraries, as far as they go without a device: what is opened, how problems are described to
/// them, and what is said where something is missing.

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "backends/cuda/cudnn_attention.hpp"
#include "backends/cuda/cudnn_product.hpp"
#include "backends/cuda/device.hpp"
#include "backends/cuda/dynamic_library.hpp"
#include "backends/cuda/kernels/attention.cuh"
#include "backends/cuda/lt_library.hpp"
#include "backends/cuda/lt_matmul.hpp"
#include "backends/cuda/status.hpp"
#include "model/error.hpp"

namespace deformer::cuda {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

/// Of a description: sound, or not to be checked because the library is not there.
void expect_sound(const std::string& fault) {
  EXPECT_THAT(fault, AnyOf("", StartsWith("no cuDNN"), StartsWith("built without cuDNN")));
}

AttentionArgs attention(Element element, std::int64_t sequences, std::int64_t d_head,
                        bool uniform) {
  AttentionArgs args{};
  args.element = element;
  args.sequences = sequences;
  args.longest = 320;
  args.rows = sequences * args.longest;
  args.heads = 12;
  args.d_head = d_head;
  args.uniform = uniform;
  return args;
}

TEST(CudnnDescriptions, OfAttentionAreSoundForEveryDevice) {
  for (const int capability : {80, 90, 100}) {
    for (const Element element : {Element::bf16, Element::f16}) {
      for (const std::int64_t d_head : {32, 64, 128}) {
        for (const std::int64_t sequences : {1, 32}) {
          for (const bool uniform : {true, false}) {
            SCOPED_TRACE(testing::Message() << capability << " heads of " << d_head << " x"
                                            << sequences << (uniform ? " uniform" : " ragged"));
            expect_sound(CudnnAttention::check_description(
                attention(element, sequences, d_head, uniform), capability));
          }
        }
      }
    }
  }
}

TEST(CudnnDescriptions, OfAProductWithErfGeluAreSoundForEveryDevice) {
  for (const int capability : {80, 90, 100}) {
    for (const DType dtype : {DType::bf16, DType::f16}) {
      expect_sound(CudnnProduct::check_description(
          lt_problem(numbers_of(dtype), 320, 768, 3072, Finish::bias_gelu_erf, false), capability));
    }
  }
}

TEST(CudnnDescriptions, OfWhatIsWrongAreNot) {
  AttentionArgs args = attention(Element::bf16, 4, 64, true);
  args.d_head = 65;
  EXPECT_NE(CudnnAttention::check_description(args, 90), "");
}

TEST(CudnnAttention, IsNotForPositionsThatAreRelativeNorForF32) {
  AttentionArgs args = attention(Element::f32, 4, 64, true);
  EXPECT_EQ(CudnnAttention::make(args, 90, 0), nullptr);
  args.element = Element::bf16;
  args.relative.keys = &args;
  EXPECT_EQ(CudnnAttention::make(args, 90, 0), nullptr);
}

TEST(Libraries, SayWhichTheyAreOrWhyTheyAreNotThere) {
  EXPECT_THAT(LtLibrary::describe(), AnyOf(StartsWith("cuBLASLt 1"), StartsWith("no cuBLASLt (")));
  EXPECT_THAT(CudnnAttention::describe(),
              AnyOf(StartsWith("cuDNN 9"), StartsWith("no cuDNN ("), "built without cuDNN"));
  const DynamicLibrary none({"libnone-of-that-name.so.7"});
  EXPECT_FALSE(none.open());
  EXPECT_THAT(none.error(), HasSubstr("libnone-of-that-name.so.7"));
  void (*function)() = nullptr;
  EXPECT_THROW(none.bind(function, "anything"), Unavailable);
}

/// A toolkit's own folders differ from packaging to packaging, and CUPTI's is none of them.
TEST(Libraries, AreFoundInEveryFolderOfAToolkit) {
  Dl_info libc{};
  ASSERT_NE(dladdr(reinterpret_cast<void*>(&std::getenv), &libc), 0);
  const std::filesystem::path home =
      std::filesystem::path(testing::TempDir()) / fmt::format("deformer-toolkit-{}", getpid());
  setenv("CUDA_HOME", home.c_str(), 1);
  int number = 0;
  for (const char* folder : {"lib64", "lib", "extras/CUPTI/lib64"}) {
    const std::string name = fmt::format("libdeformer-none-{}.so.1", number++);
    std::filesystem::create_directories(home / folder);
    std::filesystem::create_symlink(libc.dli_fname, home / folder / name);
    const DynamicLibrary found({name});
    EXPECT_TRUE(found.open()) << folder << ": " << found.error();
  }
  unsetenv("CUDA_HOME");
  std::filesystem::remove_all(home);
}

TEST(Status, SaysWhatWasExpectedAndFound) {
  try {
    check(cudaErrorInvalidValue, "copying passages");
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("copying passages: expected success, found invalid"));
  }
  EXPECT_THROW(check(cudaErrorMemoryAllocation, "a graph"), Unavailable);
  try {
    throw_out_of_memory("activations", 123456789);
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), HasSubstr("activations: expected 123456789 bytes of memory, found"));
  }
}

TEST(Device, IsAskedThingsByTheEnvironment) {
  for (const char* variable : {kOneByOne, kOwnKernels}) {
    unsetenv(variable);
    EXPECT_FALSE(is_asked(variable));
    for (const char* no : {"", "0"}) {
      setenv(variable, no, 1);
      EXPECT_FALSE(is_asked(variable)) << no;
    }
    setenv(variable, "1", 1);
    EXPECT_TRUE(is_asked(variable));
    unsetenv(variable);
  }
}

TEST(Device, LaunchesEarlyUnlessOneByOneIsAsked) {
  EXPECT_TRUE((Device{.name = "", .bus = "", .capability = 90}).launches_early());
  EXPECT_FALSE(
      (Device{.name = "", .bus = "", .capability = 90, .one_by_one = true}).launches_early());
  EXPECT_FALSE((Device{.name = "", .bus = "", .capability = 80}).launches_early());
}

TEST(Device, SaysWhatWasAsked) {
  Device device;
  EXPECT_EQ(asked_text(device), "");
  device.own_kernels = true;
  EXPECT_THAT(asked_text(device), HasSubstr(kOwnKernels));
  EXPECT_THAT(asked_text(device), testing::Not(HasSubstr(kOneByOne)));
  device.one_by_one = true;
  EXPECT_THAT(asked_text(device), testing::AllOf(HasSubstr(kOwnKernels), HasSubstr(kOneByOne)));
}

/// Who tries several things goes on after a refusal, and must not after a fault.
TEST(Status, AFaultOfTheDeviceIsToldApartAndSaysWhatWasTried) {
  for (const cudaError_t fault :
       {cudaErrorIllegalAddress, cudaErrorMisalignedAddress, cudaErrorLaunchFailure}) {
    EXPECT_THROW(check(fault, "timing a choice"), DeviceFault) << fault;
  }
  for (const cudaError_t refused : {cudaErrorInvalidValue, cudaErrorNotSupported}) {
    EXPECT_THROW(
        {
          try {
            check(refused, "timing a choice");
          } catch (const DeviceFault&) {
          }
        },
        std::runtime_error)
        << refused;
  }
  try {
    throw_again(DeviceFault("cuda: a fault"), "our kernel for few rows");
    FAIL();
  } catch (const DeviceFault& error) {
    EXPECT_STREQ(error.what(), "cuda: a fault; what was tried: our kernel for few rows");
  }
}

TEST(Dtypes, AreRefusedWithTheReason) {
  EXPECT_FALSE(dtype_why_not(DType::bf16, 80));
  EXPECT_FALSE(dtype_why_not(DType::tf32, 90));
  EXPECT_FALSE(dtype_why_not(DType::fp8, 90));
  EXPECT_THAT(dtype_why_not(DType::fp8, 80).value_or(""), HasSubstr("8.9 or later, this is 8.0"));
  EXPECT_THAT(dtype_why_not(DType::int8, 90).value_or(""), HasSubstr("int8 is not supported"));
  EXPECT_THAT(dtype_why_not(DType::f32, 75).value_or(""), HasSubstr("8.0 or later"));
}

/// 163 KB a block on sm_80, 227 on sm_90: BERT and XLNet as published fit either.
TEST(AttentionKernel, FitsTheSharedMemoryOfItsDevices) {
  constexpr int kSm80 = 163 * 1024;
  constexpr int kSm90 = 227 * 1024;
  EXPECT_LE((AttentionShape<Bf16, 64, true>::kBytes), kSm80);
  EXPECT_LE((AttentionShape<float, 64, true>::kBytes), kSm80);
  EXPECT_LE((AttentionShape<float, 128, false>::kBytes), kSm80);
  EXPECT_LE((AttentionShape<Bf16, 128, true>::kBytes), kSm80);
  EXPECT_LE((AttentionShape<float, 128, true>::kBytes), kSm90);
}

TEST(LtLibrary, WhatItDoesNotSupportIsUnavailableByNameAndAllElseAFailure) {
  EXPECT_NO_THROW(LtLibrary::check(CUBLAS_STATUS_SUCCESS, "a product"));
  try {
    LtLibrary::check(CUBLAS_STATUS_NOT_SUPPORTED, "e4m3 768x768 bias rows 384");
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), HasSubstr("e4m3 768x768 bias rows 384"));
    EXPECT_THAT(error.what(), HasSubstr("not supported (code 15); use another dtype"));
  }
  try {
    LtLibrary::check(CUBLAS_STATUS_EXECUTION_FAILED, "a product");
    FAIL();
  } catch (const Unavailable&) {
    FAIL() << "a failure is no lack";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("execution failed"));
  }
}

}  // namespace
}  // namespace deformer::cuda
