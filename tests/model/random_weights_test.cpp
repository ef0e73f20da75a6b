#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <stdexcept>

#include "model/error.hpp"
#include "model/weights.hpp"
#include "tests/model/checkpoint_files.hpp"

namespace deformer {
namespace {

using test::read;

ModelConfig tiny(HeadKind head = HeadKind::none) {
  ModelConfig config = *builtin_model("bert-tiny");
  config.head = head;
  return config;
}

struct Moments {
  double mean;
  double deviation;
};

Moments moments(const std::vector<float>& values) {
  double sum = 0;
  double squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  const auto n = static_cast<double>(values.size());
  return {sum / n, std::sqrt(squares / n - sum / n * (sum / n))};
}

TEST(NeededTensors, OfBertAreFiveAndSixteenALayer) {
  EXPECT_EQ(needed_tensors(tiny()).size(), 5U + 2U * 16U);
  EXPECT_EQ(needed_tensors(tiny(HeadKind::span)).size(), 5U + 2U * 16U + 2U);
  EXPECT_EQ(needed_tensors(tiny(HeadKind::classes)).size(), 5U + 2U * 16U + 4U);
}

TEST(NeededTensors, OfBertBaseHoldThePublishedNumberOfParameters) {
  std::int64_t parameters = 0;
  ModelConfig config = *builtin_model("bert-base");
  config.head = HeadKind::classes;  // brings the pooler that the published count includes
  for (const TensorId id : needed_tensors(config)) {
    if (id.role == Role::head_weight || id.role == Role::head_bias) continue;
    const auto shape = tensor_shape(config, id);
    parameters += std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  }
  EXPECT_EQ(parameters, 109'482'240);
}

TEST(NeededTensors, ComeEmbeddingsFirstThenLayersThenHead) {
  const auto ids = needed_tensors(tiny(HeadKind::span));
  EXPECT_EQ(ids.front(), (TensorId{Role::word_embedding}));
  EXPECT_EQ(ids[5], (TensorId{Role::query_weight, 0}));
  EXPECT_EQ(ids[21], (TensorId{Role::query_weight, 1}));
  EXPECT_EQ(ids.back(), (TensorId{Role::head_bias}));
  EXPECT_EQ(to_string(ids[21]), "layer 1 query_weight");
  EXPECT_EQ(to_string(ids.front()), "word_embedding");
}

TEST(TensorShape, HasTheOutputsFirst) {
  const ModelConfig config = tiny(HeadKind::classes);
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(tensor_shape(config, {Role::ffn1_weight, 0}), (Shape{512, 128}));
  EXPECT_EQ(tensor_shape(config, {Role::ffn2_weight, 0}), (Shape{128, 512}));
  EXPECT_EQ(tensor_shape(config, {Role::ffn1_bias, 0}), (Shape{512}));
  EXPECT_EQ(tensor_shape(config, {Role::head_weight}), (Shape{2, 128}));
  EXPECT_EQ(tensor_shape(config, {Role::position_embedding}), (Shape{512, 128}));
}

// These values are in everybody's records: a change of any of them is a change of every seeded
// model.
TEST(RandomWeights, NeverDrift) {
  const auto source = random_weights(tiny(HeadKind::span), 1);
  EXPECT_EQ(source->hash(), "seed:1");
  const auto first_four = [&](TensorId id) {
    auto values = read(*source, id);
    values.resize(4);
    return values;
  };
  EXPECT_EQ(first_four({Role::word_embedding}),
            (std::vector<float>{0x1.9a0512p-6F, 0x1.d16fd2p-9F, -0x1.09c64cp-5F, -0x1.4aecfap-8F}));
  EXPECT_EQ(first_four({Role::query_weight, 1}),
            (std::vector<float>{0x1.3dcbf8p-8F, -0x1.e45e3cp-6F, 0x1.ee4214p-9F, 0x1.68db04p-7F}));
  EXPECT_EQ(first_four({Role::ffn_norm_weight, 0}),
            (std::vector<float>{0x1.f6f1cp-1F, 0x1.1c5c8cp+0F, 0x1.16bde8p+0F, 0x1.17cc48p+0F}));
  EXPECT_EQ(first_four({Role::ffn1_bias, 1}),
            (std::vector<float>{0x1.7f4276p-6F, 0x1.cfab8ap-7F, 0x1.b51adp-5F, 0x1.8cdb3p-6F}));
}

TEST(RandomWeights, HaveBertsDeviationInMatricesAndVisibleNormsAndBiases) {
  const auto source = random_weights(tiny(HeadKind::classes), 7);
  for (const TensorId id : needed_tensors(source->config())) {
    const bool matrix = tensor_shape(source->config(), id).size() == 2;
    const std::string name = to_string(id);
    const bool norm_weight = name.ends_with("norm_weight");
    if (id.role == Role::head_bias || id.role == Role::head_weight) continue;  // too few to tell
    const auto [mean, deviation] = moments(read(*source, id));
    const double expected = matrix ? 0.02 : 0.1;
    EXPECT_NEAR(mean, norm_weight ? 1.0 : 0.0, expected * 0.35) << name;
    EXPECT_NEAR(deviation, expected, expected * 0.25) << name;
  }
}

TEST(RandomWeights, DifferBetweenSeedsTensorsAndLayers) {
  const auto one = random_weights(tiny(), 1);
  const auto two = random_weights(tiny(), 2);
  const TensorId query{Role::query_weight, 0};
  EXPECT_EQ(read(*one, query), read(*random_weights(tiny(), 1), query));
  EXPECT_NE(read(*one, query), read(*two, query));
  EXPECT_NE(read(*one, query), read(*one, {Role::key_weight, 0}));
  EXPECT_NE(read(*one, query), read(*one, {Role::query_weight, 1}));
}

TEST(RandomWeights, RowsAreThoseOfTheWholeTable) {
  const auto source = random_weights(tiny(), 3);
  const auto whole = read(*source, {Role::word_embedding});
  std::vector<float> rows(2 * 128);
  source->read_rows(Role::word_embedding, 30'520, rows);
  EXPECT_EQ(rows, std::vector<float>(whole.end() - 2 * 128, whole.end()));
}

TEST(RandomWeights, PositionTableGrowsOnlyWhereItMay) {
  ModelConfig config = tiny();
  std::vector<float> row(128);
  EXPECT_NO_THROW(random_weights(config, 1)->read_rows(Role::position_embedding, 65'535, row));
  config.positions_grow = false;
  const auto fixed = random_weights(config, 1);
  EXPECT_NO_THROW(fixed->read_rows(Role::position_embedding, 511, row));
  EXPECT_THROW(fixed->read_rows(Role::position_embedding, 512, row), std::invalid_argument);
  EXPECT_THROW(fixed->read_rows(Role::position_embedding, -1, row), std::invalid_argument);
}

TEST(RandomWeights, RefuseTensorsTheModelLacksAndWrongRoom) {
  const auto source = random_weights(tiny(), 1);
  std::vector<float> matrix(128 * 128);
  EXPECT_NO_THROW(source->read({Role::query_weight, 1}, matrix));
  EXPECT_THROW(source->read({Role::query_weight, 2}, matrix), std::invalid_argument);
  EXPECT_THROW(source->read({Role::query_weight}, matrix), std::invalid_argument);
  EXPECT_THROW(source->read({Role::pooler_weight}, matrix), std::invalid_argument);
  EXPECT_THROW(source->read({Role::query_bias, 0}, matrix), std::invalid_argument);
  EXPECT_THROW(source->read_rows(Role::query_weight, 0, matrix), std::invalid_argument);
  EXPECT_THROW(source->read_rows(Role::word_embedding, 0, std::span(matrix).first(100)),
               std::invalid_argument);
  EXPECT_THROW(source->read_rows(Role::word_embedding, 30'522 - 127, matrix),
               std::invalid_argument);
}

ModelConfig tiny_xlnet() {
  ModelConfig config = *builtin_model("xlnet-base");
  config.layers = 2;
  config.d_model = 128;
  config.heads = 2;
  config.d_ff = 512;
  return config;
}

TEST(RandomWeights, OfXlnetHaveItsTensorsAndNoOthers) {
  const auto source = random_weights(tiny_xlnet(), 1);
  std::vector<std::string> first_layer;
  for (const TensorId id : needed_tensors(source->config())) {
    if (id.layer == 0) first_layer.push_back(to_string(id).substr(8));
    EXPECT_NO_THROW(read(*source, id)) << to_string(id);
  }
  EXPECT_EQ(first_layer,
            (std::vector<std::string>{
                "query_weight", "key_weight", "value_weight", "position_weight", "content_bias",
                "position_bias", "segment_bias", "segment_embedding", "attention_out_weight",
                "attention_norm_weight", "attention_norm_bias", "ffn1_weight", "ffn1_bias",
                "ffn2_weight", "ffn2_bias", "ffn_norm_weight", "ffn_norm_bias"}));
}

TEST(RandomWeights, OfXlnetHaveVisibleBiasesAndSegmentEmbeddings) {
  const auto source = random_weights(tiny_xlnet(), 1);
  for (const Role role :
       {Role::content_bias, Role::position_bias, Role::segment_bias, Role::segment_embedding}) {
    const auto [mean, deviation] = moments(read(*source, {role, 1}));
    EXPECT_NEAR(deviation, 0.1, 0.025) << to_string({role, 1});
  }
  const auto [mean, deviation] = moments(read(*source, {Role::position_weight, 1}));
  EXPECT_NEAR(deviation, 0.02, 0.001);
}

}  // namespace
}  // namespace deformer
