#include "backends/cuda/cupti.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/cuda/driver.hpp"
#include "model/error.hpp"

namespace deformer::cuda {
namespace {

using testing::HasSubstr;

TEST(Cupti, WithoutADriverRecordingIsRefusedWithTheReasonAndAgain) {
  if (why_no_device().empty()) {
    GTEST_SKIP() << "this machine has a device";
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_THROW(ActivityRecorder(4), Unavailable);
  }
  EXPECT_THAT(ActivityRecorder::missing(), testing::AnyOf(HasSubstr("CUPTI"), HasSubstr("cupti")));
}

TEST(Driver, EveryReasonThereIsNoDeviceIsToldApart) {
  EXPECT_EQ(explain_no_device(true, "", 0, 13000, 13000, 1), "");
  EXPECT_THAT(explain_no_device(false, "libcuda.so.1: not there", 0, 0, 0, 0),
              HasSubstr("no NVIDIA driver: libcuda.so.1: not there"));
  EXPECT_THAT(explain_no_device(true, "", 35, 12040, 13000, 0),
              HasSubstr("serves CUDA 12.4, this module was built with 13.0"));
  EXPECT_THAT(explain_no_device(true, "", 100, 13000, 13000, 0), HasSubstr("finds no device"));
  EXPECT_THAT(explain_no_device(true, "", 34, 0, 13000, 0), HasSubstr("stub"));
  EXPECT_THAT(explain_no_device(true, "", 0, 13000, 13000, 0), HasSubstr("CUDA_VISIBLE_DEVICES"));
  EXPECT_THAT(explain_no_device(true, "", 999, 13000, 13000, 0), HasSubstr("code 999"));
}

}  // namespace
}  // namespace deformer::cuda
