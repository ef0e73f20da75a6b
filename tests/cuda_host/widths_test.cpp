/// How wide a model lies in device memory, how its weights are packed there, and which models are
/// served.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "backends/cuda/host/supported.hpp"
#include "backends/cuda/host/weight_places.hpp"
#include "backends/cuda/host/widths.hpp"
#include "backends/golden.hpp"
#include "tests/cuda_host/host_engine.hpp"

namespace deformer::cuda {
namespace {

using testing::HasSubstr;

// Packing.

TEST(Packing, QueriesKeysAndValuesFollowEachOtherAndQueriesAreScaled) {
  const ModelConfig config = odd_config(32, 2, 64);
  const auto source = random_weights(config, 7);
  HostEngine engine(*source, DType::f32);
  const LayerPlaces& layer = engine.places().layers[1];
  const std::int64_t d = config.d_model;
  std::vector<float> tensor(static_cast<std::size_t>(d * d));
  const auto packed = decode(Element::f32, engine.weights() + layer.weight[0], 3 * d * d);
  const Role roles[] = {Role::query_weight, Role::key_weight, Role::value_weight};
  for (std::size_t part = 0; part < 3; ++part) {
    source->read({roles[part], 1}, tensor);
    for (std::size_t i = 0; i < tensor.size(); ++i) {
      const float expected = part == 0 ? tensor[i] / 4.0F : tensor[i];
      ASSERT_FLOAT_EQ(packed[part * tensor.size() + i], expected) << part << " " << i;
    }
  }
}

/// Row 9 h + i of queries, keys and values is row 12 h + i of those that lie there; the columns of
/// what is made of the context follow it. Beyond the model's there are zeros.
TEST(Packing, HeadsAndRowsEndInZeros) {
  const ModelConfig config = odd_config(45, 5, 101);
  const auto source = random_weights(config, 7);
  HostEngine engine(*source, DType::f32);
  const LayerPlaces& layer = engine.places().layers[1];
  const auto at = [&](std::int64_t place, std::int64_t i) {
    float value;
    std::memcpy(&value, engine.weights() + place + i * 4, sizeof value);
    return value;
  };
  constexpr std::size_t kD = 45;
  std::vector<float> keys(kD * kD);
  std::vector<float> out(kD * kD);
  source->read({Role::key_weight, 1}, keys);
  source->read({Role::attention_out_weight, 1}, out);
  std::size_t key = 0;
  for (std::int64_t row = 0; row < 60; ++row) {
    for (std::int64_t column = 0; column < 48; ++column) {
      const float expected = row % 12 < 9 && column < 45 ? keys[key++] : 0.0F;
      ASSERT_EQ(at(layer.weight[0], (60 + row) * 48 + column), expected);
    }
  }
  std::size_t made = 0;
  for (std::int64_t row = 0; row < 48; ++row) {
    for (std::int64_t column = 0; column < 60; ++column) {
      const float expected = row < 45 && column % 12 < 9 ? out[made++] : 0.0F;
      ASSERT_EQ(at(layer.weight[1], row * 60 + column), expected);
    }
  }
  for (const std::int64_t place : {layer.attention_norm, layer.bias[3]}) {
    for (std::int64_t i = 45; i < 48; ++i) {
      EXPECT_EQ(at(place, i), 0.0F);
    }
  }
}

TEST(Packing, PlacesDoNotOverlapAndAreAligned) {
  for (const char* name : {"bert-tiny", "xlnet-base"}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::fp8}) {
      ModelConfig config = *builtin_model(name);
      config.head = HeadKind::classes;
      const WeightPlaces places = weight_places(config, numbers_of(dtype), 64);
      std::vector<std::int64_t> starts{places.words, places.pooler_weight, places.pooler_bias,
                                       places.head_weight, places.head_bias};
      for (const LayerPlaces& layer : places.layers) {
        starts.insert(starts.end(), layer.weight.begin(), layer.weight.end());
        starts.insert(starts.end(), layer.bias.begin(), layer.bias.end());
        starts.insert(starts.end(), {layer.attention_norm, layer.ffn_norm, layer.scales,
                                     layer.position_keys, layer.key_bias});
      }
      std::erase(starts, -1);
      std::ranges::sort(starts);
      EXPECT_EQ(std::ranges::adjacent_find(starts), starts.end());
      for (const std::int64_t start : starts) {
        EXPECT_EQ(start % 256, 0);
        EXPECT_LT(start, places.bytes);
      }
    }
  }
}

// Widths.

TEST(Widths, OfAModelThatFitsAreItsOwn) {
  for (const std::string& name : builtin_model_names()) {
    const ModelConfig config = *builtin_model(name);
    for (const DType dtype : {DType::f32, DType::tf32, DType::bf16, DType::f16, DType::fp8}) {
      const Widths widths = widths_of(config, numbers_of(dtype));
      EXPECT_EQ(widths.model.size(), config.d_model) << name;
      EXPECT_EQ(widths.heads.stored, config.d_head()) << name;
      EXPECT_EQ(widths.feed_forward.size(), config.d_ff) << name;
    }
  }
  // Not multiples of 8, but of 4: served as they are before any others were.
  const Widths narrow = widths_of(odd_config(36, 3, 76), numbers_of(DType::bf16));
  EXPECT_TRUE(narrow.model.fits() && narrow.heads.fits() && narrow.feed_forward.fits());
}

TEST(Widths, AreWhatKernelsAndLibrariesWantAndWasteLessThanAWord) {
  for (const DType dtype : {DType::f32, DType::tf32, DType::bf16, DType::f16, DType::fp8}) {
    const Numbers numbers = numbers_of(dtype);
    const std::int64_t multiple = numbers.scaled() ? 16 : 4;
    for (std::int64_t heads = 1; heads <= 16; ++heads) {
      for (std::int64_t head = 1; head <= 128; ++head) {
        const Widths widths = widths_of(odd_config(heads * head, heads, 5 * head), numbers);
        for (const Side& side : {widths.model, widths.feed_forward}) {
          ASSERT_EQ(side.size() % multiple, 0);
          ASSERT_LT(side.stored - side.real, 16 / bytes_of(numbers.operands));
          ASSERT_GE(side.stored, side.real);
        }
        ASSERT_EQ(widths.heads.stored % 4, 0);
        ASSERT_EQ(widths.heads.size() % multiple, 0);
        ASSERT_GE(widths.heads.stored, head);
        ASSERT_LT(widths.heads.stored - head, numbers.scaled() ? 16 : 8);
        ASSERT_LE(widths.heads.stored, 128);
      }
    }
  }
}

/// However wide zeros make it, a model computes the same: in fp8 too, whose scales must not move.
TEST(Widths, ChangeNothingOfWhatIsComputed) {
  ModelConfig xlnet = *builtin_model("xlnet-base");
  xlnet.layers = 2;
  xlnet.d_model = 36;
  xlnet.heads = 3;
  xlnet.d_ff = 76;
  xlnet.vocab_size = 97;
  for (const ModelConfig& config : {odd_config(36, 3, 76), xlnet}) {
    const auto source = random_weights(config, 7);
    const Order order =
        config.family == Family::bert ? Order::question_first : Order::passage_first;
    const Plan plan = make_plan(config, Variant::decomposed, 1, order);
    const Batch batch(ragged_shape());
    for (const DType dtype : {DType::f32, DType::tf32, DType::bf16, DType::f16, DType::fp8}) {
      const auto run = [&](const Widths& widths) {
        return HostEngine(*source, dtype, 256, widths).run(plan, batch.shape, batch.inputs()).rows;
      };
      const auto narrow = run({{1, 36, 36}, {3, 12, 12}, {1, 76, 76}});
      const auto wide = run({{1, 36, 48}, {3, 12, 32}, {1, 76, 96}});
      ASSERT_EQ(narrow.size(), wide.size());
      const ParityResult parity =
          compare_rows(std::span<const float>(wide), std::span<const float>(narrow), 36);
      EXPECT_GE(parity.cosine_min, dtype == DType::f32 ? 1 - 1e-10 : 1 - 2e-4) << to_string(dtype);
    }
  }
}

// Support.

TEST(Supported, IsEveryWidthUpToTheWidestThatKernelsHold) {
  for (const char* name : {"bert-large", "xlnet-large", "minilm-l6"}) {
    EXPECT_FALSE(model_why_not(*builtin_model(name)));
  }
  for (std::int64_t width = 1; width <= 128; ++width) {
    EXPECT_FALSE(model_why_not(odd_config(3 * width, 3, 61))) << width;
  }
  EXPECT_FALSE(model_why_not(odd_config(2047, 89, 1)));
  EXPECT_THAT(model_why_not(odd_config(129, 1, 64)).value_or(""),
              HasSubstr("heads of up to 128, the model's have 129"));
  EXPECT_THAT(model_why_not(odd_config(2049, 683, 64)).value_or(""),
              HasSubstr("up to 2048, the model has 2049"));
}

}  // namespace
}  // namespace deformer::cuda
