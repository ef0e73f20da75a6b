#include "model/plan.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "model/error.hpp"
#include "model/shape.hpp"

namespace deformer {
namespace {

std::vector<std::string> names(const Plan& plan) {
  std::vector<std::string> result;
  for (const Phase& phase : plan.phases) {
    result.push_back(phase_name(phase));
  }
  return result;
}

TEST(Plan, PhasesAreThoseOfTheDesign) {
  ModelConfig config = *builtin_model("bert-base");
  config.head = HeadKind::span;
  EXPECT_EQ(names(make_plan(config, Variant::full, 9, Order::question_first)),
            (std::vector<std::string>{"embed(joint)", "encode(joint,0..12)", "head"}));
  EXPECT_EQ(
      names(make_plan(config, Variant::decomposed, 9, Order::question_first)),
      (std::vector<std::string>{"embed(question)", "encode(question,0..9)", "embed(passage)",
                                "encode(passage,0..9)", "join", "encode(joint,9..12)", "head"}));
  EXPECT_EQ(names(make_plan(config, Variant::cached, 9, Order::question_first)),
            (std::vector<std::string>{"embed(question)", "encode(question,0..9)", "load(passage)",
                                      "join", "encode(joint,9..12)", "head"}));
}

TEST(Plan, EmptyEncodePhasesAreLeftOut) {
  const ModelConfig config = *builtin_model("bert-tiny");
  EXPECT_EQ(
      names(make_plan(config, Variant::cached, 0, Order::question_first)),
      (std::vector<std::string>{"embed(question)", "load(passage)", "join", "encode(joint,0..2)"}));
  EXPECT_EQ(names(make_plan(config, Variant::cached, 2, Order::question_first)),
            (std::vector<std::string>{"embed(question)", "encode(question,0..2)", "load(passage)",
                                      "join"}));
}

TEST(Plan, OnlyFullLetsPositionsRunOn) {
  const ModelConfig config = *builtin_model("bert-tiny");
  EXPECT_TRUE(make_plan(config, Variant::full, 0, Order::question_first).positions_run_on);
  EXPECT_FALSE(make_plan(config, Variant::decomposed, 0, Order::question_first).positions_run_on);
}

TEST(Plan, SplitOutsideTheLayersIsRefused) {
  const ModelConfig config = *builtin_model("bert-tiny");
  EXPECT_THROW(make_plan(config, Variant::cached, 3, Order::question_first), BadInput);
  EXPECT_THROW(make_plan(config, Variant::cached, -1, Order::question_first), BadInput);
  EXPECT_NO_THROW(make_plan(config, Variant::full, 99, Order::question_first));
}

TEST(Plan, KnowsWhatItReadsAndLeaves) {
  const ModelConfig config = *builtin_model("bert-tiny");
  const Plan cached = make_plan(config, Variant::cached, 1, Order::question_first);
  EXPECT_TRUE(cached.loads_passages());
  EXPECT_FALSE(cached.reads_passage_ids());
  EXPECT_EQ(cached.output_segment(), Segment::joint);
  const Plan prefill = make_prefill_plan(config, 1, Order::question_first);
  EXPECT_FALSE(prefill.loads_passages());
  EXPECT_TRUE(prefill.reads_passage_ids());
  EXPECT_EQ(prefill.output_segment(), Segment::passage);
}

TEST(Shape, PairsFollowItemQuestionPassage) {
  Shape shape = uniform_shape(2, 1, 1, 2, 3);
  shape.question_tokens = {1, 2, 3, 4};
  shape.passage_tokens = {10, 20, 30, 40, 50, 60};
  EXPECT_EQ(sequence_tokens(shape, Segment::joint),
            (std::vector<std::int64_t>{11, 21, 31, 12, 22, 32, 43, 53, 63, 44, 54, 64}));
  EXPECT_EQ(cumulative_tokens(shape, Segment::question),
            (std::vector<std::int64_t>{0, 1, 3, 6, 10}));
  EXPECT_EQ(pair_shape(shape, 7).question_tokens, (std::vector<std::int64_t>{3}));
  EXPECT_EQ(pair_shape(shape, 7).passage_tokens, (std::vector<std::int64_t>{50}));
  EXPECT_EQ(longest(shape, Segment::joint), 64);
}

TEST(Shape, ImpossibleSizesAreRefused) {
  EXPECT_THROW(uniform_shape(0, 1, 1), BadInput);
  EXPECT_THROW(uniform_shape(1, 0, 1), BadInput);
  EXPECT_THROW(uniform_shape(1, 65536, 1), BadInput);
  EXPECT_NO_THROW(uniform_shape(1, 65535, 1));
  EXPECT_THROW(uniform_shape(std::int64_t{1} << 40, 1, 1), BadInput);
  EXPECT_THROW(uniform_shape(1 << 20, 1, 1, 1 << 20, 1), BadInput);
}

}  // namespace
}  // namespace deformer
