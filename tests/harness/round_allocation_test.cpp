/// Counts what rounds of a real group ask the heap for: from any thread, by code of this program.
/// (oneDNN's shared library keeps its own books.)

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "backends/registry.hpp"
#include "harness/meter.hpp"

namespace {

std::atomic<bool> counting{false};
std::atomic<int> allocations{0};

const void* module_of(const void* address) {
  Dl_info info{};
  return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

}  // namespace

// Not inlined, so that the return address is the place that allocates.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (counting.load(std::memory_order_relaxed) &&
      module_of(__builtin_return_address(0)) == module_of(&counting)) {
    allocations.fetch_add(1);
  }
  if (void* memory = std::malloc(size == 0 ? 1 : size)) {
    return memory;
  }
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

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
  allocations = 0;
  counting = true;
  for (int i = 0; i < 10; ++i) {
    meter.round();
  }
  counting = false;
  EXPECT_EQ(allocations, 0);
  EXPECT_EQ(meter.rounds() + meter.discarded(), 10);
}

INSTANTIATE_TEST_SUITE_P(Instances, RoundAllocation, ::testing::Values(1, 2));

TEST(RoundAllocationCounter, CountsEveryThread) {
  InstanceTeam team(2);
  allocations = 0;
  counting = true;
  (void)team.run([](int) { (void)std::make_unique<std::vector<int>>(100); });
  counting = false;
  EXPECT_GE(allocations, 2);
}

}  // namespace
}  // namespace deformer
