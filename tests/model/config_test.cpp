#include "model/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/model/files.hpp"

namespace deformer {
namespace {

using test::bad_input_of;
using test::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

nlohmann::json bert_json() {
  return {{"model_type", "bert"},     {"hidden_act", "gelu"}, {"hidden_size", 128},
          {"num_hidden_layers", 2},   {"vocab_size", 30522},  {"num_attention_heads", 2},
          {"intermediate_size", 512}, {"type_vocab_size", 2}, {"max_position_embeddings", 512},
          {"layer_norm_eps", 1e-12},  {"use_cache", true}};
}

ModelConfig read(const nlohmann::json& config) {
  const TempDir dir;
  return read_hf_config(dir.write("config.json", config.dump()));
}

std::string error_of(std::string_view text) {
  const TempDir dir;
  const auto file = dir.write("config.json", text);
  return bad_input_of([&] { read_hf_config(file); });
}

std::string error_with(const char* field, const nlohmann::json& value) {
  nlohmann::json config = bert_json();
  config[field] = value;
  return error_of(config.dump());
}

TEST(BuiltinModels, AreThoseOfTheInterfaceInItsOrder) {
  EXPECT_THAT(builtin_model_names(), testing::ElementsAre("bert-base", "bert-large", "xlnet-base",
                                                          "xlnet-large", "minilm-l6", "bert-tiny"));
  for (const std::string& name : builtin_model_names()) {
    const auto model = builtin_model(name);
    ASSERT_TRUE(model) << name;
    EXPECT_EQ(model->name, name);
    EXPECT_EQ(model->head, HeadKind::none);
    EXPECT_TRUE(model->positions_grow);
    EXPECT_NO_THROW(validate(*model, name));
  }
  EXPECT_FALSE(builtin_model("bert"));
}

TEST(BuiltinModels, HaveThePublishedSizes) {
  const auto sizes = [](const char* name) {
    const ModelConfig c = *builtin_model(name);
    return std::vector<std::int64_t>{c.layers, c.d_model,    c.heads,
                                     c.d_ff,   c.vocab_size, c.max_positions};
  };
  EXPECT_EQ(sizes("bert-base"), (std::vector<std::int64_t>{12, 768, 12, 3072, 30522, 512}));
  EXPECT_EQ(sizes("bert-large"), (std::vector<std::int64_t>{24, 1024, 16, 4096, 30522, 512}));
  EXPECT_EQ(sizes("xlnet-base"), (std::vector<std::int64_t>{12, 768, 12, 3072, 32000, 0}));
  EXPECT_EQ(sizes("xlnet-large"), (std::vector<std::int64_t>{24, 1024, 16, 4096, 32000, 0}));
  EXPECT_EQ(sizes("minilm-l6"), (std::vector<std::int64_t>{6, 384, 12, 1536, 30522, 512}));
  EXPECT_EQ(sizes("bert-tiny"), (std::vector<std::int64_t>{2, 128, 2, 512, 30522, 512}));
}

TEST(DefaultSplit, IsTheInterfaces) {
  const auto split = [](const char* name) { return default_split(*builtin_model(name)); };
  EXPECT_EQ(split("bert-base"), 9);
  EXPECT_EQ(split("bert-large"), 20);
  EXPECT_EQ(split("xlnet-base"), 8);
  EXPECT_EQ(split("xlnet-large"), 16);
  EXPECT_EQ(split("minilm-l6"), 4);
  EXPECT_EQ(split("bert-tiny"), 1);
  ModelConfig one_layer = *builtin_model("bert-tiny");
  one_layer.layers = 1;
  EXPECT_EQ(default_split(one_layer), 1);
}

TEST(HfConfig, OfBertIsReadWhole) {
  nlohmann::json json = bert_json();
  json["layer_norm_eps"] = 1e-5;
  json["type_vocab_size"] = 3;
  const ModelConfig config = read(json);
  EXPECT_EQ(config.family, Family::bert);
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.d_model, 128);
  EXPECT_EQ(config.heads, 2);
  EXPECT_EQ(config.d_ff, 512);
  EXPECT_EQ(config.vocab_size, 30522);
  EXPECT_EQ(config.max_positions, 512);
  EXPECT_EQ(config.type_vocab_size, 3);
  EXPECT_EQ(config.layer_norm_eps, 1e-5);
  EXPECT_EQ(config.activation, Activation::gelu_erf);
  EXPECT_FALSE(config.positions_grow);
}

TEST(HfConfig, OfXlnetUsesItsOwnKeys) {
  const ModelConfig config = read({{"model_type", "xlnet"},
                                   {"n_layer", 3},
                                   {"d_model", 64},
                                   {"n_head", 4},
                                   {"d_inner", 96},
                                   {"ff_activation", "gelu"},
                                   {"vocab_size", 32000}});
  EXPECT_EQ(config.family, Family::xlnet);
  EXPECT_EQ(config.layers, 3);
  EXPECT_EQ(config.d_model, 64);
  EXPECT_EQ(config.heads, 4);
  EXPECT_EQ(config.d_ff, 96);
  EXPECT_EQ(config.max_positions, 0);
}

TEST(HfConfig, HasDefaultsOnlyForEpsilonAndTypes) {
  nlohmann::json json = bert_json();
  json.erase("layer_norm_eps");
  json.erase("type_vocab_size");
  EXPECT_EQ(read(json).layer_norm_eps, 1e-12);
  EXPECT_EQ(read(json).type_vocab_size, 2);
  for (const char* field :
       {"model_type", "hidden_act", "hidden_size", "num_hidden_layers", "vocab_size",
        "num_attention_heads", "intermediate_size", "max_position_embeddings"}) {
    nlohmann::json without = bert_json();
    without.erase(field);
    EXPECT_THAT(error_of(without.dump()),
                AllOf(HasSubstr("config.json"), HasSubstr(field), HasSubstr("found nothing")));
  }
}

TEST(HfConfig, TellsTheTwoGelusApartAndRefusesOthers) {
  nlohmann::json json = bert_json();
  for (const char* name : {"gelu_new", "gelu_pytorch_tanh", "gelu_tanh"}) {
    json["hidden_act"] = name;
    EXPECT_EQ(read(json).activation, Activation::gelu_tanh) << name;
  }
  EXPECT_THAT(error_with("hidden_act", "relu"), AllOf(HasSubstr("hidden_act"), HasSubstr("relu")));
}

TEST(HfConfig, RefusesWhatWouldBeAnotherComputation) {
  EXPECT_THAT(error_with("model_type", "roberta"),
              AllOf(HasSubstr("roberta"), HasSubstr("bert"), HasSubstr("xlnet")));
  EXPECT_THAT(error_with("position_embedding_type", "relative_key"), HasSubstr("relative_key"));
  EXPECT_THAT(error_with("is_decoder", true), HasSubstr("is_decoder"));
  EXPECT_EQ(error_with("position_embedding_type", "absolute"), "");
}

TEST(HfConfig, RefusesEveryNumberThatIsNotASize) {
  const nlohmann::json wrong[] = {"12",
                                  12.0,
                                  -1,
                                  0,
                                  1'000'000'000'000,
                                  18446744073709551615U,
                                  true,
                                  nullptr,
                                  nlohmann::json::array({12}),
                                  1e300};
  for (const char* field : {"hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads",
                            "intermediate_size", "max_position_embeddings", "type_vocab_size"}) {
    for (const nlohmann::json& value : wrong) {
      EXPECT_THAT(error_with(field, value), AllOf(HasSubstr("config.json"), HasSubstr(field),
                                                  HasSubstr("expected"), HasSubstr("found")))
          << value;
    }
  }
  EXPECT_THAT(error_with("num_attention_heads", 3),
              AllOf(HasSubstr("\"num_attention_heads\""), HasSubstr("divisor")));
}

TEST(HfConfig, RefusesAnEpsilonThatIsNotASmallPositiveNumber) {
  for (const nlohmann::json& value : {nlohmann::json(-1e-12), nlohmann::json(0), nlohmann::json(2),
                                      nlohmann::json("1e-12"), nlohmann::json(nullptr)}) {
    EXPECT_THAT(error_with("layer_norm_eps", value), HasSubstr("field \"layer_norm_eps\""))
        << value;
  }
  ModelConfig config = *builtin_model("bert-tiny");
  config.layer_norm_eps = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(bad_input_of([&] { validate(config, "here"); }), HasSubstr("here"));
}

TEST(HfConfig, RefusesFilesThatAreNotOneJsonObject) {
  EXPECT_THAT(error_of(""), HasSubstr("malformed"));
  EXPECT_THAT(error_of("{\"model_type\": NaN}"), HasSubstr("malformed"));
  EXPECT_THAT(error_of("[1]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error_of(bert_json().dump() + std::string("\0x", 2)), HasSubstr("NUL"));
  EXPECT_THAT(error_of("{\"a\":1,\"a\":2}"), HasSubstr("twice"));
  EXPECT_THAT(error_of("{\"a\":" + std::string(5'000'000, '[')), HasSubstr("nested"));
  EXPECT_THAT(error_of(std::string("{\"a\":\"\xff\"}")), HasSubstr("malformed"));
  const TempDir dir;
  EXPECT_THAT(bad_input_of([&] { read_hf_config(dir.path()); }), HasSubstr("a directory"));
  EXPECT_THAT(bad_input_of([&] { read_hf_config(dir.path() / "none"); }),
              HasSubstr("no such file"));
}

TEST(HfConfig, MessagesNeverRepeatControlCharactersOrLongText) {
  const std::string message = error_with("model_type", "\x1b[31m" + std::string(100'000, 'x'));
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_LT(message.size(), 400U);
}

TEST(Validate, KeepsEveryProductOfTwoSizesInside64Bits) {
  ModelConfig config = *builtin_model("bert-base");
  config.layers = 1'000'000'000'000;
  EXPECT_THAT(bad_input_of([&] { validate(config, "x"); }), HasSubstr("layers"));
  config = *builtin_model("xlnet-base");
  config.max_positions = 512;
  EXPECT_THAT(bad_input_of([&] { validate(config, "x"); }), HasSubstr("max_positions"));
}

}  // namespace
}  // namespace deformer
