#pragma once
/// Kernels that work on rows: one warp a row, every row read and written once, statistics in f32,
/// the variance in a second pass over registers. Functions here are the whole of a warp's work;
/// row_kernels.cu gives them to the device, tests run them on the host.
///
/// Element (chunk * 32 + lane) * 4 + i of a row belongs to a lane: neighbours in a warp read
/// neighbouring packs.

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "backends/cuda/kernels/args.hpp"
#include "backends/cuda/kernels/numbers.cuh"
#include "backends/cuda/kernels/warp.cuh"

namespace deformer::cuda {

inline constexpr int kPack = 4;
inline constexpr int kChunk = kLanes * kPack;  ///< elements of a row a warp takes at once
/// Widest row whose values a lane keeps in registers: 16 packs.
inline constexpr std::int64_t kWidestRow = 16 * kChunk;

DEFORMER_PORTABLE float gelu(Activation activation, float x) {
  if (activation == Activation::gelu_erf) {
    return 0.5F * x * (1.0F + erff(x * 0.70710678F));
  }
  constexpr float kSlope = 0.79788456F;  // sqrt(2 / pi)
  return 0.5F * x * (1.0F + tanhf(kSlope * (x + 0.044715F * x * x * x)));
}

template <class T>
DEFORMER_PORTABLE Pack<float> load(const void* values, std::int64_t at) {
  return widen(reinterpret_cast<const Pack<T>*>(values)[at / kPack]);
}

template <class T>
DEFORMER_PORTABLE void store(void* values, std::int64_t at, const Pack<float>& pack) {
  reinterpret_cast<Pack<T>*>(values)[at / kPack] = narrow<T>(pack);
}

DEFORMER_PORTABLE Pack<float> scaled(Pack<float> pack, float factor) {
  DEFORMER_UNROLL
  for (float& value : pack.at) {
    value *= factor;
  }
  return pack;
}

/// A row in registers.
template <int kChunks>
struct RowPart {
  Pack<float> chunk[kChunks];
};

/// f(chunk, first element) for those of a lane's packs that the row has.
template <int kChunks, class F>
DEFORMER_PORTABLE void for_packs(int lane, std::int64_t d, const F& f) {
  DEFORMER_UNROLL
  for (int chunk = 0; chunk < kChunks; ++chunk) {
    const std::int64_t at = (std::int64_t{chunk} * kLanes + lane) * kPack;
    if (at < d) {
      f(chunk, at);
    }
  }
}

/// Normalises what the lanes hold, in place.
template <int kChunks, class Warp, class Values>
DEFORMER_PORTABLE void normalise(Warp& warp, Values& values, std::int64_t d, const Norm& norm) {
  const auto width = static_cast<float>(d);
  const float mean = warp.sum([&](int lane) {
    float sum = 0.0F;
    for_packs<kChunks>(lane, d, [&](int chunk, std::int64_t) {
      const Pack<float>& pack = values[lane].chunk[chunk];
      sum += (pack.at[0] + pack.at[1]) + (pack.at[2] + pack.at[3]);
    });
    return sum;
  }) / width;
  const float variance = warp.sum([&](int lane) {
    float sum = 0.0F;
    for_packs<kChunks>(lane, d, [&](int chunk, std::int64_t) {
      for (const float value : values[lane].chunk[chunk].at) {
        sum += (value - mean) * (value - mean);
      }
    });
    return sum;
  }) / width;
  const float scale = 1.0F / sqrtf(variance + norm.eps);
  warp.each([&](int lane) {
    for_packs<kChunks>(lane, d, [&](int chunk, std::int64_t at) {
      const Pack<float> weight = load<float>(norm.parameters, at);
      const Pack<float> bias = load<float>(norm.parameters, d + at);
      Pack<float>& pack = values[lane].chunk[chunk];
      DEFORMER_UNROLL
      for (int i = 0; i < kPack; ++i) {
        pack.at[i] = (pack.at[i] - mean) * scale * weight.at[i] + bias.at[i];
      }
    });
  });
}

template <class T, int kChunks, class Warp>
DEFORMER_PORTABLE void norm_row(Warp& warp, const NormArgs& args, std::int64_t row) {
  typename Warp::template PerLane<RowPart<kChunks>> values;
  const std::int64_t first = row * args.d;
  warp.each([&](int lane) {
    for_packs<kChunks>(lane, args.d, [&](int chunk, std::int64_t at) {
      values[lane].chunk[chunk] = load<T>(args.hidden, first + at);
    });
  });
  normalise<kChunks>(warp, values, args.d, args.norm);
  const float to_quantised = args.quantised != nullptr ? 1.0F / *args.scale : 0.0F;
  warp.each([&](int lane) {
    for_packs<kChunks>(lane, args.d, [&](int chunk, std::int64_t at) {
      const Pack<float>& pack = values[lane].chunk[chunk];
      store<T>(args.hidden, first + at, pack);
      if (args.quantised != nullptr) {
        store<E4m3>(args.quantised, first + at, scaled(pack, to_quantised));
      }
    });
  });
}

template <class T, int kChunks, class Warp>
DEFORMER_PORTABLE void embed_row(Warp& warp, const EmbedArgs& args, std::int64_t row) {
  typename Warp::template PerLane<RowPart<kChunks>> values;
  const TokenPlace token = args.tokens[row];
  const std::int64_t word = args.ids[token.id_at] * args.d;
  const bool sums = args.norm.parameters != nullptr;
  warp.each([&](int lane) {
    for_packs<kChunks>(lane, args.d, [&](int chunk, std::int64_t at) {
      Pack<float> pack = load<T>(args.words, word + at);
      if (sums) {
        const Pack<float> type = load<T>(args.types, token.type * args.d + at);
        const Pack<float> position = load<T>(args.positions, token.position * args.d + at);
        DEFORMER_UNROLL
        for (int i = 0; i < kPack; ++i) {
          pack.at[i] += type.at[i] + position.at[i];
        }
      }
      values[lane].chunk[chunk] = pack;
    });
  });
  if (sums) {
    normalise<kChunks>(warp, values, args.d, args.norm);
  }
  warp.each([&](int lane) {
    for_packs<kChunks>(lane, args.d, [&](int chunk, std::int64_t at) {
      store<T>(args.out, row * args.d + at, values[lane].chunk[chunk]);
    });
  });
}

/// Every lane's packs of a row, without keeping any.
template <class Warp, class F>
DEFORMER_PORTABLE void walk_row(Warp& warp, std::int64_t d, const F& f) {
  warp.each([&](int lane) {
    for (std::int64_t at = std::int64_t{lane} * kPack; at < d; at += kChunk) {
      f(at);
    }
  });
}

/// Copies of a pool need not lie at whole words: bit1 rows of odd widths do not.
DEFORMER_PORTABLE float float_at(const std::byte* bytes) {
  std::uint32_t bits = 0;
  DEFORMER_UNROLL
  for (int i = 3; i >= 0; --i) {
    bits = bits << 8 | static_cast<std::uint32_t>(bytes[i]);
  }
  return float_of(bits);
}

DEFORMER_PORTABLE Pack<float> decode_int8(const std::byte* row, std::int64_t at, float scale) {
  struct alignas(4) Steps {
    std::int8_t at[kPack];
  };
  const Steps steps = *reinterpret_cast<const Steps*>(row + sizeof scale + at);
  Pack<float> pack;
  DEFORMER_UNROLL
  for (int i = 0; i < kPack; ++i) {
    pack.at[i] = scale * static_cast<float>(steps.at[i]);
  }
  return pack;
}

DEFORMER_PORTABLE Pack<float> decode_bit1(const std::byte* row, std::int64_t at, float scale) {
  const auto bits = static_cast<std::uint32_t>(row[sizeof scale + at / 8]) >> (at % 8);
  Pack<float> pack;
  DEFORMER_UNROLL
  for (int i = 0; i < kPack; ++i) {
    pack.at[i] = (bits >> i & 1U) != 0 ? scale : -scale;
  }
  return pack;
}

/// Row `row` of a run.
template <class T, class Warp>
DEFORMER_PORTABLE void decode_row(Warp& warp, const DecodeArgs& args, const RowRun& run,
                                  std::int64_t row) {
  const std::byte* from = args.passages[run.source] + (run.source_row + row) * args.row_bytes;
  const std::int64_t to = (run.target_row + row) * args.d;
  switch (args.stored) {
    case DType::bf16:
      return walk_row(warp, args.d,
                      [&](std::int64_t at) { store<T>(args.out, to + at, load<Bf16>(from, at)); });
    case DType::f16:
      return walk_row(warp, args.d,
                      [&](std::int64_t at) { store<T>(args.out, to + at, load<F16>(from, at)); });
    case DType::int8: {
      const float scale = float_at(from);
      return walk_row(warp, args.d, [&](std::int64_t at) {
        store<T>(args.out, to + at, decode_int8(from, at, scale));
      });
    }
    case DType::bit1: {
      const float scale = float_at(from);
      return walk_row(warp, args.d, [&](std::int64_t at) {
        store<T>(args.out, to + at, decode_bit1(from, at, scale));
      });
    }
    default:
      return walk_row(warp, args.d,
                      [&](std::int64_t at) { store<T>(args.out, to + at, load<float>(from, at)); });
  }
}

template <class T, class Warp>
DEFORMER_PORTABLE void join_row(Warp& warp, const JoinArgs& args, const RowRun& run,
                                std::int64_t row) {
  const void* sources[] = {args.questions, args.passages, args.joint};
  const auto* from = reinterpret_cast<const Pack<T>*>(sources[run.source]);
  auto* to = reinterpret_cast<Pack<T>*>(args.joint);
  const std::int64_t first = (run.source_row + row) * args.d;
  const std::int64_t target = (run.target_row + row) * args.d;
  walk_row(warp, args.d,
           [&](std::int64_t at) { to[(target + at) / kPack] = from[(first + at) / kPack]; });
}

template <class T, class Warp>
DEFORMER_PORTABLE void dense_output(Warp& warp, const DenseArgs& args, std::int64_t row,
                                    std::int64_t output) {
  const std::int64_t from = (args.chosen != nullptr ? args.chosen[row] : row) * args.d;
  const float sum = warp.sum([&](int lane) {
    float part = 0.0F;
    for (std::int64_t at = std::int64_t{lane} * kPack; at < args.d; at += kChunk) {
      const Pack<float> x = load<T>(args.from, from + at);
      const Pack<float> weight = load<float>(args.weight, output * args.d + at);
      DEFORMER_UNROLL
      for (int i = 0; i < kPack; ++i) {
        part += x.at[i] * weight.at[i];
      }
    }
    return part;
  });
  warp.each([&](int lane) {
    if (lane == 0) {
      const float value = sum + args.bias[output];
      args.out[row * args.outputs + output] = args.tanh ? tanhf(value) : value;
    }
  });
}

/// Pack number `pack` of those below.
template <class T>
DEFORMER_PORTABLE void gelu_pack(const GeluArgs& args, std::int64_t pack) {
  Pack<float> values = load<T>(args.values, pack * kPack);
  DEFORMER_UNROLL
  for (float& value : values.at) {
    value = gelu(args.activation, value);
  }
  if (args.quantised != nullptr) {
    store<E4m3>(args.quantised, pack * kPack, scaled(values, 1.0F / *args.scale));
  } else {
    store<T>(args.values, pack * kPack, values);
  }
}

template <class T>
DEFORMER_PORTABLE void quantise_pack(const QuantiseArgs& args, std::int64_t pack) {
  store<E4m3>(args.quantised, pack * kPack,
              scaled(load<T>(args.from, pack * kPack), 1.0F / *args.scale));
}

template <class T>
DEFORMER_PORTABLE void widen_pack(const WidenArgs& args, std::int64_t pack) {
  store<float>(args.out, pack * kPack, load<T>(args.from, pack * kPack));
}

}  // namespace deformer::cuda
