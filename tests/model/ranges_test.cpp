#include "model/ranges.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/layer_cost.hpp"

namespace deformer {
namespace {

using ::testing::ElementsAre;

ModelConfig tiny() {
  ModelConfig config = *builtin_model("bert-tiny");
  config.head = HeadKind::span;
  return config;
}

std::vector<std::string> names(const std::vector<PlanRange>& ranges) {
  std::vector<std::string> result;
  for (const PlanRange& range : ranges) {
    result.push_back(range.name);
  }
  return result;
}

TEST(Ranges, PhasesAreThoseOfThePlan) {
  const Plan plan = make_plan(tiny(), Variant::cached, 1, Order::question_first);
  EXPECT_THAT(names(plan_ranges(tiny(), plan, Detail::phase)),
              ElementsAre("run", "embed(question)", "encode(question,0..1)", "load(passage)",
                          "join", "encode(joint,1..2)", "head"));
  EXPECT_THAT(names(plan_ranges(tiny(), plan, Detail::none)), ElementsAre("run"));
}

TEST(Ranges, OperationsStandInsideLayersAndPhases) {
  const Plan plan = make_plan(tiny(), Variant::cached, 1, Order::question_first);
  const auto ranges = plan_ranges(tiny(), plan, Detail::op);
  EXPECT_THAT(names(ranges), ElementsAre("run", "embed(question)", "embed", "encode(question,0..1)",
                                         "layer 0", "qkv", "attention", "out", "norm1", "ffn1",
                                         "ffn2", "norm2", "load(passage)", "load", "join", "join",
                                         "encode(joint,1..2)", "layer 1", "qkv", "attention", "out",
                                         "norm1", "ffn1", "ffn2", "norm2", "head", "head"));
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    const PlanRange& above = ranges[static_cast<std::size_t>(ranges[i].parent)];
    EXPECT_LT(static_cast<int>(above.level), static_cast<int>(ranges[i].level)) << i;
  }
}

TEST(Ranges, CostsOfOperationsAddUpToTheirLayersPhasesAndPlan) {
  for (const std::string& name : builtin_model_names()) {
    ModelConfig config = *builtin_model(name);
    config.head = HeadKind::classes;
    const Shape shape = uniform_shape(2, 9, 70, 2, 3);
    for (const Variant variant : {Variant::full, Variant::decomposed, Variant::cached}) {
      const Plan plan = make_plan(config, variant, 1, Order::question_first);
      const PlanCost cost = cost_of(config, plan, shape);
      const auto ranges = plan_ranges(config, plan, Detail::op);
      std::vector<Cost> sums(ranges.size());
      for (std::size_t i = ranges.size() - 1; i > 0; --i) {
        if (ranges[i].level == Detail::op) {
          sums[i] = range_cost(cost, ranges[i]);
        }
        sums[static_cast<std::size_t>(ranges[i].parent)] += sums[i];
      }
      for (std::size_t i = 0; i < ranges.size(); ++i) {
        const Cost& whole = range_cost(cost, ranges[i]);
        EXPECT_EQ(sums[i].flops(), whole.flops()) << name << ranges[i].name;
        EXPECT_EQ(sums[i].flops_elementwise, whole.flops_elementwise) << name << ranges[i].name;
        EXPECT_EQ(sums[i].flops_nominal, whole.flops_nominal) << name << ranges[i].name;
        EXPECT_EQ(sums[i].bytes_weights, whole.bytes_weights) << name << ranges[i].name;
        EXPECT_EQ(sums[i].bytes_activations, whole.bytes_activations) << name << ranges[i].name;
        EXPECT_EQ(sums[i].bytes_requested, whole.bytes_requested) << name << ranges[i].name;
      }
    }
  }
}

TEST(Ranges, AnOperationIsFoundByNameAndLayer) {
  const Plan plan = make_plan(tiny(), Variant::decomposed, 1, Order::question_first);
  const auto ranges = plan_ranges(tiny(), plan, Detail::op);
  const auto at = find_operation(ranges, "ffn1", 1);
  ASSERT_TRUE(at);
  EXPECT_EQ(ranges[static_cast<std::size_t>(*at)].name, "ffn1");
  EXPECT_EQ(ranges[static_cast<std::size_t>(*at)].layer, 1);
  EXPECT_EQ(find_operation(ranges, "ffn1", 2), std::nullopt);
  EXPECT_EQ(find_operation(ranges, "load", -1), std::nullopt);
  EXPECT_TRUE(find_operation(ranges, "join", -1));
}

}  // namespace
}  // namespace deformer
