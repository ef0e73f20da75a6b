#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "model/sha256.hpp"
#include "model/weights.hpp"
#include "tests/model/checkpoint_files.hpp"

namespace deformer {
namespace {

using test::bad_input_of;
using test::bytes_of;
using test::read;
using test::TempDir;
using test::TensorToWrite;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::int64_t kD = 8;
constexpr std::int64_t kFf = 16;

nlohmann::json config_json() {
  return {{"model_type", "bert"},     {"hidden_act", "gelu"}, {"hidden_size", kD},
          {"num_hidden_layers", 2},   {"vocab_size", 11},     {"num_attention_heads", 2},
          {"intermediate_size", kFf}, {"type_vocab_size", 2}, {"max_position_embeddings", 7}};
}

class Files : public test::CheckpointFiles {
 public:
  Files() : CheckpointFiles(config_json()) {
    add("embeddings.word_embeddings.weight", {11, kD});
    add("embeddings.position_embeddings.weight", {7, kD});
    add("embeddings.token_type_embeddings.weight", {2, kD});
    add_pair("embeddings.LayerNorm", {kD});
    for (const std::string layer : {"encoder.layer.0.", "encoder.layer.1."}) {
      for (const char* name : {"query", "key", "value"}) {
        add_pair(layer + "attention.self." + name, {kD, kD});
      }
      add_pair(layer + "attention.output.dense", {kD, kD});
      add_pair(layer + "attention.output.LayerNorm", {kD});
      add_pair(layer + "intermediate.dense", {kFf, kD});
      add_pair(layer + "output.dense", {kD, kFf});
      add_pair(layer + "output.LayerNorm", {kD});
    }
  }
};

TEST(Checkpoint, PutsEveryTensorIntoItsRole) {
  Files files;
  const auto source = files.open();
  const auto ids = needed_tensors(source->config());
  ASSERT_EQ(ids.size(), files.tensors.size());
  // Files() writes them in the order of needed_tensors.
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(read(*source, ids[i]), files.values_of(files.tensors[i].name)) << to_string(ids[i]);
  }
  EXPECT_EQ(read(*source, {Role::ffn2_weight, 1}),
            files.values_of("encoder.layer.1.output.dense.weight"));
  EXPECT_THAT(source->notes(), IsEmpty());
}

TEST(Checkpoint, RowsOfATableAreItsRows) {
  Files files;
  const auto source = files.open();
  const auto table = files.values_of("embeddings.word_embeddings.weight");
  std::vector<float> rows(2 * kD);
  source->read_rows(Role::word_embedding, 9, rows);
  EXPECT_EQ(rows, std::vector<float>(table.end() - 2 * kD, table.end()));
  EXPECT_THROW(source->read_rows(Role::word_embedding, 10, rows), std::invalid_argument);
  EXPECT_THROW(source->read_rows(Role::position_embedding, 6, rows), std::invalid_argument);
}

TEST(Checkpoint, IsNamedAfterItsFolderAndItsHash) {
  Files files;
  const auto hash = files.open()->hash();
  EXPECT_EQ(hash, sha256_hex(test::safetensors(files.tensors)));
  const std::string expected = files.dir.path().filename().string() + "@" + hash.substr(0, 8);
  const auto name_of = [](const std::filesystem::path& dir) {
    return open_checkpoint(dir, dir)->config().name;
  };
  EXPECT_EQ(name_of(files.dir.path()), expected);
  EXPECT_EQ(name_of(files.dir.path() / ""), expected) << "trailing slash";
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(files.dir.path());
  EXPECT_EQ(name_of("."), expected);
  EXPECT_EQ(name_of("./"), expected);
  std::filesystem::current_path(before);
}

TEST(Checkpoint, MayCarryAPrefix) {
  for (const std::string prefix : {"bert.", "transformer.", "model."}) {
    Files files;
    files.rename_all([&](const std::string& name) { return prefix + name; });
    const auto source = files.open();
    EXPECT_EQ(read(*source, {Role::key_bias, 1}),
              files.values_of(prefix + "encoder.layer.1.attention.self.key.bias"));
    EXPECT_THAT(source->notes(), ElementsAre(HasSubstr(prefix)));
  }
}

TEST(Checkpoint, MaySpellLayerNormGammaAndBeta) {
  Files files;
  files.rename_all([](std::string name) {
    if (const auto at = name.find("LayerNorm.weight"); at != std::string::npos) {
      name.replace(at + 10, 6, "gamma");
    } else if (const auto bias = name.find("LayerNorm.bias"); bias != std::string::npos) {
      name.replace(bias + 10, 4, "beta");
    }
    return name;
  });
  const auto source = files.open();
  EXPECT_EQ(read(*source, {Role::ffn_norm_weight, 0}),
            files.values_of("encoder.layer.0.output.LayerNorm.gamma"));
  EXPECT_EQ(read(*source, {Role::embedding_norm_bias}),
            files.values_of("embeddings.LayerNorm.beta"));
}

TEST(Checkpoint, MayBeStoredInHalfPrecision) {
  Files files;
  auto& half = files.at("encoder.layer.0.output.dense.bias");
  half.dtype = "F16";
  half.bytes = bytes_of(std::vector<std::uint16_t>(kD, 0x3C00));
  auto& brain = files.at("encoder.layer.1.output.dense.bias");
  brain.dtype = "BF16";
  brain.bytes = bytes_of(std::vector<std::uint16_t>(kD, 0xC000));
  const auto source = files.open();
  EXPECT_EQ(read(*source, {Role::ffn2_bias, 0}), std::vector<float>(kD, 1.0F));
  EXPECT_EQ(read(*source, {Role::ffn2_bias, 1}), std::vector<float>(kD, -2.0F));
}

TEST(Checkpoint, HasTheHeadItsTensorsSay) {
  Files span;
  span.add_pair("qa_outputs", {2, kD});
  EXPECT_EQ(span.open()->config().head, HeadKind::span);
  EXPECT_EQ(read(*span.open(), {Role::head_weight}), span.values_of("qa_outputs.weight"));

  Files classes;
  classes.rename_all([](const std::string& name) { return "bert." + name; });
  classes.add_pair("bert.pooler.dense", {kD, kD});
  classes.add_pair("classifier", {3, kD});
  const auto classifier = classes.open();
  EXPECT_EQ(classifier->config().head, HeadKind::classes);
  EXPECT_EQ(classifier->config().classes, 3);
  EXPECT_EQ(read(*classifier, {Role::pooler_bias}), classes.values_of("bert.pooler.dense.bias"));
  EXPECT_EQ(read(*classifier, {Role::head_bias}), classes.values_of("classifier.bias"));
}

TEST(Checkpoint, WithAPoolerOrAClassifierAloneHasNoHead) {
  Files bare;
  bare.add_pair("pooler.dense", {kD, kD});
  EXPECT_EQ(bare.open()->config().head, HeadKind::none);
  EXPECT_THAT(bare.open()->notes(), ElementsAre(HasSubstr("2 tensors are not needed")));
  Files token_classifier;
  token_classifier.add_pair("classifier", {9, kD});
  EXPECT_EQ(token_classifier.open()->config().head, HeadKind::none);
}

TEST(Checkpoint, NotesWhatItDoesNotNeedOnceWhateverItsType) {
  Files files;
  files.tensors.push_back({"embeddings.position_ids", "I64", {1}, std::string(8, '\0')});
  for (int i = 0; i < 20; ++i) {
    files.tensors.push_back({"extra" + std::to_string(i), "BOOL", {1}, std::string(1, '\1')});
  }
  EXPECT_THAT(files.open()->notes(),
              ElementsAre(AllOf(HasSubstr("21 tensors"), HasSubstr("embeddings.position_ids"),
                                HasSubstr("and 16 more"))));
}

TEST(Checkpoint, NamesWhatIsMissing) {
  Files files;
  files.erase("layer.1.attention.self");
  EXPECT_THAT(files.error(), AllOf(HasSubstr("model.safetensors"), HasSubstr("missing 6"),
                                   HasSubstr("encoder.layer.1.attention.self.query.weight"),
                                   HasSubstr("and 1 more")));
  Files headless;
  headless.add("qa_outputs.weight", {2, kD});
  EXPECT_THAT(headless.error(), HasSubstr("qa_outputs.bias"));
  Files empty;
  empty.tensors.clear();
  EXPECT_THAT(empty.error(), HasSubstr("missing 37"));
}

TEST(Checkpoint, RefusesWrongShapesNamingBoth) {
  Files files;
  files.at("encoder.layer.0.intermediate.dense.weight").shape = {kD, kFf};
  EXPECT_THAT(files.error(), AllOf(HasSubstr("encoder.layer.0.intermediate.dense.weight"),
                                   HasSubstr("[16, 8]"), HasSubstr("found [8, 16]")));
  Files head;
  head.add_pair("pooler.dense", {kD, kD});
  head.add_pair("classifier", {0, kD});
  EXPECT_THAT(head.error(), HasSubstr("classes"));
  Files flat;
  flat.add_pair("pooler.dense", {kD, kD});
  flat.add_pair("classifier", {2 * kD});
  EXPECT_THAT(flat.error(), AllOf(HasSubstr("classifier.weight"), HasSubstr("found [16]")));
}

TEST(Checkpoint, RefusesNeededTensorsOfOtherTypes) {
  Files files;
  auto& tensor = files.at("encoder.layer.0.output.dense.bias");
  tensor.dtype = "F64";
  tensor.bytes.resize(8 * kD);
  EXPECT_THAT(files.error(),
              AllOf(HasSubstr("encoder.layer.0.output.dense.bias"), HasSubstr("F64")));
}

TEST(Checkpoint, RefusesTwoEncodersInOneFile) {
  Files files;
  files.add("bert.embeddings.word_embeddings.weight", {11, kD});
  EXPECT_THAT(files.error(), HasSubstr("two encoders"));
}

TEST(Checkpoint, RefusesValuesThatAreNotFiniteWhenTheyAreRead) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    Files files;
    std::memcpy(files.at("embeddings.word_embeddings.weight").bytes.data() + 4 * (3 * kD + 5), &bad,
                4);
    const auto source = files.open();
    std::vector<float> row(kD);
    EXPECT_NO_THROW(source->read_rows(Role::word_embedding, 2, row));
    EXPECT_THAT(bad_input_of([&] { source->read_rows(Role::word_embedding, 3, row); }),
                AllOf(HasSubstr("embeddings.word_embeddings.weight"), HasSubstr("element 29")));
  }
}

TEST(Checkpoint, SaysWhatToDoAboutOtherLayouts) {
  const auto error_beside = [](const char* other) {
    const TempDir dir;
    dir.write("config.json", config_json().dump());
    if (other != nullptr) dir.write(other, "x");
    return bad_input_of([&] { open_checkpoint(dir.path(), dir.path()); });
  };
  EXPECT_THAT(error_beside("pytorch_model.bin"), HasSubstr("save it again"));
  EXPECT_THAT(error_beside("model.safetensors.index.json"), HasSubstr("save it again"));
  EXPECT_THAT(error_beside(nullptr),
              AllOf(HasSubstr("model.safetensors"), HasSubstr("No such file")));
}

TEST(Checkpoint, TakesConfigAndWeightsFromTwoFolders) {
  Files files;
  files.open();
  const TempDir other;
  other.write("config.json", config_json().dump());
  std::filesystem::remove(files.dir.path() / "config.json");
  EXPECT_THAT(open_checkpoint(other.path(), files.dir.path())->config().name,
              HasSubstr(files.dir.path().filename().string()));
}

}  // namespace
}  // namespace deformer
