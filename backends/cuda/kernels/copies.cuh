#pragma once
/// Kernels that bring rows to their places: cached passages into rows, rows of texts into joint
/// ones. A run's rows lie one after the other at both ends, so what needs no conversion is copied
/// as bytes; either way a lane has several words under way. Functions here are a warp's work.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "backends/cuda/kernels/args.hpp"
#include "backends/cuda/kernels/warp.cuh"
#include "backends/cuda/kernels/words.cuh"

namespace deformer::cuda {

/// Words that a lane copies at once: 2 KB a warp.
inline constexpr int kCopiedWords = 4;
/// Packs of 4 that a lane converts at once: as many bytes of f32.
inline constexpr int kDecodedPacks = 4;

/// Share `part` of `parts` of a copy, in words of kBytes: both ends and `bytes` are multiples.
template <int kBytes, class Warp>
DEFORMER_PORTABLE void copy_words(Warp& warp, const std::byte* from, std::byte* to,
                                  std::int64_t bytes, std::int64_t part, std::int64_t parts) {
  using Copied = std::conditional_t<kBytes == 16, Word<float, 4>, Word<Bf16, 4>>;
  static_assert(sizeof(Copied) == kBytes);
  constexpr std::int64_t kPiece = std::int64_t{kLanes} * kCopiedWords * kBytes;
  for (std::int64_t piece = part * kPiece; piece < bytes; piece += parts * kPiece) {
    warp.each([&](int lane) {
      Copied words[kCopiedWords];
      DEFORMER_UNROLL
      for (int i = 0; i < kCopiedWords; ++i) {
        const std::int64_t at = piece + std::int64_t{i * kLanes + lane} * kBytes;
        if (at < bytes) {
          words[i] = *reinterpret_cast<const Copied*>(from + at);
        }
      }
      DEFORMER_UNROLL
      for (int i = 0; i < kCopiedWords; ++i) {
        const std::int64_t at = piece + std::int64_t{i * kLanes + lane} * kBytes;
        if (at < bytes) {
          *reinterpret_cast<Copied*>(to + at) = words[i];
        }
      }
    });
  }
}

/// Rows are whole numbers of 8 bytes at addresses that are too; of 16 where it happens.
template <class Warp>
DEFORMER_PORTABLE void copy_part(Warp& warp, const void* from, void* to, std::int64_t bytes,
                                 std::int64_t part, std::int64_t parts) {
  const auto* source = static_cast<const std::byte*>(from);
  auto* target = static_cast<std::byte*>(to);
  const std::uintptr_t bits = reinterpret_cast<std::uintptr_t>(from) |
                              reinterpret_cast<std::uintptr_t>(to) |
                              static_cast<std::uintptr_t>(bytes);
  if (bits % 16 == 0) {
    copy_words<16>(warp, source, target, bytes, part, parts);
  } else {
    copy_words<8>(warp, source, target, bytes, part, parts);
  }
}

/// f(read(element), element) for every lane's packs of a row, kDecodedPacks of them read at once.
template <class Warp, class Read, class F>
DEFORMER_PORTABLE void walk_row(Warp& warp, std::int64_t d, const Read& read, const F& f) {
  constexpr int kOne = 4;
  constexpr std::int64_t kReach = std::int64_t{kLanes} * kOne;
  for (std::int64_t first = 0; first < d; first += kReach * kDecodedPacks) {
    warp.each([&](int lane) {
      decltype(read(0)) packs[kDecodedPacks];
      DEFORMER_UNROLL
      for (int i = 0; i < kDecodedPacks; ++i) {
        const std::int64_t at = first + kReach * i + lane * kOne;
        if (at < d) {
          packs[i] = read(at);
        }
      }
      DEFORMER_UNROLL
      for (int i = 0; i < kDecodedPacks; ++i) {
        const std::int64_t at = first + kReach * i + lane * kOne;
        if (at < d) {
          f(packs[i], at);
        }
      }
    });
  }
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

/// Four steps of `scale`, in the bytes of `steps`.
DEFORMER_PORTABLE Values<4> of_int8(std::uint32_t steps, float scale) {
  Values<4> values;
  DEFORMER_UNROLL
  for (int i = 0; i < 4; ++i) {
    values.at[i] = scale * static_cast<float>(static_cast<std::int8_t>(steps >> (8 * i)));
  }
  return values;
}

/// Four signs of `scale`, in the lowest bits.
DEFORMER_PORTABLE Values<4> of_bit1(std::uint32_t bits, float scale) {
  Values<4> values;
  DEFORMER_UNROLL
  for (int i = 0; i < 4; ++i) {
    values.at[i] = (bits >> i & 1U) != 0 ? scale : -scale;
  }
  return values;
}

/// A row that was stored as Stored elements.
template <class T, class Stored, class Warp>
DEFORMER_PORTABLE void convert_row(Warp& warp, std::int64_t d, const std::byte* from, void* out,
                                   std::int64_t to) {
  walk_row(
      warp, d, [&](std::int64_t at) { return load_words<Stored, 4>(from, at); },
      [&](const Word<Stored, 4>& words, std::int64_t at) {
        store_words(out, to + at, narrowed<T>(widened(words)));
      });
}

/// Row `row` of a run.
template <class T, class Warp>
DEFORMER_PORTABLE void decode_row(Warp& warp, const DecodeArgs& args, const std::byte* from,
                                  std::int64_t to) {
  switch (args.stored) {
    case DType::bf16:
      return convert_row<T, Bf16>(warp, args.d, from, args.out, to);
    case DType::f16:
      return convert_row<T, F16>(warp, args.d, from, args.out, to);
    case DType::int8: {
      const float scale = float_at(from);
      return walk_row(
          warp, args.d,
          [&](std::int64_t at) {
            return *reinterpret_cast<const Word<E4m3, 4>*>(from + sizeof scale + at);
          },
          [&](const Word<E4m3, 4>& steps, std::int64_t at) {
            store_words(args.out, to + at, narrowed<T>(of_int8(steps.at[0], scale)));
          });
    }
    case DType::bit1: {
      const float scale = float_at(from);
      return walk_row(
          warp, args.d,
          [&](std::int64_t at) {
            return static_cast<std::uint32_t>(
                       from[static_cast<std::int64_t>(sizeof scale) + at / 8]) >>
                   (at % 8);
          },
          [&](std::uint32_t bits, std::int64_t at) {
            store_words(args.out, to + at, narrowed<T>(of_bit1(bits, scale)));
          });
    }
    default:
      return convert_row<T, float>(warp, args.d, from, args.out, to);
  }
}

/// Element `at` of a stored row that begins at any byte, `scale` being the row's where it has one.
DEFORMER_PORTABLE float element_of(DType stored, const std::byte* from, std::int64_t at,
                                   float scale) {
  constexpr std::int64_t kFirst = sizeof(float);  // behind the scale
  const auto half = [&] {
    return static_cast<std::uint16_t>(static_cast<std::uint32_t>(from[2 * at]) |
                                      static_cast<std::uint32_t>(from[2 * at + 1]) << 8);
  };
  switch (stored) {
    case DType::bf16:
      return to_float(Bf16{half()});
    case DType::f16:
      return to_float(F16{half()});
    case DType::int8:
      return of_int8(static_cast<std::uint32_t>(from[kFirst + at]), scale).at[0];
    case DType::bit1:
      return of_bit1(static_cast<std::uint32_t>(from[kFirst + at / 8]) >> (at % 8), scale).at[0];
    default:
      return float_at(from + static_cast<std::int64_t>(sizeof(float)) * at);
  }
}

/// A row of fewer elements than it is wide here, which lies at no whole word: byte by byte, then
/// zeros.
template <class T, class Warp>
DEFORMER_PORTABLE void decode_padded_row(Warp& warp, const DecodeArgs& args, const std::byte* from,
                                         std::int64_t to) {
  const std::int64_t real = args.d - args.padding;
  const bool scaled = args.stored == DType::int8 || args.stored == DType::bit1;
  const float scale = scaled ? float_at(from) : 1.0F;
  walk_row(
      warp, args.d,
      [&](std::int64_t at) {
        Values<4> values{};
        DEFORMER_UNROLL
        for (int i = 0; i < 4; ++i) {
          values.at[i] = at + i < real ? element_of(args.stored, from, at + i, scale) : 0.0F;
        }
        return values;
      },
      [&](const Values<4>& values, std::int64_t at) {
        store_words(args.out, to + at, narrowed<T>(values));
      });
}

/// Whether passages of this dtype are stored as activations of T are.
template <class T>
DEFORMER_PORTABLE bool stored_alike(DType dtype) {
  if constexpr (std::is_same_v<T, Bf16>) {
    return dtype == DType::bf16;
  } else if constexpr (std::is_same_v<T, F16>) {
    return dtype == DType::f16;
  } else {
    return dtype == DType::f32;
  }
}

/// Share `part` of `parts` of a run. Rows with padding are a kernel of their own, for the sake of
/// the others' registers.
template <class T, bool kPadded, class Warp>
DEFORMER_PORTABLE void decode_part(Warp& warp, const DecodeArgs& args, const RowRun& run,
                                   std::int64_t part, std::int64_t parts) {
  const std::byte* from = args.passages[run.source] + run.source_row * args.row_bytes;
  const std::int64_t to = run.target_row * args.d;
  if constexpr (!kPadded) {
    if (stored_alike<T>(args.stored)) {
      copy_part(warp, from, static_cast<T*>(args.out) + to, run.rows * args.row_bytes, part, parts);
      return;
    }
  }
  for (std::int64_t row = part; row < run.rows; row += parts) {
    if constexpr (kPadded) {
      decode_padded_row<T>(warp, args, from + row * args.row_bytes, to + row * args.d);
    } else {
      decode_row<T>(warp, args, from + row * args.row_bytes, to + row * args.d);
    }
  }
}

template <class T, class Warp>
DEFORMER_PORTABLE void join_part(Warp& warp, const JoinArgs& args, const RowRun& run,
                                 std::int64_t part, std::int64_t parts) {
  const void* source = run.source == 0   ? args.questions
                       : run.source == 1 ? args.passages
                                         : args.joint;
  const std::int64_t row_bytes = args.d * static_cast<std::int64_t>(sizeof(T));
  copy_part(warp, static_cast<const std::byte*>(source) + run.source_row * row_bytes,
            static_cast<std::byte*>(args.joint) + run.target_row * row_bytes, run.rows * row_bytes,
            part, parts);
}

}  // namespace deformer::cuda
