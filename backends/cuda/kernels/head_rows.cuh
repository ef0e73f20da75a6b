#pragma once
/// One head of one sequence, of which a block of attention has some queries: where its rows lie.

#include <cstdint>

#include "backends/cuda/kernels/args.hpp"
#include "backends/cuda/kernels/portable.hpp"

namespace deformer::cuda {

template <class T>
struct HeadRows {
  const AttentionArgs& args;
  QueryBlock place;
  int head;

  /// Of row `row` of the sequence; what: 0 queries, 1 keys, 2 values.
  DEFORMER_PORTABLE const T* source(int what, int row) const {
    return static_cast<const T*>(args.qkv) + (std::int64_t{place.first_row} + row) * 3 * width() +
           what * width() + head * args.d_head;
  }
  /// Elements from a row of `source` to the next.
  DEFORMER_PORTABLE std::int64_t stride() const { return 3 * args.heads * args.d_head; }

  DEFORMER_PORTABLE T* result(int row) const {
    return static_cast<T*>(args.context) + (std::int64_t{place.first_row} + row) * width() +
           head * args.d_head;
  }
  /// Elements from a row of `result` to the next.
  DEFORMER_PORTABLE std::int64_t width() const { return args.heads * args.d_head; }
};

}  // namespace deformer::cuda
