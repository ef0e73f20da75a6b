/// In what order kernels may touch memory when one starts before the other has ended. Every kernel
/// waits for the one in front of it, and that for the one before, so what is left to check is what
/// kernels read before they wait, and which kernels may start early at all.

#include <gtest/gtest.h>

#include <vector>

#include "backends/cuda/host/launch_recorder.hpp"
#include "backends/cuda/host/program.hpp"
#include "backends/cuda/host/weight_copies.hpp"
#include "tests/backends/batches.hpp"

namespace deformer::cuda {
namespace {

constexpr Variant kAll[] = {Variant::full, Variant::decomposed, Variant::cached};

/// Blocks so far apart that an address says whose it is.
constexpr std::uintptr_t kWeights = std::uintptr_t{1} << 40;
constexpr std::uintptr_t kActivations = std::uintptr_t{2} << 40;
constexpr std::uintptr_t kSession = std::uintptr_t{3} << 40;
constexpr std::uintptr_t kStaging = std::uintptr_t{4} << 40;

std::byte* at(std::uintptr_t address) {
  return reinterpret_cast<std::byte*>(address);
}

Program made(const ModelConfig& config, Variant variant, DType dtype, const SessionOptions& options,
             const Shape& shape) {
  const Order order = config.family == Family::bert ? Order::question_first : Order::passage_first;
  return make_program(
      {config, weight_places(config, numbers_of(dtype), 512), numbers_of(dtype),
       make_plan(config, variant, variant == Variant::full ? 0 : 9, order), shape, options},
      {at(kWeights), at(kActivations), at(kSession), at(kStaging)});
}

/// f(program) for programs of every kind of step.
template <class F>
void each_program(const F& f) {
  ModelConfig bert = *builtin_model("bert-base");
  bert.head = HeadKind::classes;
  for (const ModelConfig& config : {bert, *builtin_model("xlnet-base")}) {
    for (const Variant variant : kAll) {
      for (const DType dtype : {DType::f32, DType::bf16, DType::fp8}) {
        for (const CachePlace place : {CachePlace::device, CachePlace::pinned}) {
          SessionOptions options;
          options.cache_at = place;
          options.keep_layers = {0, 9, 12};
          for (const std::int64_t batch : {1, 60}) {  // ids read where they are staged, or copied
            SCOPED_TRACE(testing::Message() << config.name << " " << to_string(variant) << " "
                                            << to_string(dtype) << " batch " << batch);
            f(made(config, variant, dtype, options, uniform_shape(batch, 27, 293)));
          }
        }
      }
    }
  }
}

/// What a step's kernel reads before it waits: the calls before wait_for_previous in the .cu files.
struct ReadEarly {
  std::vector<const void*> operator()(const EmbedArgs& args) const {
    return {args.norm.parameters};
  }
  std::vector<const void*> operator()(const NormArgs& args) const {
    return {args.norm.parameters, args.scale};
  }
  std::vector<const void*> operator()(const ProductArgs& args) const {
    return {args.weights, args.bias};
  }
  std::vector<const void*> operator()(const AttentionArgs& args) const {
    return {args.blocks[0].block, args.blocks[1].block, args.blocks[2].block};
  }
  std::vector<const void*> operator()(const DecodeArgs& args) const { return {args.run}; }
  std::vector<const void*> operator()(const JoinArgs& args) const { return {args.run}; }
  template <class Other>
  std::vector<const void*> operator()(const Other&) const {
    return {};
  }
};

struct Written {
  std::vector<const void*> operator()(const EmbedArgs& args) const { return {args.out}; }
  std::vector<const void*> operator()(const NormArgs& args) const {
    return {args.hidden, args.quantised};
  }
  std::vector<const void*> operator()(const GeluArgs& args) const {
    return {args.values, args.quantised};
  }
  std::vector<const void*> operator()(const QuantiseArgs& args) const { return {args.quantised}; }
  std::vector<const void*> operator()(const ProductArgs& args) const { return {args.result}; }
  std::vector<const void*> operator()(const AttentionArgs& args) const { return {args.context}; }
  std::vector<const void*> operator()(const DecodeArgs& args) const { return {args.out}; }
  std::vector<const void*> operator()(const JoinArgs& args) const { return {args.joint}; }
  std::vector<const void*> operator()(const WidenArgs& args) const { return {args.out}; }
  std::vector<const void*> operator()(const DenseArgs& args) const { return {args.out}; }
  template <class Other>
  std::vector<const void*> operator()(const Other&) const {
    return {};
  }
};

TEST(EarlyLaunch, WhatAKernelReadsBeforeItWaitsIsWrittenByNone) {
  each_program([](const Program& program) {
    const std::uintptr_t tables = kSession + static_cast<std::uintptr_t>(program.tables_at);
    const auto constant = [&](std::uintptr_t address) {
      return (address >= kWeights && address < kActivations) ||
             (address >= tables && address < tables + program.tables.size());
    };
    for (const Step& step : program.steps) {
      for (const void* read : std::visit(ReadEarly{}, step.work)) {
        EXPECT_TRUE(read == nullptr || constant(reinterpret_cast<std::uintptr_t>(read)));
      }
      for (const void* written : std::visit(Written{}, step.work)) {
        const auto address = reinterpret_cast<std::uintptr_t>(written);
        EXPECT_TRUE(written == nullptr || (address >= kActivations && address < kSession));
      }
      if (const auto* copy = std::get_if<CopyArgs>(&step.work)) {
        const auto to = reinterpret_cast<std::uintptr_t>(copy->to);
        EXPECT_LE(to + static_cast<std::uintptr_t>(copy->bytes),
                  copy->upload ? tables : kStaging + (std::uintptr_t{1} << 40));
      }
    }
    for (const std::byte* landing : program.landing) {
      EXPECT_GE(reinterpret_cast<std::uintptr_t>(landing), tables + program.tables.size());
    }
  });
}

TEST(EarlyLaunch, IsForKernelsRightBehindOneOfTheirBranch) {
  each_program([](const Program& program) {
    LaunchRecorder recorder;
    issue(program.steps, recorder);
    bool behind[2] = {};
    std::size_t kernel = 0;
    for (const Step& step : program.steps) {
      const auto branch = static_cast<std::size_t>(step.branch);
      if (std::holds_alternative<Fork>(step.work)) {
        behind[static_cast<std::size_t>(Branch::side)] = false;
      } else if (std::holds_alternative<Meet>(step.work)) {
        behind[static_cast<std::size_t>(Branch::main)] = false;
      } else if (std::holds_alternative<CopyArgs>(step.work) ||
                 std::holds_alternative<Mark>(step.work)) {
        behind[branch] = false;
      } else {
        EXPECT_EQ(recorder.kernels()[kernel].early, behind[branch]) << kernel;
        behind[branch] = true;
        ++kernel;
      }
    }
    EXPECT_EQ(kernel, recorder.kernels().size());
  });
}

/// The first kernels of both branches, and what both branches' results meet in.
TEST(EarlyLaunch, WaitsWhereBranchesPartAndMeet) {
  SessionOptions options;
  options.detail = Detail::none;
  const ModelConfig config = *builtin_model("bert-base");
  for (const Variant variant : {Variant::decomposed, Variant::cached}) {
    LaunchRecorder recorder;
    issue(made(config, variant, DType::bf16, options, uniform_shape(1, 27, 293)).steps, recorder);
    std::vector<std::string_view> late;
    for (const LaunchRecorder::Launch& launch : recorder.kernels()) {
      if (!launch.early) {
        late.push_back(launch.what);
      }
    }
    const std::string_view side = variant == Variant::cached ? "decode" : "embed";
    EXPECT_EQ(late, (std::vector<std::string_view>{"embed", side, "join"}));
  }
}

TEST(WeightCopies, LieWhereAProgramsWeightsMay) {
  for (const std::int64_t bytes : {32, 1152, 3456, 4608, 4718592}) {
    const WeightCopies copies = weight_copies(bytes, 22, 50 << 20, 8);
    EXPECT_EQ(copies.apart % kMemoryAlignment, 0) << bytes;
    EXPECT_GE(copies.apart, bytes);
    EXPECT_GE(copies.count, 8);
    EXPECT_LE(copies.count, 64);
    EXPECT_TRUE(copies.bytes() >= 75 << 20 || copies.count == 64) << bytes;
  }
}

TEST(WeightCopies, AreNotMadeForManyRows) {
  EXPECT_EQ(weight_copies(4718592, 4096, 50 << 20, 8).bytes(), 0);
  EXPECT_GT(weight_copies(4718592, 4095, 50 << 20, 8).bytes(), 0);
}

}  // namespace
}  // namespace deformer::cuda
