#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "backends/golden.hpp"
#include "backends/modules/import.hpp"
#include "backends/modules/modules.hpp"
#include "backends/plugin/convert.hpp"
#include "backends/plugin/export.hpp"
#include "backends/ranges.hpp"
#include "backends/registry.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// The cpu backend through both ends of the ABI, its table open to be spoiled.
class ThroughTheAbi : public testing::Test {
 protected:
  deformer_backend table_ = plugin::table_of(require_backend("cpu"));

  std::unique_ptr<Model> load(const WeightSource& weights, const LoadOptions& options = {}) {
    imported_ = plugin::import_backend(table_);
    return imported_->load(weights, options);
  }

  std::unique_ptr<Backend> imported_;
};

TEST_F(ThroughTheAbi, EveryGoldenCaseIsTheSameToTheLastBit) {
  for (const char* name : {"bert-span", "bert-classes", "xlnet-span"}) {
    const GoldenSet golden = read_golden(fs::path(DEFORMER_TEST_DATA) / "golden" / name);
    const auto direct = require_backend("cpu").load(*golden.weights, {.positions = 64});
    const auto through = load(*golden.weights, {.positions = 64});
    EXPECT_EQ(through->weight_bytes(), direct->weight_bytes());
    EXPECT_EQ(through->engines(), direct->engines());
    for (const GoldenCase& one : golden.cases) {
      const CaseOutput expected = run_golden_case(*direct, one, {});
      const CaseOutput found = run_golden_case(*through, one, {});
      EXPECT_EQ(found.rows, expected.rows) << name << " " << one.name;
      EXPECT_EQ(found.head, expected.head) << name << " " << one.name;
    }
  }
}

/// One session of bert-tiny, r x c pairs of ragged texts.
struct TinySession {
  explicit TinySession(Backend& backend, const SessionOptions& options)
      : weights(random_weights(config, 3)),
        model(backend.load(*weights, {})),
        session(model->prepare(plan, shape, options)) {
    session->run({questions, passages, {}});
  }

  ModelConfig config = *builtin_model("bert-tiny");
  Plan plan = make_plan(config, Variant::decomposed, 1, Order::question_first);
  Shape shape{1, 2, 2, {3, 5}, {7, 4}};
  std::vector<std::int32_t> questions = std::vector<std::int32_t>(8, 11);
  std::vector<std::int32_t> passages = std::vector<std::int32_t>(11, 12);
  std::unique_ptr<WeightSource> weights;
  std::unique_ptr<Model> model;
  std::unique_ptr<Session> session;
};

TEST_F(ThroughTheAbi, ShapesKeptStatesMemoryAndRangesArrive) {
  const SessionOptions options{.threads = 2, .keep_layers = {0, 1}, .detail = Detail::op};
  TinySession direct(require_backend("cpu"), options);
  const auto imported = plugin::import_backend(table_);
  TinySession through(*imported, options);
  EXPECT_THAT(through.session->output(), testing::ElementsAreArray(direct.session->output()));
  for (const Segment segment : {Segment::question, Segment::passage, Segment::joint}) {
    EXPECT_THAT(through.session->layer_output(segment, 1),
                testing::ElementsAreArray(direct.session->layer_output(segment, 1)));
  }
  EXPECT_TRUE(through.session->layer_output(Segment::joint, 0).empty());
  EXPECT_EQ(through.session->memory().peak_bytes, direct.session->memory().peak_bytes);
  EXPECT_EQ(through.session->memory().phase_bytes, direct.session->memory().phase_bytes);
  EXPECT_EQ(through.session->flops_executed(), direct.session->flops_executed());
  EXPECT_TRUE(direct.session->launches());
  EXPECT_EQ(through.session->launches(), direct.session->launches());

  RangeLog* log = through.session->ranges();
  ASSERT_NE(log, nullptr);
  EXPECT_EQ(log->threads(), 2);
  ASSERT_EQ(log->tree().size(), direct.session->ranges()->tree().size());
  EXPECT_GT(log->elapsed_ns(0), 0);
  std::int64_t leaves_ns = 0;
  for (int leaf = 0; leaf < log->tree().leaves(); ++leaf) {
    leaves_ns += log->elapsed_ns(log->tree().leaf_range(leaf));
  }
  EXPECT_LE(leaves_ns, log->elapsed_ns(0));
  EXPECT_GT(through.session->phase_ns()[0], 0);
}

TEST_F(ThroughTheAbi, APlantedDelayIsLostAndShowsWhereItWasPlanted) {
  const auto imported = plugin::import_backend(table_);
  TinySession through(*imported, {.threads = 1, .detail = Detail::op});
  const auto ranges = plan_ranges(through.config, through.plan, Detail::op);
  const int ffn1 = *find_operation(ranges, "ffn1", 1);
  constexpr std::int64_t kDelayNs = 20'000'000;
  through.session->ranges()->set_delay(ffn1, kDelayNs);
  through.session->run({through.questions, through.passages, {}});
  const RangeLog& log = *through.session->ranges();
  EXPECT_GE(log.elapsed_ns(ffn1), kDelayNs);
  EXPECT_GE(log.elapsed_ns(0), kDelayNs);
  EXPECT_LT(log.elapsed_ns(ffn1 - 1), kDelayNs);
  EXPECT_GE(through.session->phase_ns()[ranges[static_cast<std::size_t>(ffn1)].phase], kDelayNs);
}

TEST_F(ThroughTheAbi, WhatTheModuleThrowsKeepsItsKindAndItsWords) {
  const ModelConfig config = *builtin_model("xlnet-base");
  const auto imported = plugin::import_backend(table_);
  EXPECT_EQ(imported->why_not(config, DType::fp8, DType::f32),
            require_backend("cpu").why_not(config, DType::fp8, DType::f32));
  EXPECT_EQ(imported->why_not(config, DType::f32, DType::f32), std::nullopt);
  EXPECT_THAT(imported->why_not_placed(CachePlace::pinned, false).value_or(""),
              HasSubstr("--cache-at pinned"));

  const GoldenSet golden = read_golden(fs::path(DEFORMER_TEST_DATA) / "golden" / "bert-span");
  const auto model = load(*golden.weights);
  const Plan plan = make_plan(model->config(), Variant::full, 0, Order::question_first);
  EXPECT_THROW(model->prepare(plan, uniform_shape(1, 4, 60'000), {}), BadInput);
}

/// Weights that can't be read.
class SpoiledWeights final : public WeightSource {
 public:
  SpoiledWeights() : WeightSource(*builtin_model("bert-tiny"), "spoiled") {}

 protected:
  void do_read(TensorId, std::int64_t, std::span<float>) const override {
    throw BadInput("model.safetensors: expected finite values, found NaN");
  }
};

TEST_F(ThroughTheAbi, WeightsThatCantBeReadAreBadInputOnTheOtherSideAgain) {
  try {
    (void)load(SpoiledWeights());
    FAIL() << "expected BadInput";
  } catch (const BadInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("expected finite values, found NaN"));
  }
}

TEST_F(ThroughTheAbi, TablesWithAFaultAreRefusedWithTheReason) {
  EXPECT_EQ(plugin::fault_of(&table_), "");
  EXPECT_THAT(plugin::fault_of(nullptr), HasSubstr("returned no backend"));
  deformer_backend other = table_;
  other.abi = 7;
  EXPECT_THAT(plugin::fault_of(&other), HasSubstr("plugin ABI 7, this program 1"));
  other = table_;
  other.size = 40;
  EXPECT_THAT(plugin::fault_of(&other), HasSubstr("40 bytes"));
  other = table_;
  other.run = nullptr;
  EXPECT_THAT(plugin::fault_of(&other), HasSubstr("lacks the function run"));
  other = table_;
  other.pool_free = nullptr;
  EXPECT_THAT(plugin::fault_of(&other), HasSubstr("pool_free"));
  other = table_;
  other.info = [](void*, deformer_info* out) { out->name = "No Name"; };
  EXPECT_THAT(plugin::fault_of(&other), HasSubstr("calls itself 'No Name'"));
  other.info = [](void*, deformer_info*) {};
  EXPECT_THAT(plugin::fault_of(&other), HasSubstr("calls itself ''"));
}

TEST_F(ThroughTheAbi, ResultsOfAnotherSizeAreNeverRead) {
  table_.result = [](deformer_session*, std::int32_t, std::int32_t, std::int64_t,
                     deformer_floats* out, deformer_error*) {
    static const float one = 1;
    *out = {&one, 1};
    return std::int32_t{DEFORMER_OK};
  };
  const auto imported = plugin::import_backend(table_);
  TinySession through(*imported, {});
  EXPECT_THROW((void)through.session->output(), std::runtime_error);
  EXPECT_THROW((void)through.session->layer_output(Segment::question, 1), std::runtime_error);
}

TEST_F(ThroughTheAbi, AModuleThatFailsWithoutAWordIsAnErrorAllTheSame) {
  table_.run = [](deformer_session*, const deformer_inputs*, deformer_error*) {
    return std::int32_t{99};
  };
  const auto imported = plugin::import_backend(table_);
  try {
    TinySession through(*imported, {});
    FAIL() << "expected an error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("gave no reason"));
  }
  table_.load = [](void*, const deformer_weights*, const deformer_load_options*, deformer_model**,
                   deformer_error*) { return std::int32_t{DEFORMER_OK}; };
  EXPECT_THROW((void)load(*random_weights(*builtin_model("bert-tiny"), 1)), std::runtime_error);
}

TEST_F(ThroughTheAbi, KernelsArriveWithTheirPhasesAndNeverOneThatThePlanLacks) {
  const auto plain = plugin::import_backend(table_);
  TinySession none(*plain, {});
  EXPECT_TRUE(none.session->kernels({none.questions, none.passages, {}}).empty()) << "a cpu's";
  table_.kernels = [](deformer_session*, const deformer_inputs* inputs, deformer_kernel_sink sink,
                      void* context, deformer_error*) {
    EXPECT_EQ(inputs->question_count, 8);
    for (const std::int64_t phase : {0, 2, 99, -5}) {
      const deformer_kernel one{"gemm", phase, 3, 70};
      sink(context, &one);
    }
    return std::int32_t{DEFORMER_OK};
  };
  const auto imported = plugin::import_backend(table_);
  TinySession through(*imported, {});
  const auto found = through.session->kernels({through.questions, through.passages, {}});
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[1].name, "gemm");
  EXPECT_EQ(found[1].phase, 2);
  EXPECT_EQ(found[1].ns, 70);
  EXPECT_EQ(found[2].phase, -1);
  EXPECT_EQ(found[3].phase, -1);
  table_.kernels = [](deformer_session*, const deformer_inputs*, deformer_kernel_sink, void*,
                      deformer_error* error) {
    plugin::put_message(error, "no CUPTI");
    return std::int32_t{DEFORMER_UNAVAILABLE};
  };
  EXPECT_THROW((void)through.session->kernels({}), Unavailable);
}

TEST(Messages, AreCutAtAWholeCharacterAndNeverReadBeyondTheirEnd) {
  deformer_error error;
  plugin::put_message(&error, std::string(DEFORMER_MESSAGE_BYTES - 2, 'x') + "ä and more");
  EXPECT_EQ(plugin::message_of(error), std::string(DEFORMER_MESSAGE_BYTES - 2, 'x'));
  std::memset(error.message, 'y', sizeof error.message);  // a module that forgot the zero
  EXPECT_EQ(plugin::message_of(error).size(), DEFORMER_MESSAGE_BYTES);
}

TEST(Conversions, NumbersThatAreNoneOfAnEnumerationsAreRefused) {
  EXPECT_THROW(plugin::value_of(6, DType::bit1, "dtype"), BadInput);
  EXPECT_THROW(plugin::value_of(-1, DType::bit1, "dtype"), BadInput);
  deformer_plan plan{};
  plan.phase_count = 3;  // and none there
  EXPECT_THROW(plugin::plan_of(plan), BadInput);
  deformer_shape shape{};
  EXPECT_THROW(plugin::shape_of(shape), BadInput);
}

class ModuleFiles : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::path(testing::TempDir()) / (std::string("modules_") + test->name());
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }
  fs::path write(const std::string& name) {
    std::ofstream(dir_ / name) << "no module\n";
    return dir_ / name;
  }
  fs::path dir_;
};

TEST_F(ModuleFiles, AreKnownByTheirNamesWithoutBeingOpened) {
  write("deformer-bench-zeta.so");
  write("deformer-bench-alpha.so");
  write("libother.so");
  write("deformer-bench-.so");
  const auto found = find_modules({dir_ / "absent", dir_, dir_});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].name, "alpha");
  EXPECT_EQ(found[1].name, "zeta");
  EXPECT_EQ(module_name("x/anything.so.1"), "anything.so");
}

TEST_F(ModuleFiles, WhatIsNoModuleBecomesABackendThatIsMissingForThatReason) {
  const auto lazy = make_lazy_backend({"alpha", write("deformer-bench-alpha.so")});
  EXPECT_EQ(lazy->info().name, "alpha");
  EXPECT_THAT(lazy->info().unavailable, HasSubstr("can't be loaded as a module"));
  EXPECT_THAT(open_module(dir_ / "none.so").fault, HasSubstr("no such file"));
  EXPECT_THROW(lazy->load(*random_weights(*builtin_model("bert-tiny"), 1), {}), Unavailable);
}

}  // namespace
}  // namespace deformer
