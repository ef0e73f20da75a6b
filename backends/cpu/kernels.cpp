#include "backends/cpu/kernels.hpp"

#include <cmath>
#include <cstddef>

// Highway compiles the part between the two namespace lines once per instruction set, by including
// this file again.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backends/cpu/kernels.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>
// After highway.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace deformer::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Full = hn::ScalableTag<float>;
/// At most 8 lanes: widths of query blocks are multiples of 8.
using Eight = hn::CappedTag<float, 8>;

float Sum(const float* x, std::size_t d) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  auto sums = hn::Zero(tag);
  std::size_t i = 0;
  for (; i + lanes <= d; i += lanes) {
    sums = hn::Add(sums, hn::LoadU(tag, x + i));
  }
  float sum = hn::GetLane(hn::SumOfLanes(tag, sums));
  for (; i < d; ++i) {
    sum += x[i];
  }
  return sum;
}

float SumOfSquaredDistances(const float* x, std::size_t d, float mean) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto means = hn::Set(tag, mean);
  auto sums = hn::Zero(tag);
  std::size_t i = 0;
  for (; i + lanes <= d; i += lanes) {
    const auto distance = hn::Sub(hn::LoadU(tag, x + i), means);
    sums = hn::MulAdd(distance, distance, sums);
  }
  float sum = hn::GetLane(hn::SumOfLanes(tag, sums));
  for (; i < d; ++i) {
    sum += (x[i] - mean) * (x[i] - mean);
  }
  return sum;
}

void Normalise(float* x, std::size_t d, const Norm& norm) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  const float mean = Sum(x, d) / static_cast<float>(d);
  const float variance = SumOfSquaredDistances(x, d, mean) / static_cast<float>(d);
  const float scale = 1.0F / std::sqrt(variance + norm.eps);
  const auto means = hn::Set(tag, mean);
  const auto scales = hn::Set(tag, scale);
  std::size_t i = 0;
  for (; i + lanes <= d; i += lanes) {
    const auto unit = hn::Mul(hn::Sub(hn::LoadU(tag, x + i), means), scales);
    const auto y = hn::MulAdd(unit, hn::LoadU(tag, norm.weight + i), hn::LoadU(tag, norm.bias + i));
    hn::StoreU(y, tag, x + i);
  }
  for (; i < d; ++i) {
    x[i] = (x[i] - mean) * scale * norm.weight[i] + norm.bias[i];
  }
}

/// out <- a + b; out may be a.
void AddRows(const float* a, const float* b, std::size_t d, float* out) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  std::size_t i = 0;
  for (; i + lanes <= d; i += lanes) {
    hn::StoreU(hn::Add(hn::LoadU(tag, a + i), hn::LoadU(tag, b + i)), tag, out + i);
  }
  for (; i < d; ++i) {
    out[i] = a[i] + b[i];
  }
}

void ShiftAndNormalise(float* x, std::size_t rows, std::size_t d, const float* shift,
                       const Norm& norm) {
  for (std::size_t row = 0; row < rows; ++row) {
    float* values = x + row * d;
    if (shift != nullptr) {
      AddRows(values, shift, d, values);
    }
    Normalise(values, d, norm);
  }
}

void EmbedRow(const float* word, const float* position, const float* type, std::size_t d,
              const Norm& norm, float* out) {
  AddRows(word, position, d, out);
  AddRows(out, type, d, out);
  Normalise(out, d, norm);
}

/// One vector of columns. Two running maxima and sums hide the latency of one.
void SoftmaxColumn(float* scores, std::size_t keys, std::size_t width, float* inverse_sums) {
  const Eight tag;
  auto highest = hn::Set(tag, -INFINITY);
  auto highest_odd = highest;
  std::size_t key = 0;
  for (; key + 2 <= keys; key += 2) {
    highest = hn::Max(highest, hn::LoadU(tag, scores + key * width));
    highest_odd = hn::Max(highest_odd, hn::LoadU(tag, scores + (key + 1) * width));
  }
  if (key < keys) {
    highest = hn::Max(highest, hn::LoadU(tag, scores + key * width));
  }
  highest = hn::Max(highest, highest_odd);

  auto sum = hn::Zero(tag);
  auto sum_odd = sum;
  const auto exponentiate = [&](std::size_t row) HWY_ATTR {
    float* at = scores + row * width;
    const auto value = hn::Exp(tag, hn::Sub(hn::LoadU(tag, at), highest));
    hn::StoreU(value, tag, at);
    return value;
  };
  for (key = 0; key + 2 <= keys; key += 2) {
    sum = hn::Add(sum, exponentiate(key));
    sum_odd = hn::Add(sum_odd, exponentiate(key + 1));
  }
  if (key < keys) {
    sum = hn::Add(sum, exponentiate(key));
  }
  hn::StoreU(hn::Div(hn::Set(tag, 1.0F), hn::Add(sum, sum_odd)), tag, inverse_sums);
}

void SoftmaxColumns(float* scores, std::size_t keys, std::size_t width, float* inverse_sums) {
  const std::size_t lanes = hn::Lanes(Eight());
  for (std::size_t column = 0; column < width; column += lanes) {
    SoftmaxColumn(scores + column, keys, width, inverse_sums + column);
  }
}

void ScoresOfBlock(const float* queries, const float* keys, std::size_t stride, std::size_t count,
                   std::size_t d_head, std::size_t width, float* scores) {
  const Eight tag;
  const std::size_t lanes = hn::Lanes(tag);
  for (std::size_t key = 0; key < count; ++key) {
    for (std::size_t column = 0; column < width; column += lanes) {
      auto sum = hn::Zero(tag);
      for (std::size_t i = 0; i < d_head; ++i) {
        const auto weight = hn::Set(tag, keys[key * stride + i]);
        sum = hn::MulAdd(weight, hn::LoadU(tag, queries + i * width + column), sum);
      }
      hn::StoreU(sum, tag, scores + key * width + column);
    }
  }
}

/// Four accumulators: enough to hide an addition's latency.
float Dot(const float* a, const float* b, std::size_t count) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  auto s0 = hn::Zero(tag);
  auto s1 = s0;
  auto s2 = s0;
  auto s3 = s0;
  std::size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    s0 = hn::MulAdd(hn::LoadU(tag, a + i), hn::LoadU(tag, b + i), s0);
    s1 = hn::MulAdd(hn::LoadU(tag, a + i + lanes), hn::LoadU(tag, b + i + lanes), s1);
    s2 = hn::MulAdd(hn::LoadU(tag, a + i + 2 * lanes), hn::LoadU(tag, b + i + 2 * lanes), s2);
    s3 = hn::MulAdd(hn::LoadU(tag, a + i + 3 * lanes), hn::LoadU(tag, b + i + 3 * lanes), s3);
  }
  for (; i + lanes <= count; i += lanes) {
    s0 = hn::MulAdd(hn::LoadU(tag, a + i), hn::LoadU(tag, b + i), s0);
  }
  float sum = hn::GetLane(hn::SumOfLanes(tag, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
  for (; i < count; ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

void AddScaled(const float* row, std::size_t count, float factor, float* out) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto factors = hn::Set(tag, factor);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::MulAdd(factors, hn::LoadU(tag, row + i), hn::LoadU(tag, out + i)), tag, out + i);
  }
  for (; i < count; ++i) {
    out[i] += factor * row[i];
  }
}

void MixValues(const float* scores, const float* values, std::size_t stride, std::size_t count,
               std::size_t d_head, std::size_t width, std::size_t queries, float* out,
               std::size_t out_stride) {
  for (std::size_t query = 0; query < queries; ++query) {
    float* row = out + query * out_stride;
    for (std::size_t i = 0; i < d_head; ++i) {
      row[i] = 0.0F;
    }
    for (std::size_t key = 0; key < count; ++key) {
      AddScaled(values + key * stride, d_head, scores[key * width + query], row);
    }
  }
}

void ScaleRow(float* row, std::size_t count, float factor) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto factors = hn::Set(tag, factor);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Mul(factors, hn::LoadU(tag, row + i)), tag, row + i);
  }
  for (; i < count; ++i) {
    row[i] *= factor;
  }
}

}  // namespace deformer::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deformer::kernels {
namespace {

HWY_EXPORT(ShiftAndNormalise);
HWY_EXPORT(EmbedRow);
HWY_EXPORT(SoftmaxColumns);
HWY_EXPORT(ScoresOfBlock);
HWY_EXPORT(MixValues);
HWY_EXPORT(ScaleRow);
HWY_EXPORT(Dot);

std::size_t size(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

}  // namespace

void shift_and_normalise(float* x, std::int64_t rows, std::int64_t d, const float* shift,
                         const Norm& norm) {
  HWY_DYNAMIC_DISPATCH(ShiftAndNormalise)(x, size(rows), size(d), shift, norm);
}

void embed_row(const float* word, const float* position, const float* type, std::int64_t d,
               const Norm& norm, float* out) {
  HWY_DYNAMIC_DISPATCH(EmbedRow)(word, position, type, size(d), norm, out);
}

void softmax_columns(float* scores, std::int64_t keys, std::int64_t width, float* inverse_sums) {
  HWY_DYNAMIC_DISPATCH(SoftmaxColumns)(scores, size(keys), size(width), inverse_sums);
}

void scores_of_block(const float* queries, const float* keys, std::int64_t stride,
                     std::int64_t count, std::int64_t d_head, std::int64_t width, float* scores) {
  HWY_DYNAMIC_DISPATCH(ScoresOfBlock)
  (queries, keys, size(stride), size(count), size(d_head), size(width), scores);
}

void mix_values(const float* scores, const float* values, std::int64_t stride, std::int64_t count,
                std::int64_t d_head, std::int64_t width, std::int64_t queries, float* out,
                std::int64_t out_stride) {
  HWY_DYNAMIC_DISPATCH(MixValues)
  (scores, values, size(stride), size(count), size(d_head), size(width), size(queries), out,
   size(out_stride));
}

void scale_row(float* row, std::int64_t count, float factor) {
  HWY_DYNAMIC_DISPATCH(ScaleRow)(row, size(count), factor);
}

float dot(const float* a, const float* b, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(Dot)(a, b, size(count));
}

}  // namespace deformer::kernels
#endif  // HWY_ONCE
