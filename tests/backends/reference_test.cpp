#include "backends/reference/reference.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "backends/golden.hpp"
#include "cache/codec.hpp"
#include "model/error.hpp"
#include "tests/backends/mutant.hpp"

namespace deformer {
namespace {

using testing::HasSubstr;

ModelConfig small_config() {
  ModelConfig config = *builtin_model("bert-tiny");
  config.name = "small";
  config.layers = 3;
  config.d_model = 36;
  config.heads = 3;
  config.d_ff = 50;
  config.vocab_size = 97;
  return config;
}

/// A batch with its ids: 2 items of r = 2 questions x c = 3 passages, all of different lengths.
struct Batch {
  Shape shape;
  std::vector<std::int32_t> questions, passages;

  Inputs inputs() const { return {questions, passages, {}}; }
};

std::vector<std::int32_t> some_ids(const std::vector<std::int64_t>& tokens, std::int32_t seed) {
  const auto count = std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0});
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = (static_cast<std::int32_t>(i) * 31 + seed) % 97;
  }
  return ids;
}

Batch ragged_batch() {
  Batch batch;
  batch.shape.batch = 2;
  batch.shape.questions_per_item = 2;
  batch.shape.passages_per_item = 3;
  batch.shape.question_tokens = {3, 1, 6, 2};
  batch.shape.passage_tokens = {5, 9, 1, 4, 7, 8};
  batch.questions = some_ids(batch.shape.question_tokens, 5);
  batch.passages = some_ids(batch.shape.passage_tokens, 11);
  return batch;
}

/// The batch's pair alone.
Batch single(const Batch& batch, std::int64_t pair) {
  const auto text = [](const std::vector<std::int32_t>& ids,
                       const std::vector<std::int64_t>& offsets, std::int64_t index) {
    const auto i = static_cast<std::size_t>(index);
    return std::vector<std::int32_t>(ids.begin() + offsets[i], ids.begin() + offsets[i + 1]);
  };
  return {pair_shape(batch.shape, pair),
          text(batch.questions, cumulative_tokens(batch.shape, Segment::question),
               batch.shape.question_of_pair(pair)),
          text(batch.passages, cumulative_tokens(batch.shape, Segment::passage),
               batch.shape.passage_of_pair(pair))};
}

std::vector<ReferenceRequest> all_requests(const ModelConfig& config) {
  std::vector<ReferenceRequest> requests = {{Variant::full, 0}};
  for (std::int64_t split = 0; split <= config.layers; ++split) {
    requests.push_back({Variant::decomposed, split});
  }
  return requests;
}

double largest_difference(std::span<const double> a, std::span<const double> b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

std::vector<double> one_output(const WeightSource& weights, Order order, const Batch& batch,
                               ReferenceRequest request) {
  return reference_outputs(weights, order, batch.shape, batch.inputs(), {&request, 1}).front();
}

// --- against Hugging Face transformers
// ------------------------------------------------------------

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(DEFORMER_TEST_DATA) / "golden")) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::filesystem::path golden_dir(const std::string& name) {
  return std::filesystem::path(DEFORMER_TEST_DATA) / "golden" / name;
}

/// A key's bias adds the same to every score of a query, so softmax does not see it.
std::vector<Role> biases_that_count(const ModelConfig& config) {
  std::vector<Role> roles = {Role::attention_norm_bias, Role::ffn1_bias, Role::ffn2_bias,
                             Role::ffn_norm_bias};
  const std::vector<Role> own =
      config.family == Family::bert
          ? std::vector{Role::embedding_norm_bias, Role::query_bias, Role::value_bias,
                        Role::attention_out_bias}
          : std::vector{Role::content_bias, Role::position_bias, Role::segment_bias};
  roles.insert(roles.end(), own.begin(), own.end());
  return roles;
}

void transpose(std::span<float> matrix, std::int64_t d) {
  const auto size = static_cast<std::size_t>(d);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      std::swap(matrix[i * size + j], matrix[j * size + i]);
    }
  }
}

class ReferenceGolden : public testing::TestWithParam<std::string> {};

TEST_P(ReferenceGolden, SessionsAgreeWithTransformersInEveryVariantAndSplit) {
  const GoldenSet golden = read_golden(golden_dir(GetParam()));
  const auto backend = make_reference_backend();
  const auto model = backend->load(*golden.weights, {});
  double worst = 0.0;
  for (const GoldenCase& one : golden.cases) {
    const CaseOutput output = run_golden_case(*model, one, {});
    const auto parity = compare_rows(output.rows, one.expected, model->config().d_model);
    EXPECT_TRUE(tolerance_for(true, DType::f32, 0.0).accepts(parity))
        << one.name << ": max_abs " << parity.max_abs;
    worst = std::max(worst, parity.max_abs);
    if (!one.expected_head.empty()) {
      const auto head = compare_rows(output.head, one.expected_head, 1);
      EXPECT_LE(head.max_abs, 2e-5) << one.name;
    }
  }
  // Both sides are float64 rounded to f32 once (and the cached passage once more).
  EXPECT_LE(worst, 2e-6);
  RecordProperty("worst_max_abs", std::to_string(worst));
}

TEST_P(ReferenceGolden, ReferenceOutputsAgreeWithTransformersToTheLastBitsOfF32) {
  const GoldenSet golden = read_golden(golden_dir(GetParam()));
  const std::int64_t d = golden.weights->config().d_model;
  for (const GoldenCase& one : golden.cases) {
    const ReferenceRequest request{one.variant, one.split};
    const auto output =
        reference_outputs(*golden.weights, one.order, one.shape(), one.inputs(), {&request, 1});
    const auto parity = compare_rows(output.front(), one.expected, d);
    EXPECT_LE(parity.max_abs, 5e-7) << one.name;
  }
}

TEST_P(ReferenceGolden, MistakesOfTheUsualKindsMissTheTolerance) {
  const GoldenSet golden = read_golden(golden_dir(GetParam()));
  const ModelConfig& config = golden.weights->config();
  const auto misses = [&](const WeightSource& weights) {
    return std::ranges::any_of(golden.cases, [&](const GoldenCase& one) {
      const ReferenceRequest request{one.variant, one.split};
      const auto output =
          reference_outputs(weights, one.order, one.shape(), one.inputs(), {&request, 1});
      const auto parity = compare_rows(output.front(), one.expected, config.d_model);
      return !tolerance_for(true, DType::f32, 0.0).accepts(parity);
    });
  };
  EXPECT_FALSE(misses(MutantWeights(*golden.weights))) << "the unchanged model";

  MutantWeights gelu(*golden.weights);
  gelu.config_to_change().activation =
      config.activation == Activation::gelu_erf ? Activation::gelu_tanh : Activation::gelu_erf;
  EXPECT_TRUE(misses(gelu)) << "the other GELU";

  if (config.family == Family::bert && GetParam() != "bert-long") {  // which uses its whole table
    MutantWeights positions(*golden.weights);
    positions.config_to_change().max_positions -= 1;
    positions.shift_positions(1);
    EXPECT_TRUE(misses(positions)) << "positions off by one";
  }

  MutantWeights eps(*golden.weights);
  eps.config_to_change().layer_norm_eps = 1e-3;
  EXPECT_TRUE(misses(eps)) << "another eps";

  for (const Role bias : biases_that_count(config)) {
    MutantWeights dropped(*golden.weights);
    dropped.change([&](TensorId id, std::span<float> values) {
      if (id.role == bias) {
        std::ranges::fill(values, 0.0F);
      }
    });
    EXPECT_TRUE(misses(dropped)) << "dropped " << to_string(TensorId{bias, -1});
  }

  if (config.family == Family::xlnet) {
    MutantWeights segments(*golden.weights);
    segments.change([&](TensorId id, std::span<float> values) {
      if (id.role == Role::segment_embedding) {
        std::rotate(values.begin(), values.begin() + config.d_model, values.end());
      }
    });
    EXPECT_TRUE(misses(segments)) << "the two segment embeddings exchanged";

    MutantWeights turned(*golden.weights);
    turned.change([&](TensorId id, std::span<float> values) {
      if (id.role == Role::attention_out_weight) {
        transpose(values, config.d_model);
      }
    });
    EXPECT_TRUE(misses(turned)) << "the output projection turned like the others";
  }
}

INSTANTIATE_TEST_SUITE_P(Directories, ReferenceGolden, testing::ValuesIn(golden_names()),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(ReferenceGoldenData, CoversEveryVariantOrderHeadAndBothEndsOfTheSplit) {
  std::size_t cases = 0;
  std::size_t passage_first = 0, heads = 0, at_zero = 0, at_top = 0, one_token = 0;
  for (const std::string& name : golden_names()) {
    const GoldenSet golden = read_golden(golden_dir(name));
    for (const GoldenCase& one : golden.cases) {
      ++cases;
      passage_first += one.order == Order::passage_first;
      heads += !one.expected_head.empty();
      at_zero += one.variant == Variant::cached && one.split == 0;
      at_top += one.variant == Variant::cached && one.split == golden.weights->config().layers;
      one_token += one.question_ids.size() == 1 || one.passage_ids.size() == 1;
    }
  }
  EXPECT_GE(golden_names().size(), 8U);
  EXPECT_GE(cases, 100U);
  for (const std::size_t count : {passage_first, heads, at_zero, at_top, one_token}) {
    EXPECT_GE(count, 5U);
  }
}

// --- invariances, on random weights
// ---------------------------------------------------------------

TEST(ReferenceOutputs, PairsOfARaggedBatchComeOutAsTheyDoAlone) {
  const auto weights = random_weights(small_config(), 7);
  const Batch batch = ragged_batch();
  const auto requests = all_requests(weights->config());
  const auto d = static_cast<std::size_t>(weights->config().d_model);
  for (const Order order : {Order::question_first, Order::passage_first}) {
    const auto together = reference_outputs(*weights, order, batch.shape, batch.inputs(), requests);
    const auto offsets = cumulative_tokens(batch.shape, Segment::joint);
    for (std::int64_t pair = 0; pair < batch.shape.pairs(); ++pair) {
      const Batch alone = single(batch, pair);
      const auto apart = reference_outputs(*weights, order, alone.shape, alone.inputs(), requests);
      for (std::size_t i = 0; i < requests.size(); ++i) {
        const auto first = static_cast<std::size_t>(offsets[static_cast<std::size_t>(pair)]) * d;
        const auto rows = std::span(together[i]).subspan(first, apart[i].size());
        EXPECT_LE(largest_difference(rows, apart[i]), 1e-12) << "pair " << pair;
      }
    }
  }
}

TEST(ReferenceOutputs, RequestsComputedTogetherEqualThoseComputedAlone) {
  const auto weights = random_weights(small_config(), 3);
  const Batch batch = ragged_batch();
  auto requests = all_requests(weights->config());
  requests.push_back({Variant::cached, 2});
  const auto together =
      reference_outputs(*weights, Order::question_first, batch.shape, batch.inputs(), requests);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto alone = one_output(*weights, Order::question_first, batch, requests[i]);
    EXPECT_EQ(largest_difference(together[i], alone), 0.0) << "request " << i;
  }
}

TEST(ReferenceOutputs, EverySplitIsAnotherFunctionAndZeroIsNotFull) {
  const auto weights = random_weights(small_config(), 3);
  const Batch batch = ragged_batch();
  const auto outputs = reference_outputs(*weights, Order::question_first, batch.shape,
                                         batch.inputs(), all_requests(weights->config()));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_GE(largest_difference(outputs[i], outputs[j]), 1e-3) << i << " and " << j;
    }
  }
}

TEST(ReferenceOutputs, AboveTheLastLayerATextDoesNotKnowTheOther) {
  const auto weights = random_weights(small_config(), 3);
  const ReferenceRequest top{Variant::decomposed, weights->config().layers};
  Batch one{uniform_shape(1, 4, 6), some_ids({4}, 1), some_ids({6}, 2)};
  Batch other = one;
  other.passages = some_ids({6}, 40);
  const auto question = static_cast<std::size_t>(4 * weights->config().d_model);
  const auto a = one_output(*weights, Order::question_first, one, top);
  const auto b = one_output(*weights, Order::question_first, other, top);
  EXPECT_EQ(largest_difference(std::span(a).first(question), std::span(b).first(question)), 0.0);
  EXPECT_GE(largest_difference(a, b), 1e-3);
}

TEST(ReferenceOutputs, NoRequestsNeedNoWork) {
  const auto weights = random_weights(small_config(), 3);
  const Batch batch = ragged_batch();
  EXPECT_TRUE(
      reference_outputs(*weights, Order::question_first, batch.shape, batch.inputs(), {}).empty());
}

TEST(ReferenceOutputs, ASplitBeyondTheLayersIsBadInput) {
  const auto weights = random_weights(small_config(), 3);
  EXPECT_THROW(one_output(*weights, Order::question_first, ragged_batch(), {Variant::cached, 4}),
               BadInput);
}

TEST(ReferenceOutputs, BertBaseAtSquadLengthsTakesSecondsLong) {
  const auto weights = random_weights(*builtin_model("bert-base"), 1);
  Batch batch{uniform_shape(1, 27, 293), some_ids({27}, 1), some_ids({293}, 2)};
  const auto output = one_output(*weights, Order::question_first, batch, {Variant::full, 0});
  EXPECT_EQ(output.size(), 320U * 768U);
  EXPECT_TRUE(std::ranges::all_of(output, [](double x) { return std::isfinite(x); }));
}

// --- the session
// ----------------------------------------------------------------------------------

struct Loaded {
  std::unique_ptr<WeightSource> weights;
  std::unique_ptr<Backend> backend = make_reference_backend();
  std::unique_ptr<Model> model;

  explicit Loaded(const ModelConfig& config) : weights(random_weights(config, 5)) {
    model = backend->load(*weights, {});
  }
};

TEST(ReferenceSession, DecomposedBatchesEqualTheSharedWalk) {
  const Loaded loaded(small_config());
  const Batch batch = ragged_batch();
  for (const ReferenceRequest& request : all_requests(loaded.model->config())) {
    const Plan plan =
        make_plan(loaded.model->config(), request.variant, request.split, Order::passage_first);
    const auto session = loaded.model->prepare(plan, batch.shape, {});
    session->run(batch.inputs());
    const auto expected = one_output(*loaded.weights, Order::passage_first, batch, request);
    EXPECT_LE(compare_rows(session->output(), expected, 36).max_abs, 1e-6);
    EXPECT_EQ(session->phase_ns().size(), plan.phases.size());
    EXPECT_GT(session->memory().peak_bytes, 0);
    EXPECT_GE(session->memory().requested_bytes, session->memory().peak_bytes);
  }
}

TEST(ReferenceSession, CachedPassagesOfManyItemsGiveWhatDecomposedGives) {
  const Loaded loaded(small_config());
  const ModelConfig& config = loaded.model->config();
  const Batch batch = ragged_batch();
  const auto prefill =
      loaded.model->prepare(make_prefill_plan(config, 2, Order::question_first), batch.shape, {});
  prefill->run({{}, batch.passages, {}});
  const auto rows = prefill->output();
  std::vector<const std::byte*> passages;
  const auto offsets = cumulative_tokens(batch.shape, Segment::passage);
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    passages.push_back(
        std::as_bytes(rows.subspan(static_cast<std::size_t>(offsets[i] * 36))).data());
  }
  const auto session = loaded.model->prepare(
      make_plan(config, Variant::cached, 2, Order::question_first), batch.shape, {});
  session->run({batch.questions, {}, passages});
  const auto expected =
      one_output(*loaded.weights, Order::question_first, batch, {Variant::decomposed, 2});
  EXPECT_LE(compare_rows(session->output(), expected, 36).max_abs, 1e-5);
}

TEST(ReferenceSession, KeepsTheStatesThatWereAskedForOfEverySegmentThatHasThem) {
  const Loaded loaded(small_config());
  const Batch batch = ragged_batch();
  SessionOptions options;
  options.keep_layers = {0, 2, 3};
  const auto session = loaded.model->prepare(
      make_plan(loaded.model->config(), Variant::decomposed, 2, Order::question_first), batch.shape,
      options);
  session->run(batch.inputs());
  const auto rows_of = [&](Segment segment) {
    return static_cast<std::size_t>(cumulative_tokens(batch.shape, segment).back() * 36);
  };
  EXPECT_EQ(session->layer_output(Segment::question, 0).size(), rows_of(Segment::question));
  EXPECT_EQ(session->layer_output(Segment::passage, 2).size(), rows_of(Segment::passage));
  EXPECT_EQ(session->layer_output(Segment::joint, 2).size(), rows_of(Segment::joint));
  EXPECT_TRUE(std::ranges::equal(session->layer_output(Segment::joint, 3), session->output()));
  EXPECT_TRUE(session->layer_output(Segment::joint, 0).empty());
  EXPECT_TRUE(session->layer_output(Segment::passage, 1).empty());
}

std::vector<float> head_of(const Loaded& loaded, const Batch& batch) {
  const auto session = loaded.model->prepare(
      make_plan(loaded.model->config(), Variant::full, 0, Order::question_first), batch.shape, {});
  session->run(batch.inputs());
  const auto head = session->head_output();
  return {head.begin(), head.end()};
}

TEST(ReferenceSession, HeadsGiveEveryPairWhatItHasAlone) {
  ModelConfig config = small_config();
  config.classes = 5;
  const Batch batch = ragged_batch();
  for (const HeadKind head : {HeadKind::span, HeadKind::classes, HeadKind::none}) {
    config.head = head;
    const Loaded loaded(config);
    std::vector<float> apart;
    for (std::int64_t pair = 0; pair < batch.shape.pairs(); ++pair) {
      const auto one = head_of(loaded, single(batch, pair));
      apart.insert(apart.end(), one.begin(), one.end());
    }
    const auto together = head_of(loaded, batch);
    const auto tokens =
        static_cast<std::size_t>(cumulative_tokens(batch.shape, Segment::joint).back());
    EXPECT_EQ(together.size(), head == HeadKind::none   ? 0
                               : head == HeadKind::span ? tokens * 2
                                                        : 12U * 5U);
    EXPECT_LE(compare_rows(together, apart, 1).max_abs, 1e-6);
  }
}

TEST(ReferenceModel, ARealPositionTableIsNotExceededAndAGrowingOneGrows) {
  ModelConfig config = small_config();
  config.max_positions = 8;
  const Shape shape = uniform_shape(1, 4, 5);
  const Loaded growing(config);
  const Plan full = make_plan(config, Variant::full, 0, Order::question_first);
  EXPECT_NO_THROW(growing.model->prepare(full, shape, {}));
  config.positions_grow = false;
  const Loaded real(config);
  const Plan split = make_plan(config, Variant::decomposed, 1, Order::question_first);
  EXPECT_NO_THROW(real.model->prepare(split, shape, {})) << "positions restart: 5 fit";
  try {
    real.model->prepare(full, shape, {});
    FAIL() << "9 tokens in a table of 8";
  } catch (const BadInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("8 tokens"));
    EXPECT_THAT(error.what(), HasSubstr("9 tokens"));
  }
}

TEST(ReferenceBackend, ComputesAnyDTypeOfBothFamilies) {
  const auto backend = make_reference_backend();
  EXPECT_EQ(backend->info().name, "reference");
  EXPECT_EQ(backend->info().unavailable, "");
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::int8, DType::fp8}) {
    EXPECT_EQ(backend->why_not(small_config(), dtype, DType::f32), std::nullopt);
    EXPECT_EQ(backend->why_not(*builtin_model("xlnet-base"), dtype, DType::f32), std::nullopt);
  }
}

}  // namespace
}  // namespace deformer
