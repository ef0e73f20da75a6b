/// The engine against the float64 reference, on the host.

#include <gtest/gtest.h>

#include "backends/golden.hpp"
#include "tests/cuda_host/host_engine.hpp"

namespace deformer::cuda {
namespace {

/// Heads of 12 are padded to 32, rows of 36 end in the middle of a warp.
ModelConfig small_bert() {
  return odd_config(36, 3, 72);
}

ModelConfig small_xlnet(std::int64_t layers = 2) {
  ModelConfig config = *builtin_model("xlnet-base");
  config.name = "small-xlnet";
  config.layers = layers;
  config.d_model = 32;
  config.heads = 2;
  config.d_ff = 64;
  config.vocab_size = 97;
  return config;
}

/// Nothing of it is a multiple of anything: rows of 45, heads of 9, feed-forward rows of 101.
ModelConfig odd_bert() {
  return odd_config(45, 5, 101);
}

ModelConfig odd_xlnet(std::int64_t layers = 2) {
  ModelConfig config = small_xlnet(layers);
  config.d_model = 42;  // heads of 14
  config.heads = 3;
  config.d_ff = 71;
  return config;
}

/// More than one block of keys and of queries.
Shape long_shape() {
  Shape shape;
  shape.batch = 1;
  shape.questions_per_item = 1;
  shape.passages_per_item = 2;
  shape.question_tokens = {20};
  shape.passage_tokens = {130, 44};
  return shape;
}

class Trial {
 public:
  Trial(const ModelConfig& config, DType dtype, std::int64_t positions = 256)
      : weights_(random_weights(config, 7)),
        reference_(make_reference_backend()->load(*weights_, {.positions = positions})),
        engine_(*weights_, dtype, positions),
        dtype_(dtype) {}

  HostEngine& engine() { return engine_; }

  /// Every variant and split.
  void expect_parity(Order order, const Batch& batch, const SessionOptions& options = {}) {
    expect_parity(Variant::full, 0, order, batch, options);
    for (std::int64_t split = 0; split <= engine_.config().layers; ++split) {
      expect_parity(Variant::decomposed, split, order, batch, options);
      expect_parity(Variant::cached, split, order, batch, options);
    }
  }

  void expect_parity(Variant variant, std::int64_t split, Order order, const Batch& batch,
                     const SessionOptions& options = {}) {
    Inputs inputs = batch.inputs();
    Cached cached;
    if (variant == Variant::cached) {
      cached = encode_passages(*reference_, batch, split, order, options);
      inputs.passage_ids = {};
      inputs.cached_passages = cached.passages;
    }
    const Plan plan = make_plan(engine_.config(), variant, split, order);
    const auto expected = reference_->prepare(plan, batch.shape, options);
    expected->run(inputs);
    const auto found = engine_.run(plan, batch.shape, inputs, options);
    SCOPED_TRACE(testing::Message() << to_string(variant) << " split " << split << " "
                                    << to_string(order) << " " << to_string(dtype_));
    judge(found.rows, expected->output(), engine_.config().d_model);
    if (!expected->head_output().empty()) {
      judge(found.head, expected->head_output(), 1);
    }
    for (const auto& [kept, rows] : found.kept) {
      judge(rows, expected->layer_output(kept.segment, kept.layers), engine_.config().d_model);
    }
  }

 private:
  void judge(std::span<const float> found, std::span<const float> expected, std::int64_t d) {
    ASSERT_EQ(found.size(), expected.size());
    const ParityResult result = compare_rows(found, expected, d);
    ASSERT_TRUE(result.finite);
    if (dtype_ == DType::f32) {
      EXPECT_LE(result.max_abs, kTolerance);
    } else if (d > 1) {
      EXPECT_GE(result.cosine_min, dtype_ == DType::fp8 ? 0.99 : 0.999);
    } else {
      EXPECT_LE(result.max_abs, 0.2);
    }
  }

  std::unique_ptr<WeightSource> weights_;
  std::unique_ptr<Model> reference_;
  HostEngine engine_;
  DType dtype_;
};

TEST(CudaEngine, AgreesWithTheReferenceOnBertInF32) {
  for (const Order order : kOrders) {
    Trial(small_bert(), DType::f32).expect_parity(order, Batch(ragged_shape()));
  }
}

TEST(CudaEngine, AgreesWithTheReferenceOnBertAtEveryElement) {
  for (const DType dtype : {DType::tf32, DType::bf16, DType::f16}) {
    Trial(small_bert(), dtype).expect_parity(Order::question_first, Batch(ragged_shape()));
  }
  Trial(odd_config(64, 2, 128), DType::fp8)
      .expect_parity(Order::question_first, Batch(ragged_shape()));
}

TEST(CudaEngine, AgreesWithTheReferenceOnOddWidthsAtEveryElement) {
  for (const DType dtype : {DType::f32, DType::tf32, DType::bf16, DType::f16, DType::fp8}) {
    for (const Order order : kOrders) {
      Trial(odd_bert(), dtype).expect_parity(order, Batch(ragged_shape()));
    }
    Trial(odd_xlnet(), dtype).expect_parity(Order::passage_first, Batch(ragged_shape()));
  }
}

TEST(CudaEngine, AgreesWithTheReferenceOnXlnet) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::fp8}) {
    Trial(small_xlnet(), dtype).expect_parity(Order::passage_first, Batch(ragged_shape()));
  }
}

TEST(CudaEngine, AgreesWithTheReferenceOverManyBlocksOfKeys) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Trial(small_bert(), dtype)
        .expect_parity(Variant::full, 0, Order::question_first, Batch(long_shape()));
    Trial(odd_bert(), dtype)
        .expect_parity(Variant::full, 0, Order::question_first, Batch(long_shape()));
    for (const ModelConfig& xlnet : {small_xlnet(1), odd_xlnet(1)}) {
      Trial(xlnet, dtype)
          .expect_parity(Variant::cached, 0, Order::passage_first, Batch(long_shape()));
    }
  }
}

TEST(CudaEngine, AgreesWithTheReferenceOnWideHeads) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const std::int64_t width : {128, 125, 61}) {
      Trial(odd_config(width, 1, 64, 1), dtype)
          .expect_parity(Variant::full, 0, Order::question_first, Batch(uniform_shape(1, 5, 70)));
    }
    for (const std::int64_t width : {128, 122}) {
      ModelConfig xlnet = small_xlnet(1);
      xlnet.d_model = width;
      xlnet.heads = 1;
      Trial(xlnet, dtype)
          .expect_parity(Variant::full, 0, Order::passage_first, Batch(uniform_shape(1, 5, 70)));
    }
  }
}

TEST(CudaEngine, AgreesWithTheReferenceWithTanhGeluAndWithErfInTheProduct) {
  ModelConfig config = small_bert();
  config.activation = Activation::gelu_tanh;
  Trial(config, DType::f32).expect_parity(Order::question_first, Batch(ragged_shape()));
  Trial fused(small_bert(), DType::f32);
  fused.engine().gelu_erf_in_products();
  fused.expect_parity(Order::question_first, Batch(ragged_shape()));
  Trial odd(odd_bert(), DType::bf16);
  odd.engine().gelu_erf_in_products();
  odd.expect_parity(Order::question_first, Batch(ragged_shape()));
}

/// Ids of so many rows are copied, those of the other shapes read where they were staged.
TEST(CudaEngine, AgreesWithTheReferenceOnManyRows) {
  Trial trial(odd_config(16, 2, 16), DType::f32);
  for (const Variant variant : {Variant::full, Variant::decomposed, Variant::cached}) {
    trial.expect_parity(variant, 1, Order::question_first, Batch(uniform_shape(130, 8, 3)));
  }
}

TEST(CudaEngine, AgreesWithTheReferenceOnItsHeads) {
  for (ModelConfig config : {small_bert(), small_xlnet(), odd_bert(), odd_xlnet()}) {
    for (const HeadKind head : {HeadKind::span, HeadKind::classes}) {
      config.head = head;
      config.classes = 3;
      const Order order =
          config.family == Family::bert ? Order::question_first : Order::passage_first;
      Trial(config, DType::f32).expect_parity(order, Batch(ragged_shape()));
      Trial(config, DType::bf16).expect_parity(order, Batch(ragged_shape()));
    }
  }
}

TEST(CudaEngine, AgreesWithTheReferenceOnPassagesOfEveryEncodingAndPlace) {
  for (const ModelConfig& config : {small_bert(), odd_bert()}) {
    Trial trial(config, DType::f32);
    for (const DType cache : {DType::f32, DType::bf16, DType::f16, DType::int8, DType::bit1}) {
      for (const CachePlace place :
           {CachePlace::device, CachePlace::pinned, CachePlace::pageable}) {
        SCOPED_TRACE(testing::Message() << to_string(cache) << " " << to_string(place));
        const SessionOptions options{.cache_dtype = cache, .keep_layers = {}, .cache_at = place};
        trial.expect_parity(Variant::cached, 1, Order::question_first, Batch(ragged_shape()),
                            options);
      }
    }
  }
}

TEST(CudaEngine, KeepsTheStatesItIsAskedForAtEveryDetail) {
  for (const ModelConfig& config : {small_bert(), odd_bert()}) {
    Trial trial(config, DType::f32);
    for (const Detail detail : {Detail::none, Detail::phase, Detail::layer, Detail::op}) {
      const SessionOptions options{.keep_layers = {0, 1, 2}, .detail = detail};
      trial.expect_parity(Order::question_first, Batch(ragged_shape()), options);
    }
  }
}

TEST(CudaEngine, ServesOneTokenTexts) {
  Trial(small_bert(), DType::bf16)
      .expect_parity(Order::question_first, Batch(uniform_shape(1, 1, 1)));
  Trial(small_xlnet(), DType::bf16)
      .expect_parity(Order::passage_first, Batch(uniform_shape(1, 1, 1)));
}

}  // namespace
}  // namespace deformer::cuda
