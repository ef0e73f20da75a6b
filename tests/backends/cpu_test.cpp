#include "backends/cpu/cpu.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>

#include "backends/golden.hpp"
#include "backends/reference/reference.hpp"
#include "cache/codec.hpp"
#include "model/error.hpp"
#include "tests/backends/batches.hpp"

namespace deformer {
namespace {

using testing::HasSubstr;

TEST(CpuBackend, AgreesWithTheReferenceOnBertTiny) {
  ModelConfig config = *builtin_model("bert-tiny");
  config.vocab_size = 97;
  expect_parity_everywhere(config, Batch(ragged_shape()));
}

TEST(CpuBackend, AgreesWithTheReferenceOnOddHeads) {
  expect_parity_everywhere(odd_config(45, 5, 61), Batch(ragged_shape()));
  expect_parity_everywhere(odd_config(33, 3, 130), Batch(ragged_shape()));
}

TEST(CpuBackend, AgreesWithTheReferenceOnOneWideHead) {
  expect_parity_everywhere(odd_config(45, 1, 45), Batch(ragged_shape()));
}

TEST(CpuBackend, AgreesWithTheReferenceOnOneTokenTexts) {
  expect_parity_everywhere(odd_config(32, 4, 64), Batch(uniform_shape(1, 1, 1)));
}

TEST(CpuBackend, AgreesWithTheReferenceAtEveryShortLength) {
  const Both both(odd_config(24, 2, 40));
  for (std::int64_t passage = 1; passage <= 60; ++passage) {
    both.expect_parity(Variant::full, 0, Order::question_first,
                       Batch(uniform_shape(1, 3, passage)));
  }
}

TEST(CpuBackend, AgreesWithTheReferenceOnLongSequences) {
  const Both both(odd_config(32, 4, 64), 2048);
  both.expect_parity(Variant::full, 0, Order::question_first, Batch(uniform_shape(1, 42, 2006)));
}

TEST(CpuBackend, AgreesWithTheReferenceWithTanhGelu) {
  ModelConfig config = odd_config(45, 5, 61);
  config.activation = Activation::gelu_tanh;
  const Both both(config);
  both.expect_parity(Variant::decomposed, 1, Order::question_first, Batch(ragged_shape()));
}

TEST(CpuBackend, AgreesWithTheReferenceOnItsHeads) {
  ModelConfig config = odd_config(45, 5, 61);
  for (const HeadKind head : {HeadKind::span, HeadKind::classes}) {
    config.head = head;
    config.classes = 3;
    const Both both(config);
    const Batch batch(ragged_shape());
    for (const Variant variant : kVariants) {
      both.expect_parity(variant, 1, Order::question_first, batch);
      both.expect_parity(variant, 1, Order::passage_first, batch);
    }
    const Result result = run(*both.cpu, Variant::full, 0, Order::question_first, batch);
    EXPECT_EQ(result.head.size(),
              head == HeadKind::classes ? 12U * 3U : result.rows.size() / 45 * 2);
  }
}

TEST(CpuBackend, AgreesWithTheReferenceOnBf16Passages) {
  const Both both(odd_config(45, 5, 61));
  const Batch batch(ragged_shape());
  const SessionOptions options{.cache_dtype = DType::bf16, .keep_layers = {}};
  // The same encoded passages for both: own ones could round to different sides.
  const Cached cached = encode_passages(*both.reference, batch, 1, Order::question_first, options);
  Inputs inputs = batch.inputs();
  inputs.cached_passages = cached.passages;
  const Plan plan = make_plan(both.weights->config(), Variant::cached, 1, Order::question_first);
  const auto found = both.cpu->prepare(plan, batch.shape, options);
  const auto expected = both.reference->prepare(plan, batch.shape, options);
  found->run(inputs);
  expected->run(inputs);
  EXPECT_LE(max_abs(found->output(), expected->output()), kTolerance);
}

TEST(CpuBackend, KeepsTheStatesItIsAskedFor) {
  const Both both(odd_config(45, 5, 61, 3));
  const Batch batch(ragged_shape());
  const SessionOptions options{.keep_layers = {0, 1, 2, 3}};
  const Plan plan =
      make_plan(both.weights->config(), Variant::decomposed, 2, Order::question_first);
  const auto found = both.cpu->prepare(plan, batch.shape, options);
  const auto expected = both.reference->prepare(plan, batch.shape, options);
  found->run(batch.inputs());
  expected->run(batch.inputs());
  for (const Segment segment : {Segment::question, Segment::passage, Segment::joint}) {
    for (std::int64_t layers = 0; layers <= 3; ++layers) {
      const bool exists = segment == Segment::joint ? layers >= 2 : layers <= 2;
      EXPECT_EQ(found->layer_output(segment, layers).empty(), !exists);
      EXPECT_LE(
          max_abs(found->layer_output(segment, layers), expected->layer_output(segment, layers)),
          kTolerance);
    }
  }
}

TEST(CpuBackend, APairIsTheSameAloneAndInARaggedBatch) {
  const ModelConfig config = odd_config(45, 5, 61);
  const auto weights = random_weights(config, 7);
  const auto model = make_cpu_backend()->load(*weights, {});
  const Batch batch(ragged_shape());
  const auto offsets = cumulative_tokens(batch.shape, Segment::joint);
  for (const Variant variant : kVariants) {
    const Result all = run(*model, variant, 1, Order::question_first, batch);
    for (std::int64_t pair = 0; pair < batch.shape.pairs(); ++pair) {
      const Result alone = run(*model, variant, 1, Order::question_first, single(batch, pair));
      const auto rows = std::span(all.rows).subspan(
          static_cast<std::size_t>(offsets[static_cast<std::size_t>(pair)] * 45),
          alone.rows.size());
      EXPECT_LE(max_abs(alone.rows, rows), kSameTolerance) << "pair " << pair;
    }
  }
}

TEST(CpuBackend, CachedAndDecomposedAreTheSame) {
  const ModelConfig config = odd_config(64, 4, 128);
  const auto weights = random_weights(config, 7);
  const auto model = make_cpu_backend()->load(*weights, {});
  const Batch batch(ragged_shape());
  const Result decomposed = run(*model, Variant::decomposed, 1, Order::question_first, batch);
  const Result cached = run(*model, Variant::cached, 1, Order::question_first, batch);
  EXPECT_EQ(max_abs(decomposed.rows, cached.rows), 0.0);
}

TEST(CpuBackend, ThreadCountsCanBeMixed) {
  const ModelConfig config = odd_config(64, 4, 128);
  const auto weights = random_weights(config, 7);
  const auto model = make_cpu_backend()->load(*weights, {.threads = 2});
  const Batch batch(ragged_shape());
  const Plan plan = make_plan(config, Variant::full, 0, Order::question_first);
  const auto one = model->prepare(plan, batch.shape, {.threads = 1, .keep_layers = {}});
  const auto three = model->prepare(plan, batch.shape, {.threads = 3, .keep_layers = {}});
  one->run(batch.inputs());
  const std::vector<float> first(one->output().begin(), one->output().end());
  three->run(batch.inputs());
  EXPECT_LE(max_abs(first, three->output()), kSameTolerance);
  one->run(batch.inputs());
  EXPECT_EQ(max_abs(first, one->output()), 0.0);
}

TEST(CpuBackend, SessionsOfAModelShareOneArena) {
  const ModelConfig config = odd_config(64, 4, 128);
  const auto weights = random_weights(config, 7);
  const auto model = make_cpu_backend()->load(*weights, {});
  const Plan plan = make_plan(config, Variant::full, 0, Order::question_first);
  const Batch small(uniform_shape(1, 3, 5));
  const auto before = model->prepare(plan, small.shape, {});
  before->run(small.inputs());
  const std::vector<float> expected(before->output().begin(), before->output().end());

  const Batch large(uniform_shape(4, 30, 300));
  const auto after = model->prepare(plan, large.shape, {});
  EXPECT_EQ(max_abs(expected, before->output()), 0.0) << "preparing must not disturb an output";
  after->run(large.inputs());
  before->run(small.inputs());
  EXPECT_EQ(max_abs(expected, before->output()), 0.0);
  const std::int64_t distance = std::abs(before->output().data() - after->output().data());
  EXPECT_LT(distance * 4, after->memory().peak_bytes);
  EXPECT_GT(after->memory().peak_bytes, before->memory().peak_bytes);
}

TEST(CpuBackend, MemoryIsReusedBetweenLayers) {
  const ModelConfig config = odd_config(64, 4, 256, 8);
  const auto weights = random_weights(config, 7);
  const auto model = make_cpu_backend()->load(*weights, {});
  const Plan plan = make_plan(config, Variant::full, 0, Order::question_first);
  const auto session = model->prepare(plan, uniform_shape(1, 20, 236), {});
  const std::int64_t row_bytes = 256 * 64 * 4;
  EXPECT_GE(session->memory().peak_bytes, 5 * row_bytes);  // hidden + QKV + context
  // By AMX attention's operands in three parts take 4.4 of these and those of products 7.
  EXPECT_LT(session->memory().peak_bytes, 18 * row_bytes);
  EXPECT_GE(session->memory().requested_bytes, 8 * 12 * row_bytes);
}

TEST(CpuBackend, TimesEveryPhase) {
  const ModelConfig config = odd_config(64, 4, 128);
  const auto weights = random_weights(config, 7);
  const auto model = make_cpu_backend()->load(*weights, {});
  const Plan plan = make_plan(config, Variant::decomposed, 1, Order::question_first);
  const Batch batch(uniform_shape(1, 30, 300));
  const auto session = model->prepare(plan, batch.shape, {});
  session->run(batch.inputs());
  ASSERT_EQ(session->phase_ns().size(), plan.phases.size());
  EXPECT_TRUE(std::ranges::all_of(session->phase_ns(), [](std::int64_t ns) { return ns > 0; }));
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const BadInput& error) {
    return error.what();
  }
  return "nothing thrown";
}

TEST(CpuBackend, RefusesShapesBeyondThePositionTable) {
  ModelConfig config = odd_config(32, 4, 64);
  config.max_positions = 64;
  const Plan plan = make_plan(config, Variant::full, 0, Order::question_first);
  const auto prepare = [&](bool grow) {
    config.positions_grow = grow;
    const auto weights = random_weights(config, 7);
    const auto model = make_cpu_backend()->load(*weights, {.positions = 80});
    model->prepare(plan, uniform_shape(1, 20, grow ? 60 : 44), {});
    model->prepare(plan, uniform_shape(1, 20, 61), {});
  };
  EXPECT_THAT(message_of([&] { prepare(false); }),
              testing::AllOf(HasSubstr("64"), HasSubstr("81")));
  EXPECT_THAT(message_of([&] { prepare(true); }), testing::AllOf(HasSubstr("80"), HasSubstr("81")));
}

TEST(CpuBackend, SaysWhatItCannotDo) {
  const auto backend = make_cpu_backend();
  const ModelConfig bert = *builtin_model("bert-base");
  EXPECT_EQ(backend->why_not(bert, DType::f32, DType::bf16), std::nullopt);
  EXPECT_EQ(backend->why_not(*builtin_model("xlnet-base"), DType::f32, DType::bf16), std::nullopt);
  EXPECT_THAT(backend->why_not(bert, DType::f16, DType::f32).value_or(""), HasSubstr("f16"));
  EXPECT_THAT(backend->why_not(bert, DType::f32, DType::fp8).value_or(""), HasSubstr("fp8"));
}

TEST(CpuBackend, NamesItsLibraries) {
  EXPECT_THAT(
      make_cpu_backend()->info().description,
      testing::MatchesRegex("products of our own [(].+[)], oneDNN [0-9.]+ [(].+[)], OpenMP"));
  EXPECT_EQ(make_cpu_backend()->info().unavailable, "");
  EXPECT_EQ(cpu_libraries().size(), 4U);
}

TEST(CpuBackend, ReproducesTheGoldenData) {
  int directories = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(DEFORMER_TEST_DATA) / "golden")) {
    const GoldenSet golden = read_golden(entry.path());
    const auto backend = make_cpu_backend();
    if (backend->why_not(golden.weights->config(), DType::f32, DType::f32)) {
      continue;
    }
    ++directories;
    const auto model = backend->load(*golden.weights, {});
    for (const GoldenCase& one : golden.cases) {
      const CaseOutput output = run_golden_case(*model, one, {});
      const ParityResult parity =
          compare_rows(std::span<const float>(output.rows), std::span<const float>(one.expected),
                       model->config().d_model);
      const Tolerance tolerance = tolerance_for(false, DType::f32, largest_magnitude(one.expected));
      EXPECT_TRUE(tolerance.accepts(parity))
          << entry.path().filename() << " " << one.name << ": " << parity.max_abs;
      if (!one.expected_head.empty()) {
        EXPECT_LE(max_abs(output.head, one.expected_head), kTolerance) << one.name;
      }
    }
  }
  EXPECT_GT(directories, 0);
}

}  // namespace
}  // namespace deformer
