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

HWY_BEFORE_NAMESPACE();
namespace deformer::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Full = hn::ScalableTag<float>;
using Vector = hn::Vec<Full>;

/// e^x for x <= 0, and 2^-126 for what is smaller than that: 2^(x log2 e) as 2^n times a polynomial
/// on [-1/2, 1/2], fitted for the least relative error (7.5e-8). The rounding of log2 e adds 1.4e-8
/// |x|; without fused multiply-adds that of x log2 e adds 6e-8 |x|: largest where the result is
/// smallest. Adding 1.5 * 2^23 rounds to whole numbers and leaves n in the lowest bits, which saves
/// two conversions.
HWY_INLINE Vector ExpOfNegative(Vector x) {
  const Full tag;
  const hn::RebindToSigned<Full> integers;
  const auto log2_e = hn::Set(tag, 1.44269504F);
  const auto rounder = hn::Set(tag, 12582912.0F);
  const auto bounded = hn::Max(x, hn::Set(tag, -87.33654F));
  const auto rounded = hn::MulAdd(bounded, log2_e, rounder);
  const auto part = hn::MulSub(bounded, log2_e, hn::Sub(rounded, rounder));
  auto power = hn::Set(tag, 1.32764673e-3F);
  power = hn::MulAdd(power, part, hn::Set(tag, 9.67554178e-3F));
  power = hn::MulAdd(power, part, hn::Set(tag, 5.55071329e-2F));
  power = hn::MulAdd(power, part, hn::Set(tag, 2.40221197e-1F));
  power = hn::MulAdd(power, part, hn::Set(tag, 6.93146967e-1F));
  power = hn::MulAdd(power, part, hn::Set(tag, 1.0F));
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(integers, rounded));
  return hn::BitCast(tag, hn::Add(hn::BitCast(integers, power), exponent));
}

/// x Phi(x): Phi(x) - 1/2 = x P(x^2) for |x| <= 5, beyond which Phi is within 3e-7 of 0 or 1. P is
/// a polynomial in 2 x^2 / 25 - 1, fitted for the least error of x Phi(x): 7e-8. Thirteen
/// multiply-adds and no division; the coefficients' sum of magnitudes is 0.4, so nothing cancels.
HWY_INLINE Vector GeluErf(Vector x) {
  constexpr float kCoefficients[] = {
      -2.07746620e-4F, 6.71027869e-4F,  -9.61783924e-4F, 1.54432538e-3F,  -3.46706086e-3F,
      6.60036271e-3F,  -1.07171247e-2F, 1.63101573e-2F,  -2.33921930e-2F, 3.14620547e-2F,
      -4.04280983e-2F, 5.15189767e-2F,  -7.02967644e-2F, 1.41363800e-1F};
  const Full tag;
  const auto clamped = hn::Clamp(x, hn::Set(tag, -5.0F), hn::Set(tag, 5.0F));
  const auto t = hn::MulSub(hn::Mul(clamped, clamped), hn::Set(tag, 0.08F), hn::Set(tag, 1.0F));
  auto sum = hn::Set(tag, kCoefficients[0]);
  for (std::size_t i = 1; i < sizeof kCoefficients / sizeof(float); ++i) {
    sum = hn::MulAdd(sum, t, hn::Set(tag, kCoefficients[i]));
  }
  return hn::Mul(x, hn::MulAdd(clamped, sum, hn::Set(tag, 0.5F)));
}

/// x / 2 (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x^3), which is x / (1 + e^-2u).
HWY_INLINE Vector GeluTanh(Vector x) {
  const Full tag;
  const auto cubic =
      hn::MulAdd(hn::Mul(x, x), hn::Set(tag, 0.0713548162726F), hn::Set(tag, 1.59576912161F));
  const auto twice_u = hn::Mul(x, cubic);
  const auto small = ExpOfNegative(hn::Neg(hn::Abs(twice_u)));
  const auto one = hn::Set(tag, 1.0F);
  const auto numerator = hn::IfThenElse(hn::Lt(twice_u, hn::Zero(tag)), small, one);
  return hn::Div(hn::Mul(x, numerator), hn::Add(one, small));
}

template <class Function>
HWY_INLINE void ForRows(float* x, std::size_t rows, std::size_t columns, std::size_t stride,
                        const Function& function) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  for (std::size_t row = 0; row < rows; ++row) {
    float* values = x + row * stride;
    for (std::size_t column = 0; column < columns; column += lanes) {
      hn::StoreU(function(hn::LoadU(tag, values + column)), tag, values + column);
    }
  }
}

void GeluErfRows(float* x, std::size_t rows, std::size_t columns, std::size_t stride) {
  ForRows(x, rows, columns, stride, [](Vector v) HWY_ATTR { return GeluErf(v); });
}

void GeluTanhRows(float* x, std::size_t rows, std::size_t columns, std::size_t stride) {
  ForRows(x, rows, columns, stride, [](Vector v) HWY_ATTR { return GeluTanh(v); });
}

/// Vectors of sums side by side: one alone waits for each addition before the next.
constexpr std::size_t kSums = 4;

HWY_INLINE float Total(const Vector (&sums)[kSums]) {
  return hn::GetLane(
      hn::SumOfLanes(Full(), hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]))));
}

float Sum(const float* x, std::size_t d) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto zero = hn::Zero(tag);
  Vector sums[kSums] = {zero, zero, zero, zero};
  std::size_t i = 0;
  for (; i + kSums * lanes <= d; i += kSums * lanes) {
    for (std::size_t v = 0; v < kSums; ++v) {
      sums[v] = hn::Add(sums[v], hn::LoadU(tag, x + i + v * lanes));
    }
  }
  for (; i + lanes <= d; i += lanes) {
    sums[0] = hn::Add(sums[0], hn::LoadU(tag, x + i));
  }
  float sum = Total(sums);
  for (; i < d; ++i) {
    sum += x[i];
  }
  return sum;
}

float SumOfSquaredDistances(const float* x, std::size_t d, float mean) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  const auto means = hn::Set(tag, mean);
  const auto zero = hn::Zero(tag);
  Vector sums[kSums] = {zero, zero, zero, zero};
  std::size_t i = 0;
  for (; i + kSums * lanes <= d; i += kSums * lanes) {
    for (std::size_t v = 0; v < kSums; ++v) {
      const auto distance = hn::Sub(hn::LoadU(tag, x + i + v * lanes), means);
      sums[v] = hn::MulAdd(distance, distance, sums[v]);
    }
  }
  for (; i + lanes <= d; i += lanes) {
    const auto distance = hn::Sub(hn::LoadU(tag, x + i), means);
    sums[0] = hn::MulAdd(distance, distance, sums[0]);
  }
  float sum = Total(sums);
  for (; i < d; ++i) {
    sum += (x[i] - mean) * (x[i] - mean);
  }
  return sum;
}

void NormaliseRow(float* x, std::size_t d, const Norm& norm) {
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

void Normalise(float* x, std::size_t rows, std::size_t d, std::size_t stride, const Norm& norm) {
  for (std::size_t row = 0; row < rows; ++row) {
    NormaliseRow(x + row * stride, d, norm);
  }
}

void EmbedRow(const float* word, const float* position, const float* type, std::size_t d,
              const Norm& norm, float* out) {
  AddRows(word, position, d, out);
  AddRows(out, type, d, out);
  NormaliseRow(out, d, norm);
}

void HighestOfColumns(const float* scores, std::size_t keys, std::size_t width, float* highest) {
  const Full tag;
  for (std::size_t column = 0; column < width; column += hn::Lanes(tag)) {
    auto most = hn::LoadU(tag, highest + column);
    for (std::size_t key = 0; key < keys; ++key) {
      most = hn::Max(most, hn::LoadU(tag, scores + key * width + column));
    }
    hn::StoreU(most, tag, highest + column);
  }
}

/// kVectors of columns side by side: their chains of dependent operations overlap.
template <std::size_t kVectors>
void ExpOfColumns(float* scores, std::size_t keys, std::size_t width, const float* highest,
                  float* sums) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  Vector most[kVectors];
  Vector sum[kVectors];
  for (std::size_t v = 0; v < kVectors; ++v) {
    most[v] = hn::LoadU(tag, highest + v * lanes);
    sum[v] = hn::LoadU(tag, sums + v * lanes);
  }
  for (std::size_t key = 0; key < keys; ++key) {
    float* at = scores + key * width;
    for (std::size_t v = 0; v < kVectors; ++v) {
      const auto value = ExpOfNegative(hn::Sub(hn::LoadU(tag, at + v * lanes), most[v]));
      hn::StoreU(value, tag, at + v * lanes);
      sum[v] = hn::Add(sum[v], value);
    }
  }
  for (std::size_t v = 0; v < kVectors; ++v) {
    hn::StoreU(sum[v], tag, sums + v * lanes);
  }
}

void ExpColumns(float* scores, std::size_t keys, std::size_t width, const float* highest,
                float* sums) {
  const std::size_t lanes = hn::Lanes(Full());
  std::size_t column = 0;
  for (; column + 2 * lanes <= width; column += 2 * lanes) {
    ExpOfColumns<2>(scores + column, keys, width, highest + column, sums + column);
  }
  if (column < width) {
    ExpOfColumns<1>(scores + column, keys, width, highest + column, sums + column);
  }
}

void PackRows(const float* rows, std::size_t stride, std::size_t count, std::size_t columns,
              float* out, std::size_t out_stride) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  const std::size_t whole = columns / lanes * lanes;
  for (std::size_t row = 0; row < count; ++row) {
    const float* from = rows + row * stride;
    float* to = out + row * out_stride;
    for (std::size_t column = 0; column < whole; column += lanes) {
      hn::StoreU(hn::LoadU(tag, from + column), tag, to + column);
    }
    if (whole < columns) {
      hn::StoreU(hn::MaskedLoad(hn::FirstN(tag, columns - whole), tag, from + whole), tag,
                 to + whole);
    }
  }
}

void StoreQuotients(const float* rows, std::size_t stride, std::size_t count, std::size_t columns,
                    const float* divisors, float* out, std::size_t out_stride) {
  const Full tag;
  const std::size_t lanes = hn::Lanes(tag);
  const std::size_t whole = columns / lanes * lanes;
  for (std::size_t row = 0; row < count; ++row) {
    const float factor = 1.0F / divisors[row];
    const auto factors = hn::Set(tag, factor);
    const float* from = rows + row * stride;
    float* to = out + row * out_stride;
    for (std::size_t column = 0; column < whole; column += lanes) {
      hn::StoreU(hn::Mul(hn::LoadU(tag, from + column), factors), tag, to + column);
    }
    for (std::size_t column = whole; column < columns; ++column) {
      to[column] = from[column] * factor;
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

}  // namespace deformer::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deformer::kernels {
namespace {

HWY_EXPORT(Normalise);
HWY_EXPORT(EmbedRow);
HWY_EXPORT(HighestOfColumns);
HWY_EXPORT(ExpColumns);
HWY_EXPORT(PackRows);
HWY_EXPORT(StoreQuotients);
HWY_EXPORT(GeluErfRows);
HWY_EXPORT(GeluTanhRows);
HWY_EXPORT(Dot);

std::size_t size(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

}  // namespace

void normalise(float* x, std::int64_t rows, std::int64_t d, std::int64_t stride, const Norm& norm) {
  HWY_DYNAMIC_DISPATCH(Normalise)(x, size(rows), size(d), size(stride), norm);
}

void embed_row(const float* word, const float* position, const float* type, std::int64_t d,
               const Norm& norm, float* out) {
  HWY_DYNAMIC_DISPATCH(EmbedRow)(word, position, type, size(d), norm, out);
}

void highest_of_columns(const float* scores, std::int64_t keys, std::int64_t width,
                        float* highest) {
  HWY_DYNAMIC_DISPATCH(HighestOfColumns)(scores, size(keys), size(width), highest);
}

void exp_columns(float* scores, std::int64_t keys, std::int64_t width, const float* highest,
                 float* sums) {
  HWY_DYNAMIC_DISPATCH(ExpColumns)(scores, size(keys), size(width), highest, sums);
}

void pack_rows(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t columns,
               float* out, std::int64_t out_stride) {
  HWY_DYNAMIC_DISPATCH(PackRows)
  (rows, size(stride), size(count), size(columns), out, size(out_stride));
}

void store_quotients(const float* rows, std::int64_t stride, std::int64_t count,
                     std::int64_t columns, const float* divisors, float* out,
                     std::int64_t out_stride) {
  HWY_DYNAMIC_DISPATCH(StoreQuotients)
  (rows, size(stride), size(count), size(columns), divisors, out, size(out_stride));
}

void gelu_erf(float* x, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  HWY_DYNAMIC_DISPATCH(GeluErfRows)(x, size(rows), size(columns), size(stride));
}

void gelu_tanh(float* x, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  HWY_DYNAMIC_DISPATCH(GeluTanhRows)(x, size(rows), size(columns), size(stride));
}

float dot(const float* a, const float* b, std::int64_t count) {
  return HWY_DYNAMIC_DISPATCH(Dot)(a, b, size(count));
}

}  // namespace deformer::kernels
#endif  // HWY_ONCE
