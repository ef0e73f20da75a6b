/// Every backend records the ranges of the plan: the same names, nested, nothing left out.

#include "backends/ranges.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "backends/cpu/cpu.hpp"
#include "backends/reference/reference.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kQuestion = 9, kPassage = 70;

std::vector<std::int32_t> ids(std::int64_t count) {
  std::vector<std::int32_t> result(static_cast<std::size_t>(count));
  std::iota(result.begin(), result.end(), 0);
  return result;
}

/// One plan on one backend.
class Recorded {
 public:
  Recorded(std::unique_ptr<Backend> backend, Variant variant, Detail detail, int threads)
      : config_(small_config()),
        weights_(random_weights(config_, 7)),
        backend_(std::move(backend)) {
    model_ = backend_->load(*weights_, {.threads = threads});
    plan_ = make_plan(config_, variant, 1, Order::question_first);
    session_ = model_->prepare(plan_, uniform_shape(1, kQuestion, kPassage),
                               {.threads = threads, .detail = detail});
    run();
  }

  void run() { session_->run({question_, passage_, pointers_}); }
  RangeLog& log() { return *session_->ranges(); }
  Session& session() { return *session_; }
  std::vector<PlanRange> ranges(Detail detail) const { return plan_ranges(config_, plan_, detail); }

 private:
  static ModelConfig small_config() {
    ModelConfig config = *builtin_model("bert-tiny");
    config.vocab_size = 1000;
    config.head = HeadKind::span;
    return config;
  }

  ModelConfig config_;
  std::unique_ptr<WeightSource> weights_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  Plan plan_;
  std::unique_ptr<Session> session_;
  std::vector<std::int32_t> question_ = ids(kQuestion), passage_ = ids(kPassage);
  std::vector<std::byte> cached_ = std::vector<std::byte>(kPassage * 128 * 4);
  std::vector<const std::byte*> pointers_{cached_.data()};
};

using Make = std::unique_ptr<Backend> (*)();
struct Case {
  const char* name;
  Make make;
  int threads;
};

std::unique_ptr<Backend> panels() {
  return make_cpu_backend(EngineChoice::panels);
}
std::unique_ptr<Backend> onednn() {
  return make_cpu_backend(EngineChoice::onednn);
}

class BackendRanges : public ::testing::TestWithParam<Case> {
 protected:
  Recorded record(Variant variant, Detail detail) {
    return Recorded(GetParam().make(), variant, detail, GetParam().threads);
  }
};

TEST_P(BackendRanges, TheTreeIsThePlans) {
  for (const Detail detail : {Detail::none, Detail::phase, Detail::layer, Detail::op}) {
    Recorded recorded = record(Variant::cached, detail);
    const auto ranges = recorded.ranges(detail);
    const RangeTree& tree = recorded.log().tree();
    ASSERT_EQ(tree.size(), static_cast<int>(ranges.size()));
    for (int i = 0; i < tree.size(); ++i) {
      EXPECT_EQ(tree[i].name, ranges[static_cast<std::size_t>(i)].name);
      EXPECT_EQ(tree[i].parent, ranges[static_cast<std::size_t>(i)].parent);
    }
  }
}

TEST_P(BackendRanges, RangesAreNestedAndNoneIsNegative) {
  for (const Variant variant : {Variant::full, Variant::decomposed, Variant::cached}) {
    for (const Detail detail : {Detail::phase, Detail::layer, Detail::op}) {
      Recorded recorded = record(variant, detail);
      const RangeLog& log = recorded.log();
      std::int64_t leaves_ns = 0;
      for (int i = 0; i < log.tree().size(); ++i) {
        EXPECT_GT(log.start_ns(i), 0) << log.tree().path(i);
        EXPECT_GE(log.elapsed_ns(i), 0) << log.tree().path(i);
        if (const int parent = log.tree()[i].parent; parent >= 0) {
          EXPECT_GE(log.start_ns(i), log.start_ns(parent)) << log.tree().path(i);
          EXPECT_LE(log.end_ns(i), log.end_ns(parent)) << log.tree().path(i);
        }
        leaves_ns += log.tree()[i].leaf ? log.elapsed_ns(i) : 0;
      }
      EXPECT_LE(leaves_ns, log.elapsed_ns(0));
    }
  }
}

TEST_P(BackendRanges, PhasesAreThoseOfPhaseNs) {
  Recorded recorded = record(Variant::cached, Detail::op);
  const auto phases = phase_ranges(recorded.ranges(Detail::op));
  ASSERT_EQ(phases.size(), recorded.session().phase_ns().size());
  for (std::size_t i = 0; i < phases.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(recorded.log().elapsed_ns(phases[i])),
                static_cast<double>(recorded.session().phase_ns()[i]), 5e4);
  }
}

TEST_P(BackendRanges, ADelayIsSpentInItsOperation) {
  constexpr std::int64_t kDelayNs = 100'000'000;
  Recorded recorded = record(Variant::decomposed, Detail::op);
  const auto ranges = recorded.ranges(Detail::op);
  const auto at = find_operation(ranges, "ffn1", 1);
  ASSERT_TRUE(at);
  recorded.log().set_delay(*at, kDelayNs);
  const RangeTree& tree = recorded.log().tree();
  const auto holds = [&](int range) {
    return tree[range].first_leaf <= tree[*at].first_leaf &&
           tree[range].last_leaf >= tree[*at].last_leaf;
  };
  // Whatever else the machine does may hold up any range, though hardly the same one in every run.
  std::vector<std::int64_t> shortest_ns(static_cast<std::size_t>(tree.size()),
                                        std::numeric_limits<std::int64_t>::max());
  const auto delayed = [&](int range) {
    return shortest_ns[static_cast<std::size_t>(range)] >= kDelayNs;
  };
  bool as_expected = false;
  for (int run = 0; run < 10 && !as_expected; ++run) {
    recorded.run();
    as_expected = true;
    for (int i = 0; i < tree.size(); ++i) {
      std::int64_t& shortest = shortest_ns[static_cast<std::size_t>(i)];
      shortest = std::min(shortest, recorded.log().elapsed_ns(i));
      as_expected = as_expected && delayed(i) == holds(i);
    }
  }
  for (int i = 0; i < tree.size(); ++i) {
    EXPECT_EQ(delayed(i), holds(i)) << tree.path(i);
  }
}

TEST_P(BackendRanges, DetailChangesNoOutput) {
  Recorded plain = record(Variant::decomposed, Detail::none);
  Recorded detailed = record(Variant::decomposed, Detail::op);
  const auto a = plain.session().output();
  const auto b = detailed.session().output();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i], b[i]) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, BackendRanges,
                         ::testing::Values(Case{"reference", make_reference_backend, 1},
                                           Case{"cpu_panels", panels, 2},
                                           Case{"cpu_onednn", onednn, 2}),
                         [](const auto& which) { return which.param.name; });

TEST(CpuLaunches, AreARegionAPhaseWhereATeamDoesItAll) {
  Recorded recorded(panels(), Variant::cached, Detail::phase, 2);
  const auto phases = recorded.session().phase_ns().size();
  EXPECT_EQ(recorded.session().launches(), static_cast<std::int64_t>(phases));
}

TEST(CpuLaunches, AreARegionAnOperationWhereALibraryBringsItsOwnThreads) {
  Recorded recorded(onednn(), Variant::full, Detail::op, 2);
  std::int64_t regions = 0;
  for (const PlanRange& range : recorded.ranges(Detail::op)) {
    const bool encodes = range.layer >= 0;
    regions += range.level == Detail::op && encodes ? 1 : 0;
    regions += range.level == Detail::phase && range.name.find("encode") != 0 ? 1 : 0;
  }
  EXPECT_EQ(recorded.session().launches(), regions);
}

/// Every stamp of the last run.
std::vector<std::int64_t> stamps(Recorded& recorded) {
  std::vector<std::int64_t> all;
  for (int i = 0; i < recorded.log().tree().size(); ++i) {
    all.push_back(recorded.log().start_ns(i));
    all.push_back(recorded.log().end_ns(i));
  }
  const auto phases = recorded.session().phase_ns();
  all.insert(all.end(), phases.begin(), phases.end());
  return all;
}

TEST(CpuRanges, ARunIsRecordedUnlessToldNotTo) {
  for (const Make make : {panels, onednn}) {
    for (const Detail detail : {Detail::phase, Detail::layer, Detail::op}) {
      Recorded recorded(make(), Variant::cached, detail, 2);
      const auto before = stamps(recorded);
      const auto output = recorded.session().head_output();
      const std::vector<float> numbers(output.begin(), output.end());
      EXPECT_TRUE(recorded.session().record(false));
      recorded.run();
      EXPECT_EQ(stamps(recorded), before);
      EXPECT_TRUE(std::ranges::equal(recorded.session().head_output(), numbers));
      EXPECT_TRUE(recorded.session().record(true));
      recorded.run();
      for (int i = 0; i < recorded.log().tree().size(); ++i) {
        EXPECT_GT(recorded.log().start_ns(i), before[static_cast<std::size_t>(2 * i)]);
      }
    }
  }
}

TEST(CpuRanges, EveryThreadIsKnownAtEveryOperation) {
  Recorded recorded(panels(), Variant::cached, Detail::op, 2);
  for (int thread = 0; thread < 2; ++thread) {
    EXPECT_GE(recorded.log().busy_ns(thread, 0), 0);
  }
}

#ifndef __SANITIZE_ADDRESS__  // its allocator keeps no such books
/// What the C library has given out and not got back, by its own books.
std::int64_t given_out_bytes() {
  const struct mallinfo2 books = mallinfo2();
  return static_cast<std::int64_t>(books.uordblks + books.hblkhd);
}

TEST(CpuMemory, TheAllocatorGaveWhatWasPlanned) {
  ModelConfig config = *builtin_model("bert-tiny");
  config.vocab_size = 1000;
  const auto weights = random_weights(config, 7);
  const auto model = panels()->load(*weights, {.threads = 2});
  const Plan plan = make_plan(config, Variant::full, 1, Order::question_first);
  const Shape shape = uniform_shape(64, 27, 293);
  const std::int64_t before = given_out_bytes();
  const auto session = model->prepare(plan, shape, {.threads = 2, .detail = Detail::phase});
  const std::int64_t given = given_out_bytes() - before;
  const std::int64_t planned = session->memory().peak_bytes;
  // Beside the arena, in whole huge pages and with one more to begin at such a page: lists of
  // tokens and ranges, some bytes a row.
  constexpr std::int64_t kHugePage = std::int64_t{2} << 20, kLists = std::int64_t{1} << 20;
  EXPECT_GT(planned, 20 * kHugePage) << "too small to be told from the lists";
  EXPECT_GE(given, planned);
  EXPECT_LE(given, planned + 2 * kHugePage + kLists);
  RecordProperty("planned", fmt::format("{}", planned));
  RecordProperty("given", fmt::format("{}", given));
}
#endif

TEST(CpuMemory, TheArenaIsWhatWasPlanned) {
  for (const Variant variant : {Variant::full, Variant::decomposed, Variant::cached}) {
    Recorded recorded(panels(), variant, Detail::phase, 2);
    const SessionMemory memory = recorded.session().memory();
    EXPECT_EQ(memory.allocated_bytes, memory.peak_bytes);
    ASSERT_EQ(memory.phase_bytes.size(), recorded.session().phase_ns().size());
    EXPECT_LE(std::ranges::max(memory.phase_bytes), memory.peak_bytes);
    EXPECT_GE(std::ranges::max(memory.phase_bytes), memory.peak_bytes * 9 / 10);
  }
}

}  // namespace
}  // namespace deformer
