/// XLNet on the CPU backend against the float64 reference.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/error.hpp"
#include "tests/backends/batches.hpp"

namespace deformer {
namespace {

using testing::HasSubstr;

ModelConfig odd_xlnet(std::int64_t d, std::int64_t heads, std::int64_t d_ff) {
  ModelConfig config = odd_config(d, heads, d_ff);
  config.family = Family::xlnet;
  config.max_positions = 0;
  return config;
}

void expect_xlnet_everywhere(const ModelConfig& config, const Batch& batch) {
  const Both both(config);
  both.expect_parity(Variant::full, 0, Order::passage_first, batch);
  for (std::int64_t split = 0; split <= config.layers; ++split) {
    both.expect_parity(Variant::decomposed, split, Order::passage_first, batch);
    both.expect_parity(Variant::cached, split, Order::passage_first, batch);
  }
}

TEST(CpuXlnet, AgreesWithTheReferenceOnRaggedBatches) {
  expect_xlnet_everywhere(odd_xlnet(64, 2, 96), Batch(ragged_shape()));
  expect_xlnet_everywhere(odd_xlnet(46, 2, 61), Batch(ragged_shape()));
  expect_xlnet_everywhere(odd_xlnet(36, 3, 130), Batch(ragged_shape()));
  expect_xlnet_everywhere(odd_xlnet(70, 1, 45), Batch(ragged_shape()));
}

TEST(CpuXlnet, AgreesWithTheReferenceOnOneTokenTexts) {
  expect_xlnet_everywhere(odd_xlnet(32, 4, 64), Batch(uniform_shape(1, 1, 1)));
}

// More keys than are scored at a time.
TEST(CpuXlnet, AgreesWithTheReferenceOnLongSequences) {
  const Both both(odd_xlnet(32, 4, 64), 2048);
  both.expect_parity(Variant::full, 0, Order::passage_first, Batch(uniform_shape(1, 42, 2006)));
  both.expect_parity(Variant::decomposed, 1, Order::passage_first,
                     Batch(uniform_shape(1, 30, 1030)));
}

TEST(CpuXlnet, AgreesWithTheReferenceOnItsHeads) {
  ModelConfig config = odd_xlnet(46, 2, 61);
  for (const HeadKind head : {HeadKind::span, HeadKind::classes}) {
    config.head = head;
    config.classes = 3;
    const Both both(config);
    for (const Variant variant : kVariants) {
      both.expect_parity(variant, 1, Order::passage_first, Batch(ragged_shape()));
    }
  }
}

// Packing must not move a text's tokens apart or together: distances are those of the pair alone.
TEST(CpuXlnet, APairIsTheSameAloneAndInARaggedBatch) {
  const auto weights = random_weights(odd_xlnet(46, 2, 61), 7);
  const auto model = make_cpu_backend()->load(*weights, {});
  const Batch batch(ragged_shape());
  const auto offsets = cumulative_tokens(batch.shape, Segment::joint);
  for (const Variant variant : kVariants) {
    const Result all = run(*model, variant, 1, Order::passage_first, batch, {.threads = 3});
    for (std::int64_t pair = 0; pair < batch.shape.pairs(); ++pair) {
      const Result alone = run(*model, variant, 1, Order::passage_first, single(batch, pair));
      const auto rows = std::span(all.rows).subspan(
          static_cast<std::size_t>(offsets[static_cast<std::size_t>(pair)] * 46),
          alone.rows.size());
      EXPECT_LE(max_abs(alone.rows, rows), kSameTolerance) << "pair " << pair;
    }
  }
}

// The projected positions are the model's: what they reach changes nothing else.
TEST(CpuXlnet, IsTheSameHoweverFarItsPositionsReach) {
  const auto weights = random_weights(odd_xlnet(64, 2, 96), 7);
  const Batch batch(uniform_shape(1, 20, 60));
  const auto near = make_cpu_backend()->load(*weights, {.positions = 80});
  const auto far = make_cpu_backend()->load(*weights, {.positions = 1000});
  const auto rows = [&](Model& model) {
    return run(model, Variant::full, 0, Order::passage_first, batch).rows;
  };
  EXPECT_LE(max_abs(rows(*near), rows(*far)), 1e-6);
  EXPECT_GT(far->weight_bytes(), near->weight_bytes());
}

TEST(CpuXlnet, RefusesSequencesBeyondItsPositions) {
  const auto weights = random_weights(odd_xlnet(32, 4, 64), 7);
  const auto model = make_cpu_backend()->load(*weights, {.positions = 80});
  // Embedded apart, joined to 81: what counts is the sequence that is encoded.
  const Plan plan = make_plan(model->config(), Variant::decomposed, 1, Order::passage_first);
  model->prepare(plan, uniform_shape(1, 20, 60), {});
  try {
    model->prepare(plan, uniform_shape(1, 20, 61), {});
    FAIL() << "expected BadInput";
  } catch (const BadInput& error) {
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("80"), HasSubstr("81")));
  }
}

}  // namespace
}  // namespace deformer
