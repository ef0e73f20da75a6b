#pragma once
/// Kernels that work on whole rows: one warp a row, every row read and written once, statistics in
/// f32, the variance in a second pass over registers. Functions here are the whole of a warp's
/// work; row_kernels.cu gives them to the device, tests run them on the host.
///
/// Element (pack * 32 + lane) * kWide + i of a row belongs to a lane: neighbours in a warp read
/// neighbouring words. All words of a row are asked for before one is used.
///
/// Two moments are the caller's: `wait` returns when what earlier kernels write may be read (what
/// is read before it is constant: tables and weights), `ready` when a norm's parameters lie where
/// it says. A caller's threads all get to both, whether they have rows or not.

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "backends/cuda/kernels/args.hpp"
#include "backends/cuda/kernels/warp.cuh"
#include "backends/cuda/kernels/words.cuh"

namespace deformer::cuda {

inline constexpr int kPack = 4;  ///< widths are multiples of it
/// Widest row whose values a lane keeps in registers.
inline constexpr std::int64_t kWidestRow = 2048;

/// How rows lie over a warp: `packs` words a lane, of `wide` elements each. `padded`: some at a
/// row's end are none of the model's.
template <class Element, int wide, int packs, bool padded = false>
struct RowShape {
  using T = Element;
  static constexpr int kWide = wide;
  static constexpr int kPacks = packs;
  static constexpr bool kPadded = padded;
  static constexpr int kElements = kLanes * wide * packs;
  struct Stored {
    Word<T, kWide> pack[kPacks];
  };
  struct Computed {
    Values<kWide> pack[kPacks];
  };
};

/// f(pack, first element) for those of a lane's packs that the row has.
template <class Shape, class F>
DEFORMER_PORTABLE void for_packs(int lane, std::int64_t d, const F& f) {
  DEFORMER_UNROLL
  for (int pack = 0; pack < Shape::kPacks; ++pack) {
    const std::int64_t at = (std::int64_t{pack} * kLanes + lane) * Shape::kWide;
    if (at < d) {
      f(pack, at);
    }
  }
}

/// Of a lane's part of a row, the sum of f(value), by as many sums as a word has elements.
template <class Shape, class F>
DEFORMER_PORTABLE float total(const typename Shape::Computed& values, int lane, std::int64_t d,
                              const F& f) {
  Values<Shape::kWide> sums{};
  for_packs<Shape>(lane, d, [&](int pack, std::int64_t) {
    DEFORMER_UNROLL
    for (int i = 0; i < Shape::kWide; ++i) {
      sums.at[i] += f(values.pack[pack].at[i]);
    }
  });
  DEFORMER_UNROLL
  for (int half = Shape::kWide / 2; half > 0; half /= 2) {
    DEFORMER_UNROLL
    for (int i = 0; i < half; ++i) {
      sums.at[i] += sums.at[i + half];
    }
  }
  return sums.at[0];
}

DEFORMER_PORTABLE float inverse_root(float x) {
#if defined(__CUDA_ARCH__)
  return rsqrtf(x);
#else
  return 1.0F / sqrtf(x);
#endif
}

/// What a lane holds of a row beyond its first `real` elements becomes `value`.
template <class Shape>
DEFORMER_PORTABLE void set_beyond(typename Shape::Computed& values, int lane, std::int64_t d,
                                  std::int64_t real, float value) {
  for_packs<Shape>(lane, d, [&](int pack, std::int64_t at) {
    DEFORMER_UNROLL
    for (int i = 0; i < Shape::kWide; ++i) {
      if (at + i >= real) {
        values.pack[pack].at[i] = value;
      }
    }
  });
}

/// Normalises what the lanes hold, in place. `parameters`: weights, then biases. Of a padded row
/// the zeros at its end add nothing to the mean, and are the mean while the variance is summed;
/// their weights and biases, zeros too, leave zeros.
template <class Shape, class Warp, class Lanes>
DEFORMER_PORTABLE void normalise(Warp& warp, Lanes& values, std::int64_t d, std::int64_t padding,
                                 float eps, const float* parameters) {
  const float share = 1.0F / static_cast<float>(Shape::kPadded ? d - padding : d);
  const float mean = share * warp.sum([&](int lane) {
    return total<Shape>(values[lane], lane, d, [](float value) { return value; });
  });
  if constexpr (Shape::kPadded) {
    warp.each([&](int lane) { set_beyond<Shape>(values[lane], lane, d, d - padding, mean); });
  }
  const float variance = share * warp.sum([&](int lane) {
    return total<Shape>(values[lane], lane, d,
                        [&](float value) { return (value - mean) * (value - mean); });
  });
  const float scale = inverse_root(variance + eps);
  warp.each([&](int lane) {
    for_packs<Shape>(lane, d, [&](int pack, std::int64_t at) {
      const auto weight = load_floats<Shape::kWide>(parameters, at);
      const auto bias = load_floats<Shape::kWide>(parameters, d + at);
      auto& part = values[lane].pack[pack];
      DEFORMER_UNROLL
      for (int i = 0; i < Shape::kWide; ++i) {
        part.at[i] = (part.at[i] - mean) * scale * weight.at[i] + bias.at[i];
      }
    });
  });
}

/// A lane's words of a row that begins at element `first`.
template <class Shape>
DEFORMER_PORTABLE void read_row(typename Shape::Stored& words, const void* from, std::int64_t first,
                                std::int64_t d, int lane) {
  for_packs<Shape>(lane, d, [&](int pack, std::int64_t at) {
    words.pack[pack] = load_words<typename Shape::T, Shape::kWide>(from, first + at);
  });
}

/// Rows first, first + step and so on; the next one is on its way while one is worked on.
template <class Shape, class Warp, class Wait, class Ready>
DEFORMER_PORTABLE void norm_rows(Warp& warp, const NormArgs& args, std::int64_t first,
                                 std::int64_t step, const Wait& wait, const Ready& ready) {
  using T = typename Shape::T;
  typename Warp::template PerLane<typename Shape::Stored> next;
  typename Warp::template PerLane<typename Shape::Stored> added;
  typename Warp::template PerLane<typename Shape::Computed> values;
  const std::int64_t d = args.d;
  const auto read = [&](std::int64_t row) {
    warp.each([&](int lane) {
      read_row<Shape>(next[lane], args.hidden, row * d, d, lane);
      if (args.delta != nullptr) {
        read_row<Shape>(added[lane], args.delta, row * d, d, lane);
      }
    });
  };
  const float quantised_scale = args.quantised != nullptr ? *args.scale : 1.0F;
  wait();
  if (first < args.rows) {
    read(first);
  }
  const float* parameters = ready();
  const float to_quantised = 1.0F / quantised_scale;
  for (std::int64_t row = first; row < args.rows; row += step) {
    warp.each([&](int lane) {
      for_packs<Shape>(lane, d, [&](int pack, std::int64_t) {
        auto& part = values[lane].pack[pack];
        part = widened(next[lane].pack[pack]);
        if (args.delta != nullptr) {
          part = sum_of(part, widened(added[lane].pack[pack]));
        }
      });
    });
    if (row + step < args.rows) {
      read(row + step);
    }
    normalise<Shape>(warp, values, d, args.padding, args.norm.eps, parameters);
    warp.each([&](int lane) {
      for_packs<Shape>(lane, d, [&](int pack, std::int64_t at) {
        const auto& part = values[lane].pack[pack];
        store_words(args.hidden, row * d + at, narrowed<T>(part));
        if (args.quantised != nullptr) {
          store_words(args.quantised, row * d + at, narrowed<E4m3>(scaled(part, to_quantised)));
        }
      });
    });
  }
}

/// The rows of the tables that a row is the sum of.
struct EmbedRow {
  std::int32_t word;
  std::int32_t position;
  std::int32_t type;
};

DEFORMER_PORTABLE EmbedRow find_row(const EmbedArgs& args, std::int64_t row) {
  EmbedRow found;
  if (args.first_id >= 0) {
    found.word = args.ids[args.first_id + row];  // on its way before the place is asked for
  } else {
    found.word = args.ids[args.tokens[row].id_at];
  }
  found.position = args.tokens[row].position;
  found.type = args.tokens[row].type;
  return found;
}

/// Rows first, first + step and so on below `end`; the next one is on its way while one is worked
/// on. found(row): its EmbedRow.
template <class Shape, class Warp, class Found, class Ready>
DEFORMER_PORTABLE void embed_rows(Warp& warp, const EmbedArgs& args, std::int64_t first,
                                  std::int64_t step, std::int64_t end, const Found& found,
                                  const Ready& ready) {
  using T = typename Shape::T;
  using Lanes = typename Warp::template PerLane<typename Shape::Stored>;
  Lanes words;
  Lanes types;
  Lanes positions;
  typename Warp::template PerLane<typename Shape::Computed> values;
  const std::int64_t d = args.d;
  const bool sums = args.norm.parameters != nullptr;
  const auto read = [&](std::int64_t row) {
    const EmbedRow from = found(row);
    warp.each([&](int lane) {
      read_row<Shape>(words[lane], args.words, from.word * d, d, lane);
      if (sums) {
        read_row<Shape>(positions[lane], args.positions, from.position * d, d, lane);
        read_row<Shape>(types[lane], args.types, from.type * d, d, lane);
      }
    });
  };
  if (first < end) {
    read(first);
  }
  const float* parameters = ready();
  for (std::int64_t row = first; row < end; row += step) {
    warp.each([&](int lane) {
      for_packs<Shape>(lane, d, [&](int pack, std::int64_t) {
        auto& part = values[lane].pack[pack];
        part = widened(words[lane].pack[pack]);
        if (sums) {
          part = sum_of(
              part, sum_of(widened(types[lane].pack[pack]), widened(positions[lane].pack[pack])));
        }
      });
    });
    if (row + step < end) {
      read(row + step);
    }
    if (sums) {
      normalise<Shape>(warp, values, d, args.padding, args.norm.eps, parameters);
    }
    warp.each([&](int lane) {
      for_packs<Shape>(lane, d, [&](int pack, std::int64_t at) {
        store_words(args.out, row * d + at, narrowed<T>(values[lane].pack[pack]));
      });
    });
  }
}

template <class T, class Warp>
DEFORMER_PORTABLE void dense_output(Warp& warp, const DenseArgs& args, std::int64_t row,
                                    std::int64_t output) {
  const std::int64_t from = (args.chosen != nullptr ? args.chosen[row] : row) * args.d;
  const float sum = warp.sum([&](int lane) {
    float part = 0.0F;
    for (std::int64_t at = std::int64_t{lane} * kPack; at < args.d; at += kLanes * kPack) {
      const Values<kPack> x = widened(load_words<T, kPack>(args.from, from + at));
      const Values<kPack> weight = load_floats<kPack>(args.weight, output * args.d + at);
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

}  // namespace deformer::cuda
