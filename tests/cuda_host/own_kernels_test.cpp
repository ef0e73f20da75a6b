/// What ci/gpu-check's steps run with kOwnKernels (backends/cuda/device.hpp) has no product but
/// those of our kernel for few rows, so that no library's kernel runs there: compute-sanitizer's
/// racecheck breaks cuBLASLt's.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "backends/cuda/host/kernel_choice.hpp"
#include "backends/cuda/host/program.hpp"
#include "backends/cuda/kernels/skinny.cuh"
#include "backends/golden.hpp"
#include "tests/backends/batches.hpp"

namespace deformer::cuda {
namespace {

/// The most that a block of a Hopper can ask for (CUDA C++ programming guide, compute
/// capabilities).
constexpr std::int64_t kSharedBytes = 227 << 10;

/// As the steps have it: tests/gpu_check holds that they have no other.
constexpr const char* kFilter = R"(^(full|cached\.k1)\.q7\.p15(\.passage-first)?$)";

bool is_ours(const LtProblem& problem) {
  const auto args =
      skinny_args({problem, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr}, true);
  return args && skinny_fits(*args, kSharedBytes);
}

/// Of a program as the engines have it made, on the way to `seen`, by name: who does each product.
void look_at(const ModelConfig& config, DType dtype, const Plan& plan, const Shape& shape,
             std::map<std::string, Route>& seen) {
  const Numbers numbers = numbers_of(dtype);
  const WeightPlaces places = weight_places(config, numbers, 512);
  const SessionOptions options;
  const ProgramRequest request{
      config, places, numbers, plan, shape, options, [](LtProblem problem) {
        problem.finish = Finish::bias_gelu_erf;
        return unmeasured_route(true, is_ours(problem)) != Route::lt;
      }};
  for (const Step& step : make_program(request, {}).steps) {
    if (const auto* product = std::get_if<ProductArgs>(&step.work)) {
      seen.emplace(bucket_name(product->problem),
                   *unmeasured_route(true, is_ours(product->problem)));
    }
  }
}

std::set<std::string> by_cublaslt(const std::map<std::string, Route>& seen) {
  std::set<std::string> names;
  for (const auto& [name, route] : seen) {
    if (route == Route::lt) {
      names.insert(name);
    }
  }
  return names;
}

std::map<std::string, Route> products_of_golden(const char* name, DType dtype, int& cases) {
  const GoldenSet golden = read_golden(std::filesystem::path(DEFORMER_TEST_DATA) / "golden" / name);
  const ModelConfig& config = golden.weights->config();
  std::map<std::string, Route> seen;
  for (const GoldenCase& one : golden.cases) {
    if (testing::Matches(testing::ContainsRegex(kFilter))(one.name)) {
      ++cases;
      const Plan plan = make_plan(config, one.variant, one.split, one.order);
      look_at(config, dtype, plan, one.shape(), seen);
      if (one.variant == Variant::cached) {
        look_at(config, dtype, make_prefill_plan(config, one.split, one.order), one.shape(), seen);
      }
    }
  }
  return seen;
}

TEST(OwnKernels, DoEveryProductOfTheGoldenCasesThatRacecheckWatches) {
  int cases = 0;
  for (const char* name : {"bert-span", "xlnet-span"}) {
    const std::map<std::string, Route> seen = products_of_golden(name, DType::bf16, cases);
    EXPECT_GE(seen.size(), 4U) << name;
    EXPECT_EQ(by_cublaslt(seen), std::set<std::string>{}) << name;
  }
  EXPECT_EQ(cases, 6);
}

/// 27 + 37 rows are the most that the kernel has.
TEST(OwnKernels, DoEveryProductOfBertBaseWithBlocksInClusters) {
  const ModelConfig config = *builtin_model("bert-base");
  const auto seen_with = [&](std::int64_t passage) {
    const Shape shape = uniform_shape(1, 27, passage);
    std::map<std::string, Route> seen;
    for (const Plan& plan : {make_plan(config, Variant::full, 0, Order::question_first),
                             make_plan(config, Variant::cached, 1, Order::question_first),
                             make_prefill_plan(config, 1, Order::question_first)}) {
      look_at(config, DType::bf16, plan, shape, seen);
    }
    return seen;
  };
  EXPECT_EQ(by_cublaslt(seen_with(37)), std::set<std::string>{});
  EXPECT_FALSE(by_cublaslt(seen_with(38)).empty());
  EXPECT_GT(skinny_split(config.d_ff, config.d_model), 1);
}

TEST(OwnKernels, LeaveToCublasLtWhatTheyCantDo) {
  int cases = 0;
  const std::map<std::string, Route> seen = products_of_golden("bert-span", DType::f32, cases);
  EXPECT_EQ(by_cublaslt(seen).size(), seen.size());
  EXPECT_EQ(unmeasured_route(true, true), Route::skinny);
  EXPECT_EQ(unmeasured_route(true, false), Route::lt);
}

TEST(OwnKernels, AreMeasuredBesideOthersWhereNobodyAsks) {
  EXPECT_EQ(unmeasured_route(false, true), std::nullopt);
  EXPECT_EQ(unmeasured_route(false, false), std::nullopt);
}

/// 16 outputs' weights lie in a block's shared memory, all of their inner dimension.
TEST(OwnKernels, FitWhereABlockHasTheSharedMemory) {
  const auto args = [](std::int64_t in, std::int64_t out) {
    return *skinny_args({lt_problem(numbers_of(DType::bf16), 64, in, out, Finish::bias, false),
                         nullptr, nullptr, nullptr, nullptr, nullptr, nullptr},
                        true);
  };
  EXPECT_TRUE(skinny_fits(args(3072, 768), kSharedBytes));
  EXPECT_FALSE(skinny_fits(args(3072, 768), 48 << 10));
  EXPECT_FALSE(skinny_fits(args(8192, 65536), kSharedBytes));
}

}  // namespace
}  // namespace deformer::cuda
