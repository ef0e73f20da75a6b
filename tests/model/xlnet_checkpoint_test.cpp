#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "model/weights.hpp"
#include "tests/model/checkpoint_files.hpp"

namespace deformer {
namespace {

using test::read;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kD = 6;
constexpr std::int64_t kHeads = 2;
constexpr std::int64_t kSize = 3;
constexpr std::int64_t kFf = 10;

nlohmann::json config_json() {
  return {{"model_type", "xlnet"}, {"n_layer", 1},     {"d_model", kD},          {"n_head", kHeads},
          {"d_inner", kFf},        {"vocab_size", 11}, {"ff_activation", "gelu"}};
}

class Files : public test::CheckpointFiles {
 public:
  explicit Files(const std::string& prefix = "") : CheckpointFiles(config_json()) {
    add(prefix + "word_embedding.weight", {11, kD});
    add(prefix + "mask_emb", {1, 1, kD});
    const std::string attention = prefix + "layer.0.rel_attn.";
    for (const char* name : {"q", "k", "v", "o", "r"}) add(attention + name, {kD, kHeads, kSize});
    for (const char* name : {"r_r_bias", "r_s_bias", "r_w_bias"}) {
      add(attention + name, {kHeads, kSize});
    }
    add(attention + "seg_embed", {2, kHeads, kSize});
    add_pair(attention + "layer_norm", {kD});
    add_pair(prefix + "layer.0.ff.layer_norm", {kD});
    add_pair(prefix + "layer.0.ff.layer_1", {kFf, kD});
    add_pair(prefix + "layer.0.ff.layer_2", {kD, kFf});
  }
};

TEST(XlnetCheckpoint, ProjectionsAreTurnedAndTheOutputIsNot) {
  Files files;
  const auto source = files.open();
  const auto turned = [&](const char* name) {
    const auto stored = files.values_of(name);  // [in, out]
    std::vector<float> result;
    for (std::size_t out = 0; out < kD; ++out) {
      for (std::size_t in = 0; in < kD; ++in) result.push_back(stored[in * kD + out]);
    }
    return result;
  };
  EXPECT_EQ(read(*source, {Role::query_weight, 0}), turned("layer.0.rel_attn.q"));
  EXPECT_EQ(read(*source, {Role::key_weight, 0}), turned("layer.0.rel_attn.k"));
  EXPECT_EQ(read(*source, {Role::value_weight, 0}), turned("layer.0.rel_attn.v"));
  EXPECT_EQ(read(*source, {Role::position_weight, 0}), turned("layer.0.rel_attn.r"));
  EXPECT_EQ(read(*source, {Role::attention_out_weight, 0}), files.values_of("layer.0.rel_attn.o"));
}

TEST(XlnetCheckpoint, BiasesAndSegmentsAreWhereTheFormulaHasThem) {
  Files files;
  const auto source = files.open();
  const auto is = [&](Role role, const char* name) {
    EXPECT_EQ(read(*source, {role, 0}), files.values_of(name)) << name;
  };
  is(Role::content_bias, "layer.0.rel_attn.r_w_bias");
  is(Role::position_bias, "layer.0.rel_attn.r_r_bias");
  is(Role::segment_bias, "layer.0.rel_attn.r_s_bias");
  is(Role::segment_embedding, "layer.0.rel_attn.seg_embed");
  is(Role::attention_norm_weight, "layer.0.rel_attn.layer_norm.weight");
  is(Role::ffn_norm_bias, "layer.0.ff.layer_norm.bias");
  is(Role::ffn1_weight, "layer.0.ff.layer_1.weight");
  is(Role::ffn2_bias, "layer.0.ff.layer_2.bias");
}

TEST(XlnetCheckpoint, ThePrefixOfFineTunedModelsIsTakenOff) {
  Files files("transformer.");
  files.add_pair("qa_outputs", {2, kD});
  const auto source = files.open();
  EXPECT_EQ(source->config().head, HeadKind::span);
  EXPECT_THAT(source->notes().front(), HasSubstr("\"transformer.\""));
  EXPECT_EQ(read(*source, {Role::content_bias, 0}),
            files.values_of("transformer.layer.0.rel_attn.r_w_bias"));
}

TEST(XlnetCheckpoint, AClassifierIsASummaryAndAProjection) {
  Files files("transformer.");
  files.add_pair("sequence_summary.summary", {kD, kD});
  files.add_pair("logits_proj", {3, kD});
  const auto source = files.open();
  EXPECT_EQ(source->config().head, HeadKind::classes);
  EXPECT_EQ(source->config().classes, 3);
  EXPECT_TRUE(source->config().classifies_by_last_token());
  EXPECT_EQ(read(*source, {Role::pooler_weight}),
            files.values_of("sequence_summary.summary.weight"));
  EXPECT_EQ(read(*source, {Role::head_bias}), files.values_of("logits_proj.bias"));
}

TEST(XlnetCheckpoint, HeadsMustBeApartAsConfigSays) {
  Files files;
  files.at("layer.0.rel_attn.k").shape = {kD, kD};
  EXPECT_THAT(files.error(),
              AllOf(HasSubstr("layer.0.rel_attn.k"), HasSubstr("[6, 2, 3]"), HasSubstr("[6, 6]")));
}

TEST(XlnetCheckpoint, OtherKindsOfAttentionAreRefused) {
  const auto error_with = [](const char* field, const nlohmann::json& value) {
    Files files;
    files.config[field] = value;
    return files.error();
  };
  EXPECT_THAT(error_with("attn_type", "uni"), AllOf(HasSubstr("attn_type"), HasSubstr("\"bi\"")));
  EXPECT_THAT(error_with("bi_data", true), HasSubstr("bi_data"));
  EXPECT_THAT(error_with("clamp_len", 128), HasSubstr("clamp_len"));
  EXPECT_THAT(error_with("d_head", 4), HasSubstr("d_head"));
  EXPECT_THAT(error_with("summary_type", "first"), HasSubstr("summary_type"));
  EXPECT_THAT(error_with("clamp_len", -1), IsEmpty());
}

}  // namespace
}  // namespace deformer
