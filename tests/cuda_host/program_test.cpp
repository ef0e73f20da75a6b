/// What a forward asks of the device, counted; and the memory it does it in.

#include "backends/cuda/host/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include "backends/cuda/host/launch_recorder.hpp"
#include "model/cost.hpp"
#include "model/error.hpp"
#include "tests/backends/batches.hpp"

namespace deformer::cuda {
namespace {

using testing::HasSubstr;

constexpr Variant kAll[] = {Variant::full, Variant::decomposed, Variant::cached};

/// Where no buffer's address is null.
std::byte* const kSomewhere = reinterpret_cast<std::byte*>(kMemoryAlignment);

struct Made {
  Made(const ModelConfig& given, Variant variant, std::int64_t split, DType dtype,
       SessionOptions asked = {}, bool gelu_erf_in_product = false,
       Shape of = uniform_shape(8, 27, 293))
      : config(given),
        options(std::move(asked)),
        order(given.family == Family::bert ? Order::question_first : Order::passage_first),
        shape(std::move(of)),
        plan(make_plan(config, variant, split, order)),
        places(weight_places(config, numbers_of(dtype), 512)),
        program(make_program({config, places, numbers_of(dtype), plan, shape, options,
                              [=](const LtProblem&) { return gelu_erf_in_product; }},
                             {.activations = kSomewhere})) {}

  std::unique_ptr<LaunchRecorder> record() const {
    auto recorder = std::make_unique<LaunchRecorder>();
    issue(program.steps, *recorder);
    return recorder;
  }
  /// Kernels of one layer; the same in all, or -1.
  std::int64_t kernels_a_layer() const {
    std::map<std::pair<std::size_t, std::int64_t>, std::int64_t> counts;
    for (const Step& step : program.steps) {
      if (step.layer >= 0 && !std::holds_alternative<Mark>(step.work)) {
        ++counts[{step.phase, step.layer}];
      }
    }
    const std::int64_t first = counts.begin()->second;
    const bool same =
        std::ranges::all_of(counts, [&](const auto& each) { return each.second == first; });
    return same ? first : -1;
  }

  ModelConfig config;
  SessionOptions options;
  Order order;
  Shape shape;
  Plan plan;
  WeightPlaces places;
  Program program;
};

ModelConfig bert(Activation activation) {
  ModelConfig config = *builtin_model("bert-base");
  config.activation = activation;
  return config;
}

TEST(LaunchCount, ALayerIsSevenKernelsAndAForwardNeverWaits) {
  for (const Variant variant : kAll) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const Made tanh(bert(Activation::gelu_tanh), variant, 9, dtype);
      EXPECT_EQ(tanh.kernels_a_layer(), 7);
      const Made fused(bert(Activation::gelu_erf), variant, 9, dtype, {}, true);
      EXPECT_EQ(fused.kernels_a_layer(), 7);
      const Made xlnet(*builtin_model("xlnet-base"), variant, 8, dtype, {}, true);
      EXPECT_EQ(xlnet.kernels_a_layer(), 7);
      EXPECT_EQ(tanh.record()->synchronisations(), 0);
    }
  }
}

/// Row r's id is where its TokenPlace says, wherever a first one is given; and one is given for
/// whatever lies in order, a pair of a batch of one among it.
TEST(Embedding, ReadsIdsInOrderWhereTheyLieInOrder) {
  for (const std::int64_t batch : {1, 3}) {
    for (const Variant variant : kAll) {
      const Made made(bert(Activation::gelu_tanh), variant, 9, DType::bf16, {}, false,
                      uniform_shape(batch, 27, 293));
      for (const Step& step : made.program.steps) {
        const auto* embed = std::get_if<EmbedArgs>(&step.work);
        if (embed == nullptr) {
          continue;
        }
        const bool interleaved = variant == Variant::full && batch > 1;
        EXPECT_EQ(embed->first_id < 0, interleaved);
        const auto at = reinterpret_cast<std::uintptr_t>(embed->tokens) -
                        static_cast<std::uintptr_t>(made.program.tables_at);
        std::vector<TokenPlace> tokens(static_cast<std::size_t>(embed->rows));
        ASSERT_LE(at + tokens.size() * sizeof(TokenPlace), made.program.tables.size());
        std::memcpy(tokens.data(), made.program.tables.data() + at,
                    tokens.size() * sizeof(TokenPlace));
        for (std::size_t row = 0; row < tokens.size() && embed->first_id >= 0; ++row) {
          ASSERT_EQ(tokens[row].id_at, embed->first_id + static_cast<std::int32_t>(row));
        }
      }
    }
  }
}

/// cuBLASLt refuses to run e4m3 products whose scales lie anywhere else.
TEST(Fp8, EveryScaleOfAProductLiesAt16Bytes) {
  const Made made(bert(Activation::gelu_erf), Variant::full, 0, DType::fp8);
  std::set<const float*> scales;
  int products = 0;
  for (const Step& step : made.program.steps) {
    if (const auto* product = std::get_if<ProductArgs>(&step.work)) {
      ++products;
      for (const float* scale : {product->weight_scale, product->source_scale}) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(scale) % 16, 0U);
        scales.insert(scale);
      }
    }
  }
  EXPECT_EQ(products, 4 * 12);
  EXPECT_EQ(scales.size(), 2U * 4 * 12);
}

/// Padding is wider kernels, not more of them.
TEST(LaunchCount, OfAnOddModelIsThatOfOneThatFits) {
  for (const Variant variant : kAll) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::fp8}) {
      ModelConfig odd = bert(Activation::gelu_tanh);
      odd.head = HeadKind::classes;
      const Made fitting(odd, variant, 9, dtype);
      odd.d_model = 333;
      odd.heads = 9;
      odd.d_ff = 1001;
      const Made made(odd, variant, 9, dtype);
      EXPECT_EQ(made.record()->kernels().size(), fitting.record()->kernels().size());
      EXPECT_EQ(made.record()->copies(), fitting.record()->copies());
    }
  }
}

TEST(LaunchCount, ErfGeluOutsideOfTheProductIsTheEighth) {
  EXPECT_EQ(Made(bert(Activation::gelu_erf), Variant::full, 0, DType::f32).kernels_a_layer(), 8);
}

TEST(LaunchCount, Fp8AddsAGeluAndAContextToQuantise) {
  const Made made(bert(Activation::gelu_tanh), Variant::full, 0, DType::fp8);
  std::map<std::int64_t, std::int64_t> layers;
  for (const Step& step : made.program.steps) {
    layers[step.layer] += !std::holds_alternative<Mark>(step.work);
  }
  EXPECT_EQ(layers[5], 9);
  EXPECT_EQ(layers[0], 10);  // and the embedding
}

TEST(LaunchCount, BesideItsLayersAForwardIsAFewKernels) {
  const auto beside = [](Variant variant) {
    const Made made(bert(Activation::gelu_tanh), variant, 9, DType::bf16);
    return static_cast<std::int64_t>(made.record()->kernels().size()) -
           7 * (variant == Variant::full     ? 12
                : variant == Variant::cached ? 12
                                             : 9 + 9 + 3);
  };
  EXPECT_EQ(beside(Variant::full), 1);        // embed
  EXPECT_EQ(beside(Variant::decomposed), 3);  // two, and join
  EXPECT_EQ(beside(Variant::cached), 3);      // embed, decode, join
}

TEST(LaunchCount, MarksOnlyWhereTimesAreWanted) {
  SessionOptions options;
  options.detail = Detail::none;
  EXPECT_EQ(
      Made(bert(Activation::gelu_tanh), Variant::full, 0, DType::bf16, options).record()->marks(),
      0);
  EXPECT_EQ(Made(bert(Activation::gelu_tanh), Variant::full, 0, DType::bf16).record()->marks(), 3);
}

TEST(Staging, ManyIdsAreCopiedOnceAndFewAreReadWhereTheyWereStaged) {
  for (const Variant variant : kAll) {
    for (const std::int64_t batch : {1, 60}) {
      const Made made(bert(Activation::gelu_tanh), variant, 9, DType::bf16, {}, false,
                      uniform_shape(batch, 27, 293));
      EXPECT_EQ(made.record()->copies(), batch == 60 ? 1 : 0) << batch;
      EXPECT_EQ(made.program.head_at > 4096, batch == 60);
    }
  }
}

TEST(Residual, IsAddedByTheNormInFp8Alone) {
  const auto added_by_norms = [](DType dtype) {
    std::int64_t norms = 0;
    const Made made(bert(Activation::gelu_erf), Variant::decomposed, 9, dtype);
    const ProductArgs* product = nullptr;
    for (const Step& step : made.program.steps) {
      if (const auto* args = std::get_if<ProductArgs>(&step.work)) {
        product = args;
      } else if (const auto* norm = std::get_if<NormArgs>(&step.work)) {
        norms += norm->delta != nullptr;
        EXPECT_EQ(product->result, norm->delta != nullptr ? norm->delta : norm->hidden);
        EXPECT_EQ(product->problem.beta, norm->delta != nullptr ? 0.0F : 1.0F);
      }
    }
    return norms;
  };
  EXPECT_EQ(added_by_norms(DType::fp8), 2 * (9 + 9 + 3));
  EXPECT_EQ(added_by_norms(DType::bf16), 0);
}

TEST(Branches, WhatNeedsNoQuestionRunsBesideIt) {
  for (const Variant variant : {Variant::decomposed, Variant::cached}) {
    const Made made(bert(Activation::gelu_tanh), variant, 9, DType::bf16);
    const auto recorder = made.record();
    EXPECT_EQ(recorder->open_branches(), 0);
    for (const Step& step : made.program.steps) {
      const Phase& phase = made.plan.phases[step.phase];
      if (std::holds_alternative<Mark>(step.work) || std::holds_alternative<CopyArgs>(step.work)) {
        continue;
      }
      const bool side = phase.segment == Segment::passage;
      EXPECT_EQ(step.branch, side ? Branch::side : Branch::main);
    }
  }
}

TEST(Branches, NothingRunsBesideWhileLayersAreTimed) {
  SessionOptions options;
  options.detail = Detail::layer;
  const Made made(bert(Activation::gelu_tanh), Variant::decomposed, 9, DType::bf16, options);
  for (const Step& step : made.program.steps) {
    EXPECT_EQ(step.branch, Branch::main);
  }
}

TEST(Parts, QuestionsDoNotWaitForPassagesFromTheHost) {
  for (const CachePlace place : {CachePlace::pinned, CachePlace::pageable}) {
    SessionOptions options;
    options.cache_at = place;
    const Made made(bert(Activation::gelu_tanh), Variant::cached, 9, DType::bf16, options);
    ASSERT_EQ(made.program.landing.size(), 8U);
    for (std::size_t i = 0; i < made.program.steps.size(); ++i) {
      const Step& step = made.program.steps[i];
      if (!std::holds_alternative<Mark>(step.work)) {
        const bool question = made.plan.phases[step.phase].segment == Segment::question;
        EXPECT_EQ(i < made.program.second_part, question) << i;
      }
    }
  }
  const Made device(bert(Activation::gelu_tanh), Variant::cached, 9, DType::bf16);
  EXPECT_EQ(device.program.second_part, device.program.steps.size());
  EXPECT_TRUE(device.program.landing.empty());
}

TEST(Marks, EveryLeafOfTheRangeTreeHasABeginningAndAnEnd) {
  for (const Variant variant : kAll) {
    for (const Detail detail : {Detail::phase, Detail::layer, Detail::op}) {
      for (const CachePlace place : {CachePlace::device, CachePlace::pinned}) {
        SessionOptions options;
        options.detail = detail;
        options.cache_at = place;
        ModelConfig config = bert(Activation::gelu_erf);
        config.head = HeadKind::span;
        const Made made(config, variant, 9, DType::bf16, options);
        const auto ranges = plan_ranges(config, made.plan, detail);
        const auto leaves = std::ranges::count_if(ranges, [&](const PlanRange& range) {
          const auto self = &range - ranges.data();
          return std::ranges::none_of(ranges,
                                      [&](const PlanRange& other) { return other.parent == self; });
        });
        EXPECT_EQ(static_cast<std::ptrdiff_t>(made.program.ranges.size()), leaves);
        std::vector<int> marked;
        for (const Step& step : made.program.steps) {
          if (const Mark* mark = std::get_if<Mark>(&step.work)) {
            marked.push_back(mark->number);
          }
        }
        EXPECT_EQ(static_cast<int>(marked.size()), made.program.marks);
        for (const RangeMarks& range : made.program.ranges) {
          const auto begin = std::ranges::find(marked, range.begin);
          const auto end = std::ranges::find(marked, range.end);
          ASSERT_NE(begin, marked.end());
          ASSERT_NE(end, marked.end());
          EXPECT_LT(begin - marked.begin(), end - marked.begin());
        }
      }
    }
  }
}

TEST(Marks, APhaseThatWaitsBeginsWhenItHasWaited) {
  const auto index_of_mark = [](const Program& program, int number) {
    const auto found = std::ranges::find_if(program.steps, [&](const Step& step) {
      const Mark* mark = std::get_if<Mark>(&step.work);
      return mark != nullptr && mark->number == number;
    });
    return static_cast<std::size_t>(found - program.steps.begin());
  };
  const Made joined(bert(Activation::gelu_tanh), Variant::decomposed, 9, DType::bf16);
  const auto meet = std::ranges::find_if(joined.program.steps, [](const Step& step) {
    return std::holds_alternative<Meet>(step.work);
  });
  for (const RangeMarks& range : joined.program.ranges) {
    const bool join = joined.plan.phases[range.phase].kind == PhaseKind::join;
    const auto met = static_cast<std::size_t>(meet - joined.program.steps.begin());
    EXPECT_TRUE(!join || index_of_mark(joined.program, range.begin) > met);
  }
  SessionOptions options;
  options.cache_at = CachePlace::pinned;
  const Made copied(bert(Activation::gelu_tanh), Variant::cached, 9, DType::bf16, options);
  for (const RangeMarks& range : copied.program.ranges) {
    const bool load = copied.plan.phases[range.phase].kind == PhaseKind::load;
    EXPECT_TRUE(!load || index_of_mark(copied.program, range.begin) >= copied.program.second_part);
  }
}

/// cost.cpp: states alive, and a layer's buffers: max(QKV and context, second state and wide one).
/// A product adds onto the state it is given, so the second state is not there.
TEST(PlannedMemory, IsTheCostModelsWithoutTheSecondHiddenState) {
  for (const Variant variant : kAll) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      SessionOptions options;
      options.detail = Detail::layer;  // phases one after the other, as the cost model has them
      const Made made(bert(Activation::gelu_tanh), variant, 9, dtype, options);
      const PlanCost cost =
          cost_of(made.config, made.plan, made.shape, {.dtype = dtype, .cache_dtype = DType::f32});
      const std::int64_t state = cumulative_tokens(made.shape, Segment::joint).back() *
                                 made.config.d_model * element_bytes(dtype);
      const std::int64_t rounding = made.program.memory.slots() * kMemoryAlignment;
      const std::int64_t most = std::ranges::max(made.program.phase_bytes);
      EXPECT_GE(most, cost.activation_peak_bytes - state);
      EXPECT_LE(most, cost.activation_peak_bytes - state + rounding);
      EXPECT_LE(made.program.memory.peak_bytes(), cost.activation_peak_bytes + rounding);
      EXPECT_GE(made.program.memory.peak_bytes(), most);
    }
  }
}

/// 33 lies as 36 in f32, heads of 11 as 12, 70 as 72: planned is what lies there.
TEST(PlannedMemory, OfAnOddModelIsThatOfTheWidthsItLiesIn) {
  ModelConfig odd = bert(Activation::gelu_tanh);
  odd.d_model = 33;
  odd.heads = 3;
  odd.d_ff = 70;
  ModelConfig wide = odd;
  wide.d_model = 36;
  wide.d_ff = 72;
  for (const Variant variant : kAll) {
    const Made made(odd, variant, 9, DType::f32, {.keep_layers = {9}});
    const Made lain(wide, variant, 9, DType::f32, {.keep_layers = {9}});
    EXPECT_EQ(made.program.memory.peak_bytes(), lain.program.memory.peak_bytes());
    EXPECT_EQ(made.program.phase_bytes, lain.program.phase_bytes);
    EXPECT_EQ(made.program.requested_bytes, lain.program.requested_bytes);
    EXPECT_EQ(made.places.bytes, lain.places.bytes);
    EXPECT_EQ(made.program.passage_bytes.empty(), variant != Variant::cached);
    for (const std::int64_t bytes : made.program.passage_bytes) {
      EXPECT_EQ(bytes, 293 * 33 * 4);  // as the pool has them
    }
  }
}

TEST(PlannedMemory, BranchesCostWhatTheSideOneNeeds) {
  const Made made(bert(Activation::gelu_tanh), Variant::decomposed, 9, DType::bf16);
  const auto layers = [&](Segment segment) {  // state, and QKV with context or the wide one
    return 5 * cumulative_tokens(made.shape, segment).back() * made.config.d_model * 2;
  };
  const std::int64_t rounding = made.program.memory.slots() * kMemoryAlignment;
  const std::int64_t joint = layers(Segment::joint);
  EXPECT_LE(
      made.program.memory.peak_bytes(),
      std::max(joint, layers(Segment::question) + layers(Segment::passage)) * 6 / 5 + rounding);
}

TEST(PlannedMemory, WhatIsAliveTogetherSharesNoByte) {
  for (const Variant variant : kAll) {
    for (const DType dtype : {DType::bf16, DType::fp8}) {
      const MemoryPlan memory = Made(bert(Activation::gelu_erf), variant, 9, dtype).program.memory;
      for (int a = 0; a < memory.slots(); ++a) {
        for (int b = 0; b < a; ++b) {
          const bool apart = memory.offset(a) + memory.bytes(a) <= memory.offset(b) ||
                             memory.offset(b) + memory.bytes(b) <= memory.offset(a);
          EXPECT_TRUE(apart || !memory.together(a, b)) << a << " " << b;
        }
      }
    }
  }
}

TEST(PlannedMemory, OneBranchesBuffersStayClearOfTheOthersUntilTheyJoin) {
  MemoryPlan memory{kMemoryAlignment};
  memory.join_at(10);
  const int main = memory.add(1000, 0, 1, Branch::main);
  const int side = memory.add(1000, 5, 6, Branch::side);
  const int joint = memory.add(2048, 10, 12, Branch::main);
  memory.place();
  EXPECT_TRUE(memory.together(main, side));
  EXPECT_FALSE(memory.together(main, joint));
  EXPECT_FALSE(memory.together(side, joint));
  EXPECT_EQ(memory.peak_bytes(), 2048);
}

TEST(Program, RefusesWhatTheModelHasNoPositionsFor) {
  ModelConfig config = bert(Activation::gelu_tanh);
  config.positions_grow = false;
  config.max_positions = 100;
  try {
    Made(config, Variant::full, 0, DType::bf16);
    FAIL();
  } catch (const BadInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("100 positions, this shape needs 320"));
  }
  EXPECT_NO_THROW(Made(bert(Activation::gelu_tanh), Variant::full, 0, DType::bf16));
  ModelConfig xlnet = *builtin_model("xlnet-base");
  const WeightPlaces places = weight_places(xlnet, {}, 300);
  const Plan plan = make_plan(xlnet, Variant::cached, 8, Order::passage_first);
  const Shape shape = uniform_shape(1, 27, 293);
  EXPECT_THROW(make_program({xlnet, places, {}, plan, shape, {}}, {}), BadInput);
}

}  // namespace
}  // namespace deformer::cuda
