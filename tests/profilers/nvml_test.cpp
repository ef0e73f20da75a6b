#include "profilers/nvml.hpp"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "fake/nvml.hpp"
#include "profilers/device_watch.hpp"

namespace deformer {
namespace {

using testing::HasSubstr;

constexpr const char* kBus = "00000000:01:00.0";

class FakeNvmlTest : public testing::Test {
 protected:
  void SetUp() override {
    library_ = dlopen(DEFORMER_FAKE_NVML, RTLD_NOW);
    ASSERT_NE(library_, nullptr) << dlerror();
    fake_ = reinterpret_cast<FakeNvml* (*)()>(dlsym(library_, "fake_nvml"))();
    *fake_ = {};
  }
  void TearDown() override { dlclose(library_); }

  void* library_ = nullptr;
  FakeNvml* fake_ = nullptr;
};

TEST(Nvml, WithoutADriverSaysSoAndReadsNothing) {
  const NvmlDevice device("", "libno-such-nvml.so.1");
  EXPECT_THAT(device.missing(), HasSubstr("libno-such-nvml.so.1"));
  EXPECT_FALSE(device.read().sm_clock_mhz);
  DeviceWatch watch("", "libno-such-nvml.so.1");
  watch.start();
  watch.before_round();
  EXPECT_FALSE(watch.after_round());
  EXPECT_THAT(watch.json().dump(), HasSubstr("missing"));
}

TEST(Nvml, AnotherLibraryIsNoNvml) {
  EXPECT_THAT(NvmlDevice("", "libm.so.6").missing(), HasSubstr("lacks functions"));
}

TEST_F(FakeNvmlTest, ReadsClocksPowerEnergyAndReasons) {
  fake_->reasons = kClockPowerCap | kClockSoftwareThermal;
  const NvmlDevice device(kBus, DEFORMER_FAKE_NVML);
  EXPECT_EQ(device.missing(), "");
  EXPECT_EQ(device.name(), "Fake H100");
  EXPECT_EQ(device.driver(), "580.65.06");
  const DeviceReading reading = device.read();
  EXPECT_EQ(reading.sm_clock_mhz, 1980);
  EXPECT_EQ(reading.memory_clock_mhz, 2619);
  EXPECT_EQ(reading.temperature_c, 61);
  EXPECT_DOUBLE_EQ(reading.power_w.value_or(0), 412.5);
  EXPECT_DOUBLE_EQ(reading.energy_j.value_or(0), 5000);
  EXPECT_EQ(clock_reasons_text(reading.clock_reasons.value_or(0)),
            "power cap, software thermal slowdown");
  EXPECT_EQ(clock_reasons_text(0), "none");
  EXPECT_EQ(clock_reasons_text(0x1000), "unknown 0x1000");
}

TEST_F(FakeNvmlTest, WhatADeviceDoesNotTellIsNothing) {
  fake_->energy_mj = fake_->thermal_ns = fake_->reasons = -1;
  fake_->processes = -1;
  const DeviceReading reading = NvmlDevice(kBus, DEFORMER_FAKE_NVML).read();
  EXPECT_FALSE(reading.energy_j);
  EXPECT_FALSE(reading.thermal_slowed_ns);
  EXPECT_FALSE(reading.clock_reasons);
  EXPECT_FALSE(reading.other_processes);
  EXPECT_TRUE(reading.sm_clock_mhz);
}

TEST_F(FakeNvmlTest, CountsOtherProcessesAndNotItself) {
  const NvmlDevice device(kBus, DEFORMER_FAKE_NVML);
  EXPECT_EQ(device.read().other_processes, 0);
  fake_->processes = 3;
  EXPECT_EQ(device.read().other_processes, 3);
  fake_->first_pid = static_cast<unsigned>(getpid());
  EXPECT_EQ(device.read().other_processes, 2);
  fake_->processes = 1000;  // more than there is room for
  EXPECT_EQ(device.read().other_processes, 1000);
}

TEST_F(FakeNvmlTest, ADriverThatDoesNotStartAndADeviceThatIsNotThereAreNamed) {
  EXPECT_THAT(NvmlDevice("00000000:99:00.0", DEFORMER_FAKE_NVML).missing(),
              HasSubstr("00000000:99:00.0"));
  EXPECT_EQ(fake_->shutdowns, 1);
  fake_->init_code = 9;
  EXPECT_THAT(NvmlDevice(kBus, DEFORMER_FAKE_NVML).missing(), HasSubstr("Driver Not Loaded"));
  EXPECT_EQ(fake_->shutdowns, 1) << "what was not started is not shut down";
}

TEST_F(FakeNvmlTest, RoundsHeldDownByHeatAreThrottledThoseAtThePowerCapAreNot) {
  DeviceWatch watch(kBus, DEFORMER_FAKE_NVML);
  watch.start();
  const auto round = [&](long long reasons, long long thermal_ns, long long mhz) {
    watch.before_round();
    fake_->reasons = reasons;
    fake_->thermal_ns = thermal_ns;
    fake_->sm_clock_mhz = mhz;
    return watch.after_round();
  };
  EXPECT_FALSE(round(0, 0, 1980));
  EXPECT_FALSE(round(kClockPowerCap, 0, 1755));
  EXPECT_TRUE(round(kClockPowerCap | kClockHardwareThermal, 0, 1200));
  EXPECT_TRUE(round(0, 0, 1980)) << "it was still held down when the round began";
  EXPECT_TRUE(round(0, 1'000, 1980)) << "held down in between, free at both ends";
  EXPECT_FALSE(round(kClockIdle, 1'000, 1980));
  fake_->energy_mj += 2'500;
  fake_->processes = 2;
  watch.before_round();
  EXPECT_FALSE(watch.after_round());
  watch.stop();
  const auto json = watch.json();
  EXPECT_EQ(json["throttled_rounds"], 3);
  EXPECT_EQ(json["sm_clock_mhz"]["min"], 1200);
  EXPECT_EQ(json["sm_clock_mhz"]["max"], 1980);
  EXPECT_EQ(json["energy_j"], 2.5);
  EXPECT_EQ(json["clock_reasons"], "power cap, hardware thermal slowdown");
  EXPECT_EQ(json["other_processes"], 2);
  watch.start();
  EXPECT_EQ(watch.json()["throttled_rounds"], 0);
}

}  // namespace
}  // namespace deformer
