#include "model/cost.hpp"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "model/error.hpp"

namespace deformer {
namespace {

ModelConfig model(const char* name) {
  return *builtin_model(name);
}

std::int64_t flops(const ModelConfig& config, Variant variant, std::int64_t split,
                   const Shape& shape) {
  return cost_of(config, make_plan(config, variant, split, Order::question_first), shape)
      .total.flops();
}

double ratio(const ModelConfig& config, Variant variant, std::int64_t split, const Shape& shape) {
  return static_cast<double>(flops(config, Variant::full, 0, shape)) /
         static_cast<double>(flops(config, variant, split, shape));
}

double rounded(double value, int digits) {
  const double scale = std::pow(10.0, digits);
  return std::round(value * scale) / scale;
}

double gigaflops(std::int64_t count) {
  return static_cast<double>(count) / 1e9;
}

TEST(Cost, BertBaseSquadGivesThePapersCheckFigures) {
  const Shape squad = uniform_shape(1, 27, 293);
  const ModelConfig base = model("bert-base");
  EXPECT_DOUBLE_EQ(rounded(gigaflops(flops(base, Variant::full, 0, squad)), 2), 58.13);
  EXPECT_DOUBLE_EQ(rounded(gigaflops(flops(base, Variant::decomposed, 9, squad)), 2), 57.70);
  EXPECT_DOUBLE_EQ(rounded(gigaflops(flops(base, Variant::cached, 9, squad)), 2), 17.99);
  EXPECT_DOUBLE_EQ(rounded(ratio(base, Variant::cached, 9, squad), 2), 3.23);
}

TEST(Cost, BertLargeSquadGivesThePapersCheckFigures) {
  const Shape squad = uniform_shape(1, 27, 293);
  const ModelConfig large = model("bert-large");
  EXPECT_DOUBLE_EQ(rounded(gigaflops(flops(large, Variant::full, 0, squad)), 1), 203.3);
  EXPECT_DOUBLE_EQ(rounded(gigaflops(flops(large, Variant::decomposed, 20, squad)), 1), 202.0);
  EXPECT_DOUBLE_EQ(rounded(gigaflops(flops(large, Variant::cached, 20, squad)), 1), 47.5);
  EXPECT_DOUBLE_EQ(rounded(ratio(large, Variant::cached, 20, squad), 2), 4.28);
}

TEST(Cost, Figure4SpeedupsAreFlopRatiosToRounding) {
  const Shape squad = uniform_shape(1, 27, 293);
  const std::vector<double> base{1.1, 1.2, 1.3, 1.4, 1.6, 1.9, 2.2, 2.6, 3.2, 4.3, 6.4};
  for (std::int64_t k = 1; k <= 11; ++k) {
    EXPECT_DOUBLE_EQ(rounded(ratio(model("bert-base"), Variant::cached, k, squad), 1),
                     base[static_cast<std::size_t>(k - 1)])
        << "k=" << k;
  }
  const std::vector<double> large{2.0, 2.2, 2.4, 2.6, 2.9, 3.2, 3.7, 4.3, 5.1, 6.4, 8.4};
  for (std::int64_t k = 13; k <= 23; ++k) {
    EXPECT_DOUBLE_EQ(rounded(ratio(model("bert-large"), Variant::cached, k, squad), 1),
                     large[static_cast<std::size_t>(k - 13)])
        << "k=" << k;
  }
}

TEST(Cost, Table1TasksGiveTheDerivedRatios) {
  const ModelConfig base = model("bert-base");
  EXPECT_DOUBLE_EQ(rounded(ratio(base, Variant::cached, 9, uniform_shape(1, 32, 480)), 2), 3.42);
  EXPECT_DOUBLE_EQ(rounded(ratio(base, Variant::cached, 9, uniform_shape(1, 17, 303)), 2), 3.48);
  EXPECT_DOUBLE_EQ(rounded(ratio(base, Variant::cached, 9, uniform_shape(1, 33, 87)), 2), 2.21);
  // qqp: 1.47 caching the first text (58 online, 42 cached), 1.78 caching the second.
  EXPECT_DOUBLE_EQ(rounded(ratio(base, Variant::cached, 9, uniform_shape(1, 58, 42)), 2), 1.47);
  EXPECT_DOUBLE_EQ(rounded(ratio(base, Variant::cached, 9, uniform_shape(1, 42, 58)), 2), 1.78);
}

TEST(Cost, LargeOverBaseIs122InFlops) {
  const Shape squad = uniform_shape(1, 27, 293);
  EXPECT_DOUBLE_EQ(rounded(gigaflops(flops(model("bert-base"), Variant::full, 0, squad)) /
                               gigaflops(flops(model("bert-large"), Variant::cached, 20, squad)),
                           2),
                   1.22);
}

TEST(Cost, WithoutTheCacheDecompositionSavesOnePercent) {
  const Shape squad = uniform_shape(1, 27, 293);
  EXPECT_NEAR(ratio(model("bert-base"), Variant::decomposed, 9, squad), 1.0075, 0.001);
}

TEST(Cost, SharingTheArticleSavesEvenWithoutACache) {
  // race: four questions an article; squad has about five questions a passage.
  EXPECT_DOUBLE_EQ(
      rounded(ratio(model("bert-base"), Variant::decomposed, 9, uniform_shape(1, 32, 480, 4, 1)),
              1),
      2.1);
  EXPECT_DOUBLE_EQ(
      rounded(ratio(model("bert-base"), Variant::decomposed, 9, uniform_shape(1, 27, 293, 5, 1)),
              1),
      2.2);
}

TEST(Cost, RByCFollowsTheFormulas) {
  const ModelConfig base = model("bert-base");
  const Shape shape = uniform_shape(2, 27, 293, 4, 3);
  const std::int64_t pair = layer_flops(base, 320);
  const std::int64_t question = layer_flops(base, 27);
  const std::int64_t passage = layer_flops(base, 293);
  EXPECT_EQ(flops(base, Variant::full, 0, shape), 2 * 12 * 12 * pair);
  EXPECT_EQ(flops(base, Variant::decomposed, 9, shape),
            2 * (9 * (4 * question + 3 * passage) + 12 * 3 * pair));
  EXPECT_EQ(flops(base, Variant::cached, 9, shape), 2 * (9 * 4 * question + 12 * 3 * pair));
}

TEST(Cost, LayerFlopsAreThePapersFormula) {
  const ModelConfig base = model("bert-base");
  for (const std::int64_t s : {1, 27, 320, 2048}) {
    EXPECT_EQ(layer_flops(base, s), 24 * 768 * 768 * s + 4 * 768 * s * s);
  }
}

TEST(Cost, XlnetGivesNominalAndNeededCounts) {
  const ModelConfig xlnet = model("xlnet-base");
  const Shape squad = uniform_shape(1, 27, 293);
  const Plan full = make_plan(xlnet, Variant::full, 0, Order::passage_first);
  const PlanCost cost = cost_of(xlnet, full, squad);
  EXPECT_DOUBLE_EQ(rounded(gigaflops(cost.total.flops_nominal), 1), 71.0);
  EXPECT_DOUBLE_EQ(rounded(gigaflops(cost.total.flops_precomputed), 1), 62.0);
  EXPECT_DOUBLE_EQ(rounded(gigaflops(cost.total.flops()), 1), 60.0);
  EXPECT_DOUBLE_EQ(rounded(ratio(xlnet, Variant::cached, 8, squad), 2), 2.60);
  EXPECT_DOUBLE_EQ(rounded(ratio(xlnet, Variant::cached, 8, uniform_shape(1, 32, 480)), 2), 2.71);
  EXPECT_DOUBLE_EQ(rounded(ratio(xlnet, Variant::cached, 8, uniform_shape(1, 17, 303)), 2), 2.74);
}

TEST(Cost, XlnetIssuesABandAroundTheNeededPositionScores) {
  // One block of 8 queries of a sequence of s scores s + 7 distances, of which each query needs s.
  const ModelConfig xlnet = model("xlnet-base");
  const Shape squad = uniform_shape(1, 27, 293);
  const Plan full = make_plan(xlnet, Variant::full, 0, Order::passage_first);
  const Cost cost = cost_of(xlnet, full, squad).total;
  EXPECT_EQ(cost.flops_issued - cost.flops(), std::int64_t{12} * 2 * 320 * 768 * 7);
}

TEST(Cost, BertIsCountedAlikeByAllFour) {
  const Plan full = make_plan(model("bert-base"), Variant::full, 0, Order::question_first);
  const Cost cost = cost_of(model("bert-base"), full, uniform_shape(2, 27, 293)).total;
  EXPECT_EQ(cost.flops_nominal, cost.flops());
  EXPECT_EQ(cost.flops_precomputed, cost.flops());
  EXPECT_EQ(cost.flops_issued, cost.flops());
}

TEST(Cost, XlnetReadsTheProjectedPositionsInsteadOfTheProjection) {
  const ModelConfig xlnet = model("xlnet-base");
  const auto layer_bytes = [&](std::int64_t question, std::int64_t passage) {
    const Plan full = make_plan(xlnet, Variant::full, 0, Order::passage_first);
    return cost_of(xlnet, full, uniform_shape(1, question, passage))
        .phases[1]
        .layers[0]
        .bytes_weights;
  };
  EXPECT_EQ(layer_bytes(27, 293) - layer_bytes(27, 193), 200 * 768 * 4);
  EXPECT_EQ(position_key_bytes(xlnet, 320, DType::f32), std::int64_t{12} * 639 * 768 * 4);
  EXPECT_EQ(position_key_bytes(model("bert-base"), 320, DType::f32), 0);
}

TEST(Cost, CachedBytesDoNotDependOnTheSplit) {
  const ModelConfig base = model("bert-base");
  EXPECT_EQ(cached_passage_bytes(base, 293, DType::f32), 900096);
  EXPECT_EQ(cached_passage_bytes(base, 293, DType::bf16), 450048);
  EXPECT_EQ(cached_passage_bytes(base, 293, DType::int8), 225024 + 293 * 4);
  EXPECT_EQ(cached_passage_bytes(base, 293, DType::bit1), 293 * (96 + 4));
  // The appendix: 150 tokens x 768 x bf16 = 226 KB (225 KiB) a passage.
  EXPECT_EQ(cached_passage_bytes(base, 150, DType::bf16), 230400);
}

TEST(Cost, SavedFlopsPerPairAreThePapers) {
  EXPECT_DOUBLE_EQ(rounded(gigaflops(saved_flops_per_pair(model("bert-base"), 9, 27, 293)), 1),
                   40.1);
  EXPECT_DOUBLE_EQ(rounded(gigaflops(saved_flops_per_pair(model("bert-large"), 20, 27, 293)), 1),
                   155.8);
}

TEST(Cost, CriticalBandwidthIsWhereLoadingEqualsRecomputing) {
  const ModelConfig base = model("bert-base");
  const std::int64_t saved = saved_flops_per_pair(base, 9, 27, 293);
  const double bandwidth = critical_bandwidth(150e9, 900096, saved);
  EXPECT_NEAR(900096.0 / bandwidth, static_cast<double>(saved) / 150e9, 1e-9);
  EXPECT_TRUE(std::isinf(critical_bandwidth(150e9, 900096, 0)));
}

TEST(Cost, RequestedBytesFallAsThePapersMemoryColumn) {
  // Table 1: 70.3, 72.9, 72.0, 56.4 % less, within 5 points.
  const ModelConfig base = model("bert-base");
  const auto reduction = [&base](std::int64_t q, std::int64_t p) {
    const Shape shape = uniform_shape(1, q, p);
    const auto requested = [&](Variant variant) {
      return static_cast<double>(
          cost_of(base, make_plan(base, variant, 9, Order::question_first), shape)
              .total.bytes_requested);
    };
    return 100 * (1 - requested(Variant::cached) / requested(Variant::full));
  };
  EXPECT_NEAR(reduction(27, 293), 70.3, 5);
  EXPECT_NEAR(reduction(32, 480), 72.9, 5);
  EXPECT_NEAR(reduction(17, 303), 72.0, 5);
  EXPECT_NEAR(reduction(33, 87), 56.4, 5);
}

TEST(Cost, PhasesAndLayersSumToTheTotal) {
  ModelConfig base = model("bert-base");
  base.head = HeadKind::span;
  const Plan plan = make_plan(base, Variant::decomposed, 9, Order::question_first);
  const PlanCost cost = cost_of(base, plan, uniform_shape(2, 27, 293));
  Cost sum;
  for (const PhaseCost& phase : cost.phases) {
    Cost layers;
    for (const Cost& layer : phase.layers) {
      layers += layer;
    }
    if (phase.phase.kind == PhaseKind::encode) {
      EXPECT_EQ(layers.flops(), phase.total.flops());
      EXPECT_EQ(layers.bytes_requested, phase.total.bytes_requested);
    }
    sum += phase.total;
  }
  EXPECT_EQ(cost.phases.size(), plan.phases.size());
  EXPECT_EQ(sum.flops(), cost.total.flops());
  EXPECT_EQ(cost.phases.back().total.flops(), 2 * (2 * 320) * 768 * 2);
}

TEST(Cost, RaggedLengthsCountActualTokens) {
  const ModelConfig base = model("bert-base");
  Shape shape = uniform_shape(2, 27, 293);
  shape.passage_tokens = {10, 293};
  EXPECT_EQ(flops(base, Variant::full, 0, shape),
            12 * (layer_flops(base, 37) + layer_flops(base, 320)));
}

TEST(Cost, CountsThatWouldNotFitAreRefused) {
  ModelConfig huge = model("bert-large");
  huge.layers = 1024;
  huge.d_model = 65536;
  huge.d_ff = 65536;
  const Plan plan = make_plan(huge, Variant::full, 0, Order::question_first);
  EXPECT_THROW(cost_of(huge, plan, uniform_shape(4096, 4096, 4096)), BadInput);
}

/// Hugging Face's XLNetModel of xlnet-base-cased has 116 718 336 parameters, mask_emb's 768 among
/// them, which nothing here reads.
TEST(WeightBytes, CountEveryParameterOfXlnetBaseOnce) {
  EXPECT_EQ(total_weight_bytes(*builtin_model("xlnet-base"), DType::f32), (116'718'336 - 768) * 4);
}

}  // namespace
}  // namespace deformer
