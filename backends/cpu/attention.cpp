#include "backends/cpu/attention.hpp"

#include <algorithm>

#include "backends/cpu/kernels.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/pages.hpp"
#include "backends/cpu/tile_walk.hpp"

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

}  // namespace

Attention::Attention(std::span<const std::int64_t> cumulative,
                     std::span<const std::int64_t> first_texts, std::int64_t heads,
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
    add_sequence(cumulative[sequence], tokens,
                 first_texts.empty() ? tokens : first_texts[sequence]);
  }
  if (!first_texts.empty()) {
    relative_.emplace(set_, d_head, longest_);
  }
}

void Attention::add_sequence(std::int64_t row, std::int64_t tokens, std::int64_t first_text) {
  const std::int64_t block = set_.panel_columns();
  for (std::int64_t head = 0; head < heads_; ++head) {
    for (std::int64_t query = 0; query < tokens; query += block) {
      tasks_.push_back({row, tokens, first_text, query, std::min(block, tokens - query), head});
    }
  }
}

std::int64_t Attention::scratch_floats() const {
  const std::int64_t relative = relative_ ? relative_->scratch_floats() : 0;
  return round_up(set_.panel_columns() * (3 + d_head_ + longest_) + relative, 16);
}

std::int64_t Attention::scratch_bytes() const {
  return threads_ * scratch_floats() * static_cast<std::int64_t>(sizeof(float));
}

Attention::Scratch Attention::cut(float* own) const {
  const std::int64_t widest = set_.panel_columns();
  Scratch scratch{};
  scratch.inverse_sums = own;
  scratch.segments[0] = own + widest;
  scratch.segments[1] = own + 2 * widest;
  scratch.queries = own + 3 * widest;
  scratch.scores = scratch.queries + d_head_ * widest;
  scratch.relative = scratch.scores + longest_ * widest;
  return scratch;
}

void Attention::work(const float* qkv, float* context, float* scratch, const RelativeKeys* relative,
                     const Worker& worker) const {
  const Scratch buffers = cut(scratch + worker.index() * scratch_floats());
  const auto count = static_cast<std::int64_t>(tasks_.size());
  for (std::int64_t task = worker.next(); task < count; task = worker.next()) {
    run_task(tasks_[static_cast<std::size_t>(task)], qkv, context, relative, buffers);
  }
}

void Attention::run_task(const Task& task, const float* qkv, float* context,
                         const RelativeKeys* relative, const Scratch& scratch) const {
  const std::int64_t d = heads_ * d_head_;
  const std::int64_t width = round_up(task.queries, set_.lanes);
  const float* rows = qkv + task.sequence_row * qkv_stride_ + task.head * d_head_;
  float* out =
      context + (task.sequence_row + task.first_query) * context_stride_ + task.head * d_head_;
  transpose_queries(rows + task.first_query * qkv_stride_, qkv_stride_, task.queries, d_head_,
                    width, scratch.queries);
  score(task, rows + d, width, relative, scratch);
  kernels::softmax_columns(scratch.scores, task.tokens, width, scratch.inverse_sums);
  mix(task, rows + 2 * d, width, scratch, out);
}

/// scores [tokens, width] = keys [tokens, d_head] queries [d_head, width], and what is relative.
void Attention::score(const Task& task, const float* keys, std::int64_t width,
                      const RelativeKeys* relative, const Scratch& scratch) const {
  if (relative == nullptr) {
    multiply_keys(keys, task.tokens, width, scratch.queries, nullptr, scratch.scores);
    return;
  }
  const ScoreBlock block{task.head,   task.first_query, task.queries,    width,
                         task.tokens, task.first_text,  scratch.queries, scratch.scores};
  if (relative_->segment_terms(*relative, block, scratch.segments[0], scratch.segments[1])) {
    const std::int64_t first = task.first_text;
    multiply_keys(keys, first, width, scratch.queries, scratch.segments[0], scratch.scores);
    multiply_keys(keys + first * qkv_stride_, task.tokens - first, width, scratch.queries,
                  scratch.segments[1], scratch.scores + first * width);
  } else {
    multiply_keys(keys, task.tokens, width, scratch.queries, nullptr, scratch.scores);
  }
  relative_->add_positions(*relative, block, scratch.relative);
}

/// `bias` [width] is added to every key's scores; may be null.
void Attention::multiply_keys(const float* keys, std::int64_t count, std::int64_t width,
                              const float* queries, const float* bias, float* scores) const {
  const auto vectors = static_cast<std::size_t>(width / set_.lanes);
  TileArgs args;
  args.a = keys;
  args.a_row = qkv_stride_;
  args.b = queries;
  args.b_k = width;
  args.k = d_head_;
  args.c = scores;
  args.c_row = width;
  args.bias = bias;
  run_down(args, count, set_.most_rows[vectors],
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
