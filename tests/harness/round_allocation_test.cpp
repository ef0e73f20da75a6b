/// Counts what rounds of a real group ask the heap for, from any thread.

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "backends/registry.hpp"
#include "harness/meter.hpp"
#include "support/allocation_count.hpp"

namespace deformer {
namespace {

class RoundAllocation : public ::testing::TestWithParam<int> {};

TEST_P(RoundAllocation, ARoundAllocatesNothing) {
  SweepSpec spec;
  spec.models = {resolve_model("bert-tiny")};
  spec.questions = {8};
  spec.splits = {1};
  spec.batches = {3};
  spec.instances = {GetParam()};
  spec.pool_passages = 12;
  spec.lengths = parse_lengths("uniform:20-60");
  const std::vector<PlannedGroup> groups = expand(spec);
  const PlannedGroup& group = groups.front();
  const auto weights = random_weights(group.config, 1);
  const auto model = require_backend("cpu").load(*weights, {});
  std::vector<const PlannedPoint*> chosen;
  for (const PlannedPoint& planned : group.points) {
    chosen.push_back(&planned);
  }
  InstanceTeam team(GetParam());
  PreparedGroup prepared(spec, group, chosen, *model, team, {},
                         [](const std::string&, std::int64_t, std::int64_t) {});
  const Probe probe(1);
  Meter meter(prepared.runners(), team, probe, {.max_time_s = 60, .rounds = 10, .seed = 1});
  meter.warm_up();
  ASSERT_EQ(meter.rounds_to_next_look(), 10);
  const auto ten_rounds = [&meter] {
    for (int i = 0; i < 10; ++i) {
      meter.round();
    }
  };
  EXPECT_EQ(allocations_during(ten_rounds), 0);
  EXPECT_EQ(meter.rounds() + meter.discarded(), 10);
}

INSTANTIATE_TEST_SUITE_P(Instances, RoundAllocation, ::testing::Values(1, 2));

TEST(RoundAllocationCounter, CountsEveryThread) {
  InstanceTeam team(2);
  const auto both_allocate = [&team] {
    (void)team.run([](int) { (void)std::make_unique<std::vector<int>>(100); });
  };
  EXPECT_GE(allocations_during(both_allocate), 2);
}

}  // namespace
}  // namespace deformer
