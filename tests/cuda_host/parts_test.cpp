/// Layouts, numbers, scales, buckets, what is remembered, what is hidden.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "backends/cuda/host/algorithm_memory.hpp"
#include "backends/cuda/host/exposed_time.hpp"
#include "backends/cuda/host/fp8_scales.hpp"
#include "backends/reference/elementwise.hpp"
#include "cache/codec.hpp"
#include "tests/cuda_host/host_engine.hpp"
#include "tests/cuda_host/noise.hpp"

namespace deformer::cuda {
namespace {

using testing::ElementsAre;

// Numbers.

TEST(Numbers, EveryStoredValueComesBackAsItWas) {
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if (const float value = to_float(Bf16{half}); !std::isnan(value)) {
      ASSERT_EQ(Rounded<Bf16>::from(value).bits, half);
    }
    if (const float value = to_float(F16{half}); !std::isnan(value)) {
      ASSERT_EQ(Rounded<F16>::from(value).bits, half);
    }
  }
  for (std::uint32_t bits = 0; bits < 0x100U; ++bits) {
    const auto byte = static_cast<std::uint8_t>(bits);
    if (const float value = to_float(E4m3{byte}); !std::isnan(value)) {
      ASSERT_EQ(Rounded<E4m3>::from(value).bits, byte);
    }
  }
}

TEST(Numbers, RoundToTheNearestAndTiesToEven) {
  const auto e4m3 = [](float value) { return to_float(Rounded<E4m3>::from(value)); };
  EXPECT_EQ(e4m3(1.0625F), 1.0F);
  EXPECT_EQ(e4m3(1.1875F), 1.25F);
  EXPECT_EQ(e4m3(1.07F), 1.125F);
  EXPECT_EQ(e4m3(0x1p-10F), 0.0F);
  EXPECT_EQ(e4m3(0x1.8p-9F), 0x1p-8F);
  EXPECT_EQ(e4m3(447.0F), 448.0F);
  EXPECT_EQ(e4m3(-1e9F), -448.0F);
  EXPECT_EQ(e4m3(INFINITY), 448.0F);
  EXPECT_TRUE(std::isnan(e4m3(NAN)));
  EXPECT_EQ(to_float(E4m3{0x7E}), 448.0F);
  EXPECT_EQ(to_float(E4m3{0x01}), 0x1p-9F);
  EXPECT_EQ(to_float(Rounded<Bf16>::from(1.00390625F)), 1.0F);
  EXPECT_EQ(to_float(Rounded<F16>::from(65519.0F)), 65504.0F);
  EXPECT_TRUE(std::isinf(to_float(Rounded<F16>::from(65520.0F))));
}

/// The host's cache codec and the kernels' numbers are the same bits.
TEST(Numbers, AreThoseOfTheCache) {
  std::vector<float> values = noise(4096, 3.0F);
  values[0] = 0x1p-20F;
  values[1] = -70000.0F;
  for (const auto& [dtype, element] :
       {std::pair(DType::bf16, Element::bf16), std::pair(DType::f16, Element::f16)}) {
    std::vector<std::byte> cache(values.size() * 2);
    encode_rows(dtype, values, 4096, cache);
    EXPECT_EQ(encode(element, values), cache);
  }
}

// Products.

TEST(Layouts, RowsArePassedAsColumnsAndWeightsTransposed) {
  const LtProblem problem =
      lt_problem(numbers_of(DType::bf16), 320, 768, 2304, Finish::bias, false);
  EXPECT_EQ(problem.a.rows, 768);
  EXPECT_EQ(problem.a.columns, 2304);
  EXPECT_EQ(problem.a.leading, 768);
  EXPECT_EQ(problem.b.rows, 768);
  EXPECT_EQ(problem.b.columns, 320);
  EXPECT_EQ(problem.b.leading, 768);
  EXPECT_EQ(problem.d.rows, 2304);
  EXPECT_EQ(problem.d.columns, 320);
  EXPECT_EQ(problem.d.leading, 2304);
  EXPECT_EQ(problem.a.element, Element::bf16);
}

/// What a product should be, in rows.
std::vector<double> expected_rows(const std::vector<float>& x, const std::vector<float>& weight,
                                  const std::vector<float>& bias, const std::vector<float>& onto,
                                  Finish finish, std::size_t rows, std::size_t in,
                                  std::size_t out) {
  std::vector<double> y(rows * out);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t o = 0; o < out; ++o) {
      double sum = static_cast<double>(onto[row * out + o]) + static_cast<double>(bias[o]);
      for (std::size_t i = 0; i < in; ++i) {
        sum += static_cast<double>(x[row * in + i]) * static_cast<double>(weight[o * in + i]);
      }
      y[row * out + o] = sum;
    }
  }
  if (finish == Finish::bias_gelu_tanh || finish == Finish::bias_gelu_erf) {
    reference::apply_gelu(
        finish == Finish::bias_gelu_tanh ? Activation::gelu_tanh : Activation::gelu_erf, y);
  }
  return y;
}

/// As cuBLASLt would read it, in every combination a program asks for.
TEST(Layouts, AndEpiloguesGiveTheProductOfRows) {
  constexpr std::size_t kRows = 5;
  constexpr std::size_t kIn = 16;
  constexpr std::size_t kOut = 12;
  const std::vector<float> x = noise(kRows * kIn, 1.0F, 1);
  const std::vector<float> weight = noise(kOut * kIn, 0.3F, 2);
  const std::vector<float> zero(kRows * kOut, 0.0F);
  for (const DType dtype : {DType::f32, DType::tf32, DType::bf16, DType::f16, DType::fp8}) {
    for (const Finish finish :
         {Finish::none, Finish::bias, Finish::bias_gelu_tanh, Finish::bias_gelu_erf}) {
      for (const bool residual : {false, true}) {
        const Numbers numbers = numbers_of(dtype);
        const std::vector<float> bias =
            finish == Finish::none ? std::vector<float>(kOut, 0.0F) : noise(kOut, 1.0F, 4);
        const std::vector<float> onto = residual ? noise(kRows * kOut, 1.0F, 5) : zero;
        const float scales[2] = {numbers.scaled() ? scale_for(largest(weight)) : 1.0F,
                                 numbers.scaled() ? scale_for(largest(x)) : 1.0F};
        const auto a = encode(numbers.operands, weight, scales[0]);
        const auto b = encode(numbers.operands, x, scales[1]);
        const auto c = encode(numbers.activations, bias);
        auto d = encode(numbers.activations, onto);
        HostLauncher().launch(
            ProductArgs{lt_problem(numbers, kRows, kIn, kOut, finish, residual), a.data(), b.data(),
                        d.data(), c.data(), &scales[0], &scales[1]},
            Branch::main);
        const auto found = decode(numbers.activations, d.data(), kRows * kOut);
        const auto expected = expected_rows(x, weight, bias, onto, finish, kRows, kIn, kOut);
        const double tolerance = dtype == DType::f32 ? 1e-5 : dtype == DType::fp8 ? 0.3 : 0.05;
        for (std::size_t i = 0; i < found.size(); ++i) {
          ASSERT_NEAR(static_cast<double>(found[i]), expected[i], tolerance)
              << to_string(dtype) << " " << to_string(finish) << " " << residual << " at " << i;
        }
      }
    }
  }
}

/// The library's GELU is the tanh form: only a model that has it may ask for it.
/// What a session's output() gave stays valid until the next run (backends/backend.hpp), also when
/// it is asked for again: on an H100 `vector(output().begin(), output().end())` had the ends of
/// two.
TEST(Decoded, StaysWhereItWas) {
  const std::vector<float> first{1.0F, -2.0F, 0.5F, 448.0F};
  const std::vector<float> second{0.25F, 3.0F, -1.0F, 8.0F};
  for (const Element element : {Element::f32, Element::bf16, Element::f16, Element::e4m3}) {
    std::vector<float> values;
    decode_into(values, element, encode(element, first).data(), 4);
    EXPECT_EQ(values, first);
    const float* const at = values.data();
    decode_into(values, element, encode(element, second).data(), 4);
    EXPECT_EQ(values, second);
    EXPECT_EQ(values.data(), at);
  }
}

TEST(Layouts, OnlyTanhGeluIsLeftToTheLibrary) {
  for (const Activation activation : {Activation::gelu_tanh, Activation::gelu_erf}) {
    ModelConfig config = *builtin_model("bert-base");
    config.activation = activation;
    const WeightPlaces places = weight_places(config, numbers_of(DType::bf16), 512);
    const Plan plan = make_plan(config, Variant::full, 0, Order::question_first);
    const Shape shape = uniform_shape(1, 27, 293);
    const Program program =
        make_program({config, places, numbers_of(DType::bf16), plan, shape, {}}, {});
    for (const Step& step : program.steps) {
      if (const auto* product = std::get_if<ProductArgs>(&step.work)) {
        EXPECT_NE(product->problem.finish, Finish::bias_gelu_erf);
        if (activation == Activation::gelu_erf) {
          EXPECT_NE(product->problem.finish, Finish::bias_gelu_tanh);
        }
      }
    }
  }
}

TEST(Layouts, GelusAreTheReferences) {
  for (const Activation activation : {Activation::gelu_erf, Activation::gelu_tanh}) {
    for (float x = -8.0F; x < 8.0F; x += 0.01F) {
      double expected = static_cast<double>(x);
      reference::apply_gelu(activation, {&expected, 1});
      ASSERT_NEAR(static_cast<double>(gelu(activation, x)), expected, 1e-6);
    }
  }
}

TEST(Buckets, AreFineWhereRowsAreFewAndNeverSmallerThanTheRows) {
  EXPECT_EQ(rows_bucket(1), 16);
  EXPECT_EQ(rows_bucket(27), 32);
  EXPECT_EQ(rows_bucket(64), 64);
  EXPECT_EQ(rows_bucket(65), 128);
  EXPECT_EQ(rows_bucket(320), 320);
  EXPECT_EQ(rows_bucket(12288), 12288);
  std::int64_t before = 0;
  for (std::int64_t rows = 1; rows < 20000; ++rows) {
    const std::int64_t bucket = rows_bucket(rows);
    ASSERT_GE(bucket, rows);
    ASSERT_GE(bucket, before);
    ASSERT_EQ(rows_bucket(bucket), bucket);
    ASSERT_LE(bucket, std::max<std::int64_t>(rows + 63, rows * 9 / 8 + 1));
    before = bucket;
  }
}

TEST(Buckets, KeepApartWhatAlgorithmsDependOn) {
  const auto name = [](DType dtype, std::int64_t rows, Finish finish, bool residual) {
    return bucket_name(lt_problem(numbers_of(dtype), rows, 768, 3072, finish, residual));
  };
  EXPECT_EQ(name(DType::bf16, 321, Finish::bias, false),
            name(DType::bf16, 384, Finish::bias, false));
  EXPECT_NE(name(DType::bf16, 320, Finish::bias, false),
            name(DType::bf16, 384, Finish::bias, false));
  EXPECT_NE(name(DType::bf16, 320, Finish::bias, false),
            name(DType::f16, 320, Finish::bias, false));
  EXPECT_NE(name(DType::f32, 320, Finish::bias, false),
            name(DType::tf32, 320, Finish::bias, false));
  EXPECT_NE(name(DType::bf16, 320, Finish::bias, false),
            name(DType::bf16, 320, Finish::bias, true));
  EXPECT_NE(name(DType::bf16, 320, Finish::bias, false),
            name(DType::bf16, 320, Finish::bias_gelu_tanh, false));
}

// What was chosen once.

class Remembered : public testing::Test {
 protected:
  Remembered()
      : folder_(std::filesystem::temp_directory_path() /
                ("deformer-algorithms-" + std::to_string(getpid()))),
        store_(folder_, {{"build", "test"}}, [](const std::string&) {}) {
    for (std::size_t i = 0; i < algorithm_.bytes.size(); ++i) {
      algorithm_.bytes[i] = static_cast<std::byte>(i * 37);
    }
    algorithm_.workspace_bytes = 4096;
    algorithm_.time_us = 12.5;
  }
  ~Remembered() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
  MachineStore store_;
  Algorithm algorithm_;
};

TEST_F(Remembered, AnAlgorithmComesBackFromTheStore) {
  {
    AlgorithmMemory memory("H100", "cuBLASLt 13.1", &store_);
    EXPECT_FALSE(memory.find("bf16"));
    memory.remember("bf16", algorithm_);
    memory.save();
  }
  const AlgorithmMemory again("H100", "cuBLASLt 13.1", &store_);
  ASSERT_TRUE(again.find("bf16"));
  EXPECT_EQ(*again.find("bf16"), algorithm_);
}

TEST_F(Remembered, NotForAnotherDeviceOrLibrary) {
  AlgorithmMemory memory("H100", "cuBLASLt 13.1", &store_);
  memory.remember("bf16", algorithm_);
  memory.save();
  EXPECT_FALSE(AlgorithmMemory("A100", "cuBLASLt 13.1", &store_).find("bf16"));
  EXPECT_FALSE(AlgorithmMemory("H100", "cuBLASLt 13.2", &store_).find("bf16"));
}

TEST_F(Remembered, WithoutAStoreForTheProcess) {
  AlgorithmMemory memory("H100", "cuBLASLt 13.1", nullptr);
  memory.remember("bf16", algorithm_);
  memory.save();
  EXPECT_TRUE(memory.find("bf16"));
}

TEST_F(Remembered, WhatIsDamagedIsChosenAgain) {
  for (const nlohmann::ordered_json& value : {
           nlohmann::ordered_json(7),
           nlohmann::ordered_json{{"device", 7}},
           nlohmann::ordered_json{{"device", "H100"}, {"library", "L"}, {"products", 3}},
           nlohmann::ordered_json{
               {"device", "H100"}, {"library", "L"}, {"products", {{"bf16", "short"}}}},
           nlohmann::ordered_json{
               {"device", "H100"},
               {"library", "L"},
               {"products",
                {{"bf16", {{"algorithm", "zz"}, {"workspace_bytes", 1}, {"time_us", 1}}}}}},
       }) {
    ASSERT_TRUE(store_.save("cuda-products", value));
    EXPECT_FALSE(AlgorithmMemory("H100", "L", &store_).find("bf16"));
  }
}

// fp8.

TEST(Fp8Scales, WhatALayerNormLeavesFitsAndIsFarAboveTheSmallestStep) {
  constexpr std::size_t kD = 768;
  const std::vector<float> weight = noise(kD, 0.1F, 1);
  const std::vector<float> bias = noise(kD, 0.1F, 2);
  const double bound = RowBound{weight, bias, 0, 0}.value();
  std::vector<double> row(kD);
  const std::vector<float> x = noise(kD, 5.0F, 3);
  std::ranges::copy(x, row.begin());
  row[5] = 1e4;  // the worst a row can be: all in one element
  const std::vector<double> wide_weight(weight.begin(), weight.end());
  const std::vector<double> wide_bias(bias.begin(), bias.end());
  reference::layer_norm(row, wide_weight, wide_bias, 1e-12);
  for (const double value : row) {
    EXPECT_LE(std::abs(value), bound);
  }
}

TEST(Fp8Scales, AProductOfNormalisedRowsFits) {
  constexpr std::size_t kD = 64;
  const std::vector<float> norm_weight = noise(kD, 1.0F, 1);
  const std::vector<float> norm_bias = noise(kD, 0.2F, 2);
  const std::vector<float> weight = noise(3 * kD, 0.3F, 3);
  const std::vector<float> bias = noise(3, 0.1F, 4);
  const double bound = RowBound{norm_weight, norm_bias, 0, 0}.product(weight, bias);
  // The worst row: along the weights of one output.
  for (std::size_t output = 0; output < 3; ++output) {
    double length = 0;
    std::vector<double> row(kD);
    for (std::size_t i = 0; i < kD; ++i) {
      row[i] = static_cast<double>(weight[output * kD + i]) * static_cast<double>(norm_weight[i]);
      length += row[i] * row[i];
    }
    double sum = static_cast<double>(bias[output]);
    for (std::size_t i = 0; i < kD; ++i) {
      const double normal = row[i] * std::sqrt(kD / length);
      sum += static_cast<double>(weight[output * kD + i]) *
             (normal * static_cast<double>(norm_weight[i]) + static_cast<double>(norm_bias[i]));
    }
    EXPECT_LE(std::abs(sum), bound * (1 + 1e-12));
  }
}

TEST(Fp8Scales, TheBoundIsTheLargestNumberAndNothingIsDividedByZero) {
  EXPECT_FLOAT_EQ(scale_for(448.0), 1.0F);
  EXPECT_FLOAT_EQ(448.0F * scale_for(3.5), 3.5F);
  EXPECT_EQ(scale_for(0.0), 1.0F);
}

// What runs beside something else.

TEST(ExposedTime, IsWhatAPhaseAddsToThoseBeforeIt) {
  const Interval intervals[] = {{0, 10}, {10, 40}, {5, 60}, {60, 70}};
  std::int64_t exposed[4];
  exposed_ns(intervals, exposed);
  EXPECT_THAT(exposed, ElementsAre(10, 30, 20, 10));
}

TEST(ExposedTime, AGapInTheMiddleIsFilled) {
  const Interval intervals[] = {{0, 10}, {20, 30}, {5, 25}, {0, 30}, {28, 29}};
  std::int64_t exposed[5];
  exposed_ns(intervals, exposed);
  EXPECT_THAT(exposed, ElementsAre(10, 10, 10, 0, 0));
}

}  // namespace
}  // namespace deformer::cuda
