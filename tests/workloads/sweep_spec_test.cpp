#include "workloads/sweep_spec.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "model/error.hpp"
#include "workloads/tasks.hpp"
#include "workloads/tokens.hpp"

namespace deformer {
namespace {

SweepSpec spec_of(const char* model, const char* task) {
  SweepSpec spec;
  spec.models = {resolve_model(model)};
  if (*task != '\0') {
    spec.tasks = {task};
  }
  return spec;
}

std::string failure(const SweepSpec& spec) {
  try {
    (void)expand(spec);
  } catch (const BadInput& error) {
    return error.what();
  }
  return "no error";
}

TEST(Expand, OneGroupHoldsFullAndEverySplit) {
  SweepSpec spec = spec_of("bert-base", "squad");
  spec.splits = {3, 6, 9};
  const auto groups = expand(spec);
  ASSERT_EQ(groups.size(), 1U);
  ASSERT_EQ(groups[0].points.size(), 7U);
  EXPECT_EQ(groups[0].points[0].point.variant, Variant::full);
  for (const PlannedPoint& planned : groups[0].points) {
    EXPECT_EQ(group_key(planned.point), groups[0].key);
    EXPECT_EQ(point_key(planned.point), planned.key);
  }
}

TEST(Expand, TasksSetLengthsOrderRAndHead) {
  for (const Task& task : all_tasks()) {
    const auto groups = expand(spec_of("bert-base", task.name.c_str()));
    const Point& point = groups.at(0).points.at(0).point;
    EXPECT_EQ(point.question, task.question);
    EXPECT_EQ(point.passage, task.passage);
    EXPECT_EQ(point.r, task.r);
    EXPECT_EQ(point.order, task.order);
    EXPECT_EQ(groups[0].config.head, task.head);
  }
}

TEST(Expand, TaskValuesMayBeOverridden) {
  SweepSpec spec = spec_of("bert-base", "race");
  spec.r = {1};
  spec.passages = {100};
  const Point point = expand(spec).at(0).points.at(0).point;
  EXPECT_EQ(point.r, 1);
  EXPECT_EQ(point.passage, 100);
  EXPECT_EQ(point.question, 32);
}

TEST(Expand, DefaultSplitsAreTheInterfaces) {
  const auto split = [](const char* model) {
    return expand(spec_of(model, "squad")).at(0).points.at(1).point.split;
  };
  EXPECT_EQ(split("bert-base"), 9);
  EXPECT_EQ(split("bert-large"), 20);
  EXPECT_EQ(split("minilm-l6"), 4);
  EXPECT_EQ(split("bert-tiny"), 1);
  EXPECT_EQ(split("xlnet-base"), 8);
}

TEST(Expand, LengthsAreNeededWithoutATask) {
  EXPECT_NE(failure(spec_of("bert-base", "")).find("--question"), std::string::npos);
}

TEST(Expand, SplitsBeyondTheLayersAreSkippedWhereOthersArePossible) {
  SweepSpec spec = spec_of("bert-tiny", "squad");
  spec.splits = {1, 9};
  const auto groups = expand(spec);
  const auto skipped = std::ranges::count_if(
      groups[0].points, [](const PlannedPoint& planned) { return planned.skip != Skip::no; });
  EXPECT_EQ(skipped, 2);
  spec.splits = {9};
  EXPECT_NE(failure(spec).find("beyond the 2 layers"), std::string::npos);
}

TEST(Expand, XlnetReadsThePassageFirst) {
  const auto groups = expand(spec_of("xlnet-base", "squad"));
  EXPECT_EQ(groups.at(0).points.at(0).point.order, Order::passage_first);
  SweepSpec spec = spec_of("xlnet-base", "squad");
  spec.orders = {Order::question_first, Order::passage_first};
  const auto both = expand(spec);
  EXPECT_EQ(both.at(0).points.at(0).skip, Skip::impossible);
  EXPECT_EQ(both.at(1).points.at(0).skip, Skip::no);
}

TEST(Expand, TheFilterNeverDropsTheFullThatAKeptPointNeeds) {
  SweepSpec spec = spec_of("bert-base", "squad");
  spec.splits = {3, 9};
  spec.filter = "k9.*cached";
  const auto groups = expand(spec);
  ASSERT_EQ(groups.at(0).points.size(), 2U);
  EXPECT_EQ(groups[0].points[0].point.variant, Variant::full);
  EXPECT_EQ(groups[0].points[1].point.split, 9);
  spec.filter = "nothing";
  EXPECT_TRUE(expand(spec).empty());
  spec.filter = "(";
  EXPECT_NE(failure(spec).find("regular expression"), std::string::npos);
}

TEST(Expand, TheSameShapeTwiceIsOneGroup) {
  SweepSpec spec = spec_of("bert-base", "");
  spec.questions = {27};
  spec.passages = {293};
  spec.models.push_back(resolve_model("bert-base"));
  EXPECT_EQ(expand(spec).size(), 1U);
}

TEST(Expand, UniformLengthsAreDrawnOncePerGroupWithTheQuestionFixed) {
  SweepSpec spec = spec_of("bert-base", "squad");
  spec.lengths = parse_lengths("uniform:32-320");
  spec.batches = {32};
  const auto groups = expand(spec);
  const Shape& shape = groups.at(0).points.at(0).point.shape;
  for (const PlannedPoint& planned : groups[0].points) {
    EXPECT_EQ(planned.point.shape.passage_tokens, shape.passage_tokens);
  }
  for (const std::int64_t tokens : sequence_tokens(shape, Segment::joint)) {
    EXPECT_GE(tokens, 32);
    EXPECT_LE(tokens, 320);
  }
  EXPECT_EQ(groups[0].points[0].point.question, 27);
  EXPECT_EQ(groups[0].points[0].point.passage, longest(shape, Segment::passage));
  EXPECT_NE(*std::ranges::min_element(shape.passage_tokens),
            *std::ranges::max_element(shape.passage_tokens));
}

TEST(Expand, UnknownWordsAreNamed) {
  EXPECT_NE(failure(spec_of("bert-base", "squid")).find("squid"), std::string::npos);
  EXPECT_THROW(resolve_model("bert-huge"), BadInput);
}

TEST(Lengths, FilesArePairsAndBadLinesAreNamed) {
  const auto path =
      std::filesystem::temp_directory_path() / ("deformer-lengths-" + std::to_string(getpid()));
  std::ofstream(path) << "# q p\n5 20\n\n7 30\n";
  const Lengths lengths = parse_lengths(path.string());
  EXPECT_EQ(lengths.pairs.size(), 2U);
  EXPECT_TRUE(lengths.spelling.starts_with("file:"));
  const Shape shape = draw_shape(lengths, 16, 1, 1, 1, 1, 3);
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(shape.passage_tokens[i], shape.question_tokens[i] == 5 ? 20 : 30);
  }
  for (const char* bad : {"5\n", "5 6 7\n", "a b\n", "0 5\n", "5 99999\n", "", "# nothing\n"}) {
    std::ofstream(path, std::ios::trunc) << bad;
    EXPECT_THROW(parse_lengths(path.string()), BadInput) << bad;
  }
  std::filesystem::remove(path);
  for (const char* bad : {"uniform", "uniform:5", "uniform:9-5", "uniform:1-5",
                          "uniform:5-99999999", "/nonexistent/lengths", "/"}) {
    EXPECT_THROW(parse_lengths(bad), BadInput) << bad;
  }
}

TEST(Tokens, ATextHasTheSameIdsWhereverItStands) {
  const std::vector<std::int64_t> three{5, 7, 9};
  const std::vector<std::int64_t> one{7};
  const auto batch = seeded_tokens(1, Segment::passage, 0, 100, three);
  const auto second = seeded_tokens(1, Segment::passage, 1, 100, one);
  EXPECT_TRUE(std::equal(second.begin(), second.end(), batch.begin() + 5));
  EXPECT_NE(seeded_tokens(1, Segment::question, 1, 100, one), second);
  EXPECT_NE(seeded_tokens(2, Segment::passage, 1, 100, one), second);
  EXPECT_TRUE(std::ranges::all_of(batch, [](std::int32_t id) { return id >= 0 && id < 100; }));
}

}  // namespace
}  // namespace deformer
