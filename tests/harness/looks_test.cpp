#include "harness/looks.hpp"

#include <thread>

#include <gtest/gtest.h>

namespace deformer {
namespace {

constexpr std::int64_t kWaitNs = 200'000;
constexpr std::int64_t kOwnNs = 30'000;

/// The caller waits; a device, where it is one, tells less by its own clock.
class WaitingSession final : public Session {
 public:
  explicit WaitingSession(bool device) : device_(device) {}
  void run(const Inputs&) override {
    ++runs;
    std::this_thread::sleep_for(std::chrono::nanoseconds(kWaitNs));
  }
  std::span<const float> output() const override { return {}; }
  std::span<const float> head_output() const override { return {}; }
  std::span<const float> layer_output(Segment, std::int64_t) const override { return {}; }
  std::span<const std::int64_t> phase_ns() const override { return {}; }
  std::optional<std::int64_t> device_ns() const override {
    return device_ ? std::optional(kOwnNs) : std::nullopt;
  }
  SessionMemory memory() const override { return {}; }

  int runs = 0;

 private:
  bool device_;
};

TEST(Looks, ADeviceIsLookedAtByItsOwnClockAndAHostByTheCallers) {
  std::vector<Look> looks(2);
  looks[0].session = std::make_unique<WaitingSession>(true);
  looks[1].session = std::make_unique<WaitingSession>(false);
  measure_looks(looks, 0, 10);
  ASSERT_EQ(looks[0].ns.size(), 10U);
  for (const double ns : looks[0].ns) {
    EXPECT_EQ(ns, kOwnNs);
  }
  EXPECT_GE(looks[1].median_ns(), kWaitNs);
  std::vector<PairedLook> paired{{&looks[0], false}, {&looks[1], false}};
  pair_looks(paired, 0, 10);
  EXPECT_EQ(paired[0].ns.front(), kOwnNs);
  EXPECT_GE(paired[1].ns.front(), kWaitNs);
}

TEST(Looks, APairIsAForwardThereAndOneBackHoweverShort) {
  std::vector<Look> looks(2);
  for (Look& look : looks) {
    look.session = std::make_unique<WaitingSession>(true);
  }
  measure_looks(looks, 0, 10);
  EXPECT_GT(looks[0].forwards, 1) << "a sample of the rounds lasts a millisecond";
  auto& session = dynamic_cast<WaitingSession&>(*looks[0].session);
  session.runs = 0;
  std::vector<PairedLook> paired{{&looks[0], false}, {&looks[1], false}};
  pair_looks(paired, 0, 10);
  EXPECT_EQ(session.runs, 20);
  EXPECT_EQ(paired[0].ns, std::vector<double>(10, kOwnNs));
}

}  // namespace
}  // namespace deformer
