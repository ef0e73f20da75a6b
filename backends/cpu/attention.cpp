#include "backends/cpu/attention.hpp"

#include <algorithm>

#include "backends/cpu/kernels.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/pages.hpp"

namespace deformer {
namespace {

/// queries [count, d_head] with `stride` between rows -> [d_head, width], zero beyond `count`.
void transpose_queries(const float* queries, std::int64_t stride, std::int64_t count,
                       std::int64_t d_head, std::int64_t width, float* out) {
  for (std::int64_t query = 0; query < count; ++query) {
    const float* row = queries + query * stride;
    for (std::int64_t i = 0; i < d_head; ++i) {
      out[i * width + query] = row[i];
    }
  }
  for (std::int64_t i = 0; count < width && i < d_head; ++i) {
    std::fill(out + i * width + count, out + (i + 1) * width, 0.0F);
  }
}

/// Runs `tile` down `rows` rows of A and C, as many at a time as the registers hold.
template <typename TileOf>
void run_down(TileArgs args, std::int64_t rows, std::int64_t most_rows, const TileOf& tile_of) {
  const std::int64_t tiles = (rows + most_rows - 1) / most_rows;
  const TileArgs top = args;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const std::int64_t first = rows * tile / tiles;
    const std::int64_t count = rows * (tile + 1) / tiles - first;
    args.a = top.a + first * top.a_row;
    args.c = top.c + first * top.c_row;
    args.row_scale = top.row_scale == nullptr ? nullptr : top.row_scale + first;
    tile_of(static_cast<std::size_t>(count))(args);
  }
}

}  // namespace

Attention::Attention(std::span<const std::int64_t> cumulative, std::int64_t heads,
                     std::int64_t d_head, int threads)
    : set_(tiles()),
      heads_(heads),
      d_head_(d_head),
      qkv_stride_(row_stride(3 * heads * d_head)),
      context_stride_(row_stride(heads * d_head)),
      threads_(threads) {
  for (std::size_t sequence = 0; sequence + 1 < cumulative.size(); ++sequence) {
    const std::int64_t tokens = cumulative[sequence + 1] - cumulative[sequence];
    longest_ = std::max(longest_, tokens);
    add_sequence(cumulative[sequence], tokens);
  }
}

void Attention::add_sequence(std::int64_t row, std::int64_t tokens) {
  const std::int64_t block = set_.panel_columns();
  for (std::int64_t head = 0; head < heads_; ++head) {
    for (std::int64_t query = 0; query < tokens; query += block) {
      tasks_.push_back({row, tokens, query, std::min(block, tokens - query), head});
    }
  }
}

std::int64_t Attention::scratch_floats() const {
  return round_up(set_.panel_columns() * (1 + d_head_ + longest_), 16);
}

std::int64_t Attention::scratch_bytes() const {
  return threads_ * scratch_floats() * static_cast<std::int64_t>(sizeof(float));
}

void Attention::work(const float* qkv, float* context, float* scratch, const Worker& worker) const {
  float* own = scratch + worker.index() * scratch_floats();
  const std::int64_t widest = set_.panel_columns();
  const Scratch buffers{own, own + widest, own + widest * (1 + d_head_)};
  const auto count = static_cast<std::int64_t>(tasks_.size());
  for (std::int64_t task = worker.next(); task < count; task = worker.next()) {
    run_task(tasks_[static_cast<std::size_t>(task)], qkv, context, buffers);
  }
}

void Attention::run_task(const Task& task, const float* qkv, float* context,
                         const Scratch& scratch) const {
  const std::int64_t d = heads_ * d_head_;
  const std::int64_t width = round_up(task.queries, set_.lanes);
  const float* rows = qkv + task.sequence_row * qkv_stride_ + task.head * d_head_;
  float* out =
      context + (task.sequence_row + task.first_query) * context_stride_ + task.head * d_head_;
  transpose_queries(rows + task.first_query * qkv_stride_, qkv_stride_, task.queries, d_head_,
                    width, scratch.queries);
  score(task, rows + d, width, scratch);
  kernels::softmax_columns(scratch.scores, task.tokens, width, scratch.inverse_sums);
  mix(task, rows + 2 * d, width, scratch, out);
}

/// scores [tokens, width] = keys [tokens, d_head] queries [d_head, width].
void Attention::score(const Task& task, const float* keys, std::int64_t width,
                      const Scratch& scratch) const {
  const auto vectors = static_cast<std::size_t>(width / set_.lanes);
  TileArgs args;
  args.a = keys;
  args.a_row = qkv_stride_;
  args.b = scratch.queries;
  args.b_k = width;
  args.k = d_head_;
  args.c = scratch.scores;
  args.c_row = width;
  run_down(args, task.tokens, set_.most_rows[vectors],
           [&](std::size_t rows) { return set_.tile[vectors][rows]; });
}

/// context [queries, d_head] = scores^T [queries, tokens] values [tokens, d_head] / sums.
void Attention::mix(const Task& task, const float* values, std::int64_t width,
                    const Scratch& scratch, float* context) const {
  TileArgs args;
  args.a_row = 1;
  args.a_k = width;
  args.b_k = qkv_stride_;
  args.k = task.tokens;
  args.c_row = context_stride_;
  args.row_scale = scratch.inverse_sums;
  for (std::int64_t column = 0; column < d_head_;) {
    const std::int64_t left = d_head_ - column;
    const auto vectors =
        static_cast<std::size_t>(set_.vectors_across(static_cast<int>(left / set_.lanes)));
    args.a = scratch.scores;
    args.b = values + column;
    args.c = context + column;
    args.columns = std::min<std::int64_t>(left, set_.lanes);
    run_down(args, task.queries, set_.most_rows[std::max<std::size_t>(vectors, 1)],
             [&](std::size_t rows) {
               return vectors == 0 ? set_.partial[rows] : set_.tile[vectors][rows];
             });
    column += vectors == 0 ? left : static_cast<std::int64_t>(vectors) * set_.lanes;
  }
}

}  // namespace deformer
