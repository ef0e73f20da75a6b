/// Whole models in bf16 and int8 on the CPU backend, against the float64 reference. What this
/// processor lacks is named on the output: it was not tested.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "backends/cpu/narrow_tiles.hpp"
#include "backends/cpu/session.hpp"
#include "backends/golden.hpp"
#include "tests/backends/batches.hpp"
#include "tests/backends/mutant.hpp"

namespace deformer {
namespace {

namespace fs = std::filesystem;

/// Calls `check(dtype)` for each narrow dtype that this processor has.
template <typename Check>
void for_all_dtypes(const ModelConfig& config, const Check& check) {
  for (const DType dtype : {DType::bf16, DType::int8}) {
    const auto reason = make_cpu_backend()->why_not(config, dtype, DType::f32);
    if (reason) {
      std::printf("SKIPPED: %s\n", reason->c_str());
      continue;
    }
    SCOPED_TRACE(to_string(dtype));
    check(dtype);
  }
}

std::unique_ptr<Model> load(const WeightSource& weights, DType dtype) {
  return make_cpu_backend()->load(weights, {.dtype = dtype, .threads = 2});
}

void expect_accepted(const ParityResult& parity, DType dtype, const std::string& what) {
  EXPECT_TRUE(tolerance_for(false, dtype, 1.0).accepts(parity))
      << what << ": row cosine " << parity.cosine_min << ", max_abs " << parity.max_abs;
}

/// Every variant at `splits`, against the reference at the same.
void expect_parity_everywhere(const ModelConfig& config, const Batch& batch,
                              const std::vector<std::int64_t>& splits) {
  const auto weights = random_weights(config, 7);
  const auto reference = make_reference_backend()->load(*weights, {});
  const Order order = config.family == Family::xlnet ? Order::passage_first : Order::question_first;
  for_all_dtypes(config, [&](DType dtype) {
    const auto cpu = load(*weights, dtype);
    double worst = 1.0;
    for (const Variant variant : kVariants) {
      for (const std::int64_t split : splits) {
        if (variant == Variant::full && split != splits.front()) {
          continue;
        }
        const std::int64_t at = variant == Variant::full ? 0 : split;
        const Result found = run(*cpu, variant, at, order, batch, {.threads = 3});
        const Result expected = run(*reference, variant, at, order, batch);
        const auto parity = compare_rows(std::span<const float>(found.rows),
                                         std::span<const float>(expected.rows), config.d_model);
        expect_accepted(parity, dtype,
                        std::string(to_string(variant)) + " split " + std::to_string(at));
        worst = std::min(worst, parity.cosine_min);
      }
    }
    std::printf("%s %s: row cosine %.6f\n", config.name.c_str(),
                std::string(to_string(dtype)).c_str(), worst);
  });
}

ModelConfig small_vocabulary(const char* name, std::int64_t layers) {
  ModelConfig config = *builtin_model(name);
  config.vocab_size = 97;
  config.layers = std::min(config.layers, layers);
  return config;
}

TEST(CpuNarrow, AgreesWithTheReferenceOnBertTiny) {
  expect_parity_everywhere(small_vocabulary("bert-tiny", 2), Batch(ragged_shape()), {0, 1, 2});
}

TEST(CpuNarrow, AgreesWithTheReferenceOnMinilm) {
  expect_parity_everywhere(small_vocabulary("minilm-l6", 6), Batch(ragged_shape()), {4});
}

TEST(CpuNarrow, AgreesWithTheReferenceOnXlnet) {
  expect_parity_everywhere(small_vocabulary("xlnet-base", 2), Batch(ragged_shape()), {1});
}

// Attention is then in f32, between narrow products.
TEST(CpuNarrow, AgreesWithTheReferenceOnOddHeads) {
  expect_parity_everywhere(odd_config(45, 5, 61), Batch(ragged_shape()), {0, 1, 2});
  expect_parity_everywhere(odd_config(33, 3, 130), Batch(ragged_shape()), {1});
}

TEST(CpuNarrow, AgreesWithTheReferenceOnOneTokenTexts) {
  expect_parity_everywhere(odd_config(32, 2, 64), Batch(uniform_shape(1, 1, 1)), {1});
}

TEST(CpuNarrow, AgreesWithTheReferenceOnLongSequences) {
  ModelConfig config = odd_config(64, 2, 96);
  config.max_positions = 1024;
  expect_parity_everywhere(config, Batch(uniform_shape(1, 42, 458)), {1});
}

TEST(CpuNarrow, CachedAndDecomposedAreTheSame) {
  const ModelConfig config = odd_config(64, 2, 128);
  const auto weights = random_weights(config, 7);
  const Batch batch(ragged_shape());
  for_all_dtypes(config, [&](DType dtype) {
    const auto model = load(*weights, dtype);
    const Result decomposed = run(*model, Variant::decomposed, 1, Order::question_first, batch);
    const Result cached = run(*model, Variant::cached, 1, Order::question_first, batch);
    EXPECT_EQ(max_abs(decomposed.rows, cached.rows), 0.0);
  });
}

TEST(CpuNarrow, IsTheSameOnAnyNumberOfThreads) {
  const ModelConfig config = odd_config(64, 2, 128);
  const auto weights = random_weights(config, 7);
  const Batch batch(uniform_shape(2, 30, 300));
  for_all_dtypes(config, [&](DType dtype) {
    const auto model = load(*weights, dtype);
    const Result one = run(*model, Variant::full, 0, Order::question_first, batch);
    for (const int threads : {2, 3, 5}) {
      const Result more =
          run(*model, Variant::full, 0, Order::question_first, batch, {.threads = threads});
      EXPECT_EQ(max_abs(one.rows, more.rows), 0.0) << threads << " threads";
    }
  });
}

// Each instance computes on threads of its own, at the same time.
TEST(CpuNarrow, InstancesDoNotDisturbEachOther) {
  const ModelConfig config = odd_config(64, 2, 128);
  const auto weights = random_weights(config, 7);
  for_all_dtypes(config, [&](DType dtype) {
    const auto model = load(*weights, dtype);
    const Plan plan = make_plan(config, Variant::full, 0, Order::question_first);
    std::vector<Batch> batches;
    std::vector<std::vector<float>> expected;
    std::vector<std::unique_ptr<Session>> sessions;
    for (int instance = 0; instance < 3; ++instance) {
      batches.emplace_back(uniform_shape(1, 9 + instance * 7, 40 + instance));
      expected.push_back(run(*model, Variant::full, 0, Order::question_first, batches.back()).rows);
      sessions.push_back(
          model->prepare(plan, batches.back().shape, {.threads = 2, .instance = instance + 1}));
    }
    std::vector<std::thread> threads;
    std::vector<double> worst(3, 0.0);
    for (std::size_t i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] {
        for (int turn = 0; turn < 20; ++turn) {
          sessions[i]->run(batches[i].inputs());
          worst[i] = std::max(worst[i], max_abs(sessions[i]->output(), expected[i]));
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_THAT(worst, testing::Each(0.0));
  });
}

// --- memory

/// The planned peak is what a run touches, and nothing is read that the run has not written.
TEST(CpuNarrow, ARunTouchesItsPlannedMemoryAndReadsNoneThatWasThereBefore) {
  constexpr std::int64_t kMore = 4096;
  for (const ModelConfig& config : {odd_config(64, 2, 100), odd_config(45, 5, 61)}) {
    const auto weights = random_weights(config, 7);
    for_all_dtypes(config, [&](DType dtype) {
      const auto packed = std::make_shared<const PackedModel>(
          *weights, LoadOptions{.dtype = dtype, .threads = 2}, EngineChoice::automatic);
      const auto arena = std::make_shared<Arena>();
      const Batch batch(uniform_shape(2, 30, 300));
      const Plan plan = make_plan(config, Variant::decomposed, 1, Order::question_first);
      const std::int64_t peak =
          CpuSession(packed, arena, plan, batch.shape, {.threads = 2}).memory().peak_bytes;
      arena->grow(peak + kMore);
      CpuSession session(packed, arena, plan, batch.shape, {.threads = 2});
      std::vector<float> first;
      for (const int fill : {0xFF, 0x3C}) {  // NaNs, then small numbers
        std::byte* base = arena->acquire();
        std::fill_n(base, peak + kMore, static_cast<std::byte>(fill));
        session.run(batch.inputs());
        const auto beyond = std::span(base + peak, static_cast<std::size_t>(kMore));
        EXPECT_TRUE(std::ranges::all_of(
            beyond, [&](std::byte byte) { return byte == static_cast<std::byte>(fill); }));
        std::int64_t touched = peak;
        while (touched > 0 && base[touched - 1] == static_cast<std::byte>(fill)) {
          --touched;
        }
        EXPECT_GE(touched, peak * 95 / 100) << "of " << peak;
        if (first.empty()) {
          first.assign(session.output().begin(), session.output().end());
        }
        EXPECT_EQ(max_abs(first, session.output()), 0.0);
      }
    });
  }
}

TEST(CpuNarrow, WeightsTakeAHalfAndAQuarter) {
  const ModelConfig config = small_vocabulary("minilm-l6", 2);
  const auto weights = random_weights(config, 7);
  const auto bytes = [&](DType dtype) {
    return static_cast<double>(make_cpu_backend(EngineChoice::panels)
                                   ->load(*weights, {.dtype = dtype, .positions = 16})
                                   ->weight_bytes());
  };
  const double f32 = bytes(DType::f32);
  for_all_dtypes(config, [&](DType dtype) {
    EXPECT_NEAR(bytes(dtype) / f32, dtype == DType::bf16 ? 0.5 : 0.25, 0.05);
  });
}

// --- what it says of itself

TEST(CpuNarrow, SaysWhatItCannotDo) {
  const auto backend = make_cpu_backend();
  const ModelConfig config = odd_config(64, 2, 128);
  for (const DType dtype : {DType::bf16, DType::int8}) {
    const auto reason = backend->why_not(config, dtype, DType::f32);
    EXPECT_EQ(reason.has_value(), narrow_tiles(dtype).empty());
    if (reason) {
      EXPECT_EQ(*reason, why_no_narrow_tiles(dtype));
      EXPECT_ANY_THROW(load(*random_weights(config, 7), dtype));
    }
  }
  for (const DType dtype : {DType::f16, DType::fp8, DType::bit1}) {
    EXPECT_THAT(backend->why_not(config, dtype, DType::f32).value_or(""),
                testing::AllOf(testing::HasSubstr(std::string(to_string(dtype))),
                               testing::HasSubstr("it has f32, bf16 and int8")));
  }
}

TEST(CpuNarrow, NamesTheInstructionsOfEachProduct) {
  const ModelConfig config = odd_config(64, 2, 128);
  const auto weights = random_weights(config, 7);
  for_all_dtypes(config, [&](DType dtype) {
    const std::string isa = narrow_tiles(dtype).front().isa;
    const std::vector<std::pair<std::string, std::string>> expected{
        {"qkv", isa}, {"out", isa}, {"ffn1", isa}, {"ffn2", isa}};
    EXPECT_EQ(load(*weights, dtype)->engines(), expected);
  });
}

// --- given data

fs::path data(const char* name) {
  return fs::path(DEFORMER_TEST_DATA) / name;
}

TEST(CpuNarrow, ReproducesTheGoldenData) {
  for (const auto& entry : fs::directory_iterator(data("golden"))) {
    const GoldenSet golden = read_golden(entry.path());
    for_all_dtypes(golden.weights->config(), [&](DType dtype) {
      const auto model = load(*golden.weights, dtype);
      for (const GoldenCase& one : golden.cases) {
        const CaseOutput output = run_golden_case(*model, one, {});
        const auto parity =
            compare_rows(std::span<const float>(output.rows), std::span<const float>(one.expected),
                         model->config().d_model);
        expect_accepted(parity, dtype, entry.path().filename().string() + " " + one.name);
      }
    });
  }
}

/// The real checkpoint, where ci/setup has put it, on a real text: words of the vocabulary only,
/// which WordPiece leaves whole.
class Minilm : public testing::Test {
 protected:
  void SetUp() override {
    const fs::path root = fs::path(DEFORMER_TEST_DATA).parent_path().parent_path();
    const fs::path dir = root / ".venv" / "minilm-l6";
    if (!fs::exists(dir / "model.safetensors")) {
      GTEST_SKIP() << "no checkpoint in " << dir << ": run ci/setup";
    }
    weights_ = open_checkpoint(dir, dir);
    batch_ = std::make_unique<Batch>(uniform_shape(1, 24, 104));
    read_text(dir / "vocab.txt", root / "ci" / "data" / "gpl-questions.txt", root / "LICENSE");
    reference_ = rows(*make_reference_backend()->load(*weights_, {}));
  }

  std::vector<float> rows(Model& model) const {
    return run(model, Variant::full, 0, Order::question_first, *batch_, {.threads = 2}).rows;
  }
  double cosine(const WeightSource& weights, DType dtype) const {
    const auto found = rows(*load(weights, dtype));
    return compare_rows(std::span<const float>(found), std::span<const float>(reference_),
                        weights.config().d_model)
        .cosine_min;
  }

  std::unique_ptr<WeightSource> weights_;

 private:
  /// [CLS] question [SEP] passage [SEP].
  void read_text(const fs::path& vocabulary, const fs::path& questions, const fs::path& text) {
    std::unordered_map<std::string, std::int32_t> ids;
    std::ifstream words(vocabulary);
    for (std::string word; std::getline(words, word);) {
      ids.emplace(word, static_cast<std::int32_t>(ids.size()));
    }
    const auto fill = [&](const fs::path& file, std::span<std::int32_t> out) {
      std::ifstream stream(file);
      std::size_t count = 0;
      for (std::string word; count < out.size() && stream >> word;) {
        std::erase_if(word, [](unsigned char c) { return std::isalpha(c) == 0; });
        std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
        if (const auto found = ids.find(word); !word.empty() && found != ids.end()) {
          out[count++] = found->second;
        }
      }
      ASSERT_EQ(count, out.size()) << file;
      out.back() = ids.at("[SEP]");
    };
    fill(questions, batch_->questions);
    fill(text, batch_->passages);
    batch_->questions.front() = ids.at("[CLS]");
  }

  std::unique_ptr<Batch> batch_;
  std::vector<float> reference_;
};

TEST_F(Minilm, ReducedPrecisionKeepsItsRowsOnRealText) {
  for_all_dtypes(weights_->config(), [&](DType dtype) {
    const double found = cosine(*weights_, dtype);
    std::printf("minilm-l6, real text, %s: row cosine %.6f\n",
                std::string(to_string(dtype)).c_str(), found);
    EXPECT_GE(found, dtype == DType::bf16 ? 0.999 : 0.99);
  });
}

// gelu(s x) / s is x or 0 for large s.
TEST_F(Minilm, ReluInPlaceOfGeluFails) {
  MutantWeights relu(*weights_);
  relu.change([](TensorId id, std::span<float> values) {
    const bool before = id.role == Role::ffn1_weight || id.role == Role::ffn1_bias;
    if (before || id.role == Role::ffn2_weight) {
      std::ranges::for_each(values, [&](float& value) { value *= before ? 1024.0F : 0x1p-10F; });
    }
  });
  for_all_dtypes(weights_->config(), [&](DType dtype) {
    const double found = cosine(relu, dtype);
    std::printf("ReLU, %s: %.6f\n", std::string(to_string(dtype)).c_str(), found);
    EXPECT_LT(found, dtype == DType::bf16 ? 0.999 : 0.99);
  });
}

TEST_F(Minilm, ADroppedBiasFails) {
  for (const Role bias : {Role::query_bias, Role::value_bias, Role::attention_out_bias,
                          Role::ffn1_bias, Role::ffn2_bias, Role::ffn_norm_bias}) {
    MutantWeights dropped(*weights_);
    dropped.change([&](TensorId id, std::span<float> values) {
      if (id.role == bias) {
        std::ranges::fill(values, 0.0F);
      }
    });
    for_all_dtypes(weights_->config(), [&](DType dtype) {
      const double found = cosine(dropped, dtype);
      std::printf("without %s, %s: %.6f\n", to_string(TensorId{bias, -1}).c_str(),
                  std::string(to_string(dtype)).c_str(), found);
      EXPECT_LT(found, dtype == DType::bf16 ? 0.999 : 0.99) << to_string(TensorId{bias, -1});
    });
  }
}

}  // namespace
}  // namespace deformer
