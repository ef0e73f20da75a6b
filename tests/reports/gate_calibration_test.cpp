#include "reports/gate/calibration.hpp"

#include <cmath>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "gate_simulation.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

using ::testing::HasSubstr;

/// A/A pairs with a known deviation from process to process, and next to none within.
GateInput recorded(double process_ln, std::size_t pairs) {
  Simulation simulation(
      7,
      {.process_ln = process_ln, .round_ln = 1e-4, .drift_ln = 0, .correlation = 0, .spikes = 0});
  GateInput input;
  input.base.build = input.head.build = "b";
  input.base.machine = input.head.machine = {{"cpu_model", "A"}, {"cores", "2"}};
  input.identical_allowed = true;
  input.points = {simulation.point(pairs, 30)};
  input.points.front().base.status = input.points.front().head.status = "ok";
  return input;
}

std::filesystem::path written(const std::string& text) {
  const std::filesystem::path path =
      ::testing::TempDir() + "calibration-" + std::to_string(getpid()) + ".json";
  std::ofstream(path) << text;
  return path;
}

TEST(Calibration, FindsTheNoiseFromProcessToProcess) {
  const GateCalibration found = calibrate(recorded(0.004, 200), {}, 10, 200);
  // Two processes in a pair, each with its own.
  EXPECT_NEAR(found.points.front().noise.time_ln, 0.004 * std::sqrt(2.0), 0.0007);
}

TEST(Calibration, ANoisierMachineHasAHigherThresholdAndAQuietOneIsHeldToOnePercent) {
  const double quiet = calibrate(recorded(0.0002, 60), {}, 10, 200).points.front().noise.threshold;
  const double noisy = calibrate(recorded(0.02, 60), {}, 10, 200).points.front().noise.threshold;
  EXPECT_DOUBLE_EQ(quiet, 0.01);
  EXPECT_GT(noisy, 0.02);
}

TEST(Calibration, ItsThresholdIsTheSmallestEffectOfAGateWithThatThreshold) {
  const GateInput input = recorded(0.01, 60);
  const GateCalibration found = calibrate(input, {}, 10, 500);
  const PointCalibration& point = found.points.front();
  EXPECT_DOUBLE_EQ(point.smallest_effect, point.noise.threshold);
  EXPECT_LE(static_cast<double>(point.false_alarms), 0.01 * 500);
  EXPECT_GT(point.false_alarms_high, 0);
}

TEST(Calibration, NeedsSixPairsAndAsManyAsAGateHas) {
  EXPECT_THROW(calibrate(recorded(0.01, 5), {}, 4, 200), BadInput);
  EXPECT_THROW(calibrate(recorded(0.01, 9), {}, 10, 200), BadInput);
}

TEST(Calibration, IsReadBackAndRefusedOnAnotherMachineWithTheFieldsThatDiffer) {
  const GateCalibration made = calibrate(recorded(0.01, 30), {}, 10, 200);
  const auto path = written(calibration_json(made).dump());
  const GateCalibration read = read_calibration(path);
  GateRules rules;
  use_calibration(rules, read, {{"cpu_model", "A"}, {"cores", "2"}}, "c.json", "here");
  const PointNoise& noise = rules.calibration.at(made.points.front().key);
  EXPECT_DOUBLE_EQ(noise.threshold, made.points.front().noise.threshold);
  EXPECT_DOUBLE_EQ(noise.time_ln, made.points.front().noise.time_ln);
  try {
    use_calibration(rules, read, {{"cpu_model", "B"}, {"cores", "2"}}, "c.json", "here");
    ADD_FAILURE() << "another machine was accepted";
  } catch (const BadInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("cpu_model"));
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("cores")));
  }
}

TEST(Calibration, FilesThatAreNoneAreRefused) {
  for (const char* text :
       {"", "garbage", "[]", "{}", R"({"type":"run","schema":1})",
        R"({"type":"gate-calibration","schema":2,"deciding":{"a":"b"},"points":[]})",
        R"({"type":"gate-calibration","schema":1,"deciding":{},"points":[]})",
        R"({"type":"gate-calibration","schema":1,"deciding":{"a":1},"points":[]})",
        R"({"type":"gate-calibration","schema":1,"deciding":{"a":"b"},"points":[1]})",
        R"({"type":"gate-calibration","schema":1,"deciding":{"a":"b"},"points":[{"key":"k",)"
        R"("time_ln":0.01,"ratio_ln":0,"degrees_of_freedom":9,"threshold":1e9}]})",
        R"({"type":"gate-calibration","schema":1,"deciding":{"a":"b"},"points":[{"key":"k",)"
        R"("time_ln":-1,"ratio_ln":0,"degrees_of_freedom":1,"threshold":0.1}]})"}) {
    EXPECT_THROW(read_calibration(written(text)), BadInput) << text;
  }
  EXPECT_THROW(read_calibration("/nothing/here"), BadInput);
}

}  // namespace
}  // namespace deformer
