#include "backends/cpu/attention.hpp"

#include <algorithm>
#include <limits>

#include "backends/cpu/amx_f32.hpp"
#include "backends/cpu/attention_amx.hpp"
#include "backends/cpu/kernels.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/pages.hpp"
#include "backends/cpu/transpose.hpp"

namespace deformer {
namespace {

/// Tasks a thread should find, so that whoever was held up finds fewer left.
constexpr std::int64_t kTasksAThread = 4;
/// Keys whose exponentials and values, 2 x 24 KB for heads of 64, are at hand at a time.
constexpr std::int64_t kChunkKeys = 96;
/// Tokens from which on AMX is faster: 12 layers of 12 heads of 64, two cores of a Sapphire Rapids,
/// 0.21 against 0.27 ms at 27 tokens, 2.2 against 1.9 at 128, 11.5 against 7.1 at 320.
constexpr std::int64_t kLeastTokensByAmx = 96;

}  // namespace

Attention::Attention(std::span<const std::int64_t> cumulative,
                     std::span<const std::int64_t> first_texts, std::int64_t heads,
                     std::int64_t d_head, int threads)
    : set_(tiles()),
      heads_(heads),
      d_head_(d_head),
      columns_(round_up(d_head, set_.lanes)),
      qkv_stride_(row_stride(3 * heads * d_head)),
      context_stride_(row_stride(heads * d_head)),
      has_amx_(first_texts.empty() && amx_f32::use()),
      threads_(threads) {
  const auto sequences = static_cast<std::int64_t>(cumulative.size()) - 1;
  const std::int64_t parts =
      divide_up(kTasksAThread * threads, std::max<std::int64_t>(1, sequences) * heads);
  for (std::size_t sequence = 0; sequence + 1 < cumulative.size(); ++sequence) {
    const std::int64_t tokens = cumulative[sequence + 1] - cumulative[sequence];
    std::int64_t& longest = by_amx(tokens) ? longest_by_amx_ : longest_;
    longest = std::max(longest, tokens);
    add_sequence(cumulative[sequence], tokens, first_texts.empty() ? tokens : first_texts[sequence],
                 parts);
  }
  if (!first_texts.empty()) {
    relative_.emplace(set_, d_head, longest_, attention::most_query_vectors(set_) * set_.lanes);
  }
}

/// A question of the sequence alone, so that its bits are the same in every batch.
bool Attention::by_amx(std::int64_t tokens) const {
  return has_amx_ && tokens >= kLeastTokensByAmx;
}

void Attention::add_sequence(std::int64_t row, std::int64_t tokens, std::int64_t first_text,
                             std::int64_t parts) {
  const std::int64_t all = blocks(tokens);
  const std::int64_t count = std::min(parts, all);
  for (std::int64_t head = 0; head < heads_; ++head) {
    for (std::int64_t part = 0; part < count; ++part) {
      tasks_.push_back(
          {row, tokens, first_text, head, all * part / count, all * (part + 1) / count});
    }
  }
}

std::int64_t Attention::blocks(std::int64_t tokens) const {
  return divide_up(divide_up(tokens, set_.lanes), attention::most_query_vectors(set_));
}

/// Vectors of queries are dealt to blocks evenly: a narrow block multiplies slowly.
Attention::Block Attention::block(std::int64_t tokens, std::int64_t index) const {
  const std::int64_t vectors = divide_up(tokens, set_.lanes);
  const std::int64_t all = blocks(tokens);
  const std::int64_t first = vectors * index / all * set_.lanes;
  const std::int64_t last = vectors * (index + 1) / all * set_.lanes;
  return {first, std::min(tokens, last) - first, last - first};
}

std::int64_t Attention::scratch_floats() const {
  const std::int64_t widest = attention::most_query_vectors(set_) * set_.lanes;
  const std::int64_t relative = relative_ ? relative_->scratch_floats() : 0;
  const std::int64_t by_amx =
      longest_by_amx_ == 0 ? 0 : attention::amx_scratch_bytes(longest_by_amx_, d_head_);
  return std::max(
      round_up(longest_ * (columns_ * 2 + widest) + widest * (4 + columns_ * 2) + relative, 16),
      by_amx / static_cast<std::int64_t>(sizeof(float)));
}

std::int64_t Attention::scratch_bytes() const {
  return threads_ * scratch_floats() * static_cast<std::int64_t>(sizeof(float));
}

Attention::Scratch Attention::cut(float* own) const {
  const std::int64_t widest = attention::most_query_vectors(set_) * set_.lanes;
  const auto take = [&](std::int64_t floats) {
    float* taken = own;
    own += floats;
    return taken;
  };
  Scratch scratch{};
  scratch.keys = take(longest_ * columns_);
  scratch.values = take(longest_ * columns_);
  scratch.scores = take(longest_ * widest);
  scratch.queries = take(columns_ * widest);
  scratch.context = take(columns_ * widest);
  scratch.highest = take(widest);
  scratch.sums = take(widest);
  scratch.segments[0] = take(widest);
  scratch.segments[1] = take(widest);
  scratch.relative = own;
  return scratch;
}

void Attention::work(const float* qkv, float* context, float* scratch, const RelativeKeys* relative,
                     const Worker& worker) const {
  float* own = scratch + worker.index() * scratch_floats();
  const Scratch buffers = cut(own);
  const auto count = static_cast<std::int64_t>(tasks_.size());
  // Heads side by side share pages, and sequences the core that has just written them.
  for (std::int64_t task = worker.next_near(count); task < count; task = worker.next_near(count)) {
    const std::int64_t later = task + 1;  // what this thread draws next, but for the last ones
    const Task& now = tasks_[static_cast<std::size_t>(task)];
    const Task* next = later < count ? &tasks_[static_cast<std::size_t>(later)] : nullptr;
    if (by_amx(now.tokens)) {
      run_by_amx(now, next, qkv, context, own);
    } else {
      run_task(now, next, qkv, context, relative, buffers);
    }
  }
}

void Attention::run_by_amx(const Task& task, const Task* next, const float* qkv, float* context,
                           float* scratch) const {
  const Block last = block(task.tokens, task.last_block - 1);
  attention::HeadArgs args;
  args.queries = qkv + task.sequence_row * qkv_stride_ + task.head * d_head_;
  args.stride = qkv_stride_;
  args.apart = heads_ * d_head_;
  args.tokens = task.tokens;
  args.d_head = d_head_;
  args.first_query = block(task.tokens, task.first_block).first_query;
  args.count = last.first_query + last.queries - args.first_query;
  args.context = context + task.sequence_row * context_stride_ + task.head * d_head_;
  args.context_stride = context_stride_;
  if (next != nullptr) {
    args.fetch = {.queries = qkv + next->sequence_row * qkv_stride_ + next->head * d_head_,
                  .count = next->tokens,
                  .stride = qkv_stride_,
                  .apart = heads_ * d_head_,
                  .d_head = d_head_};
  }
  attention::attend_by_amx(args, reinterpret_cast<std::byte*>(scratch));
}

void Attention::run_task(const Task& task, const Task* next, const float* qkv, float* context,
                         const RelativeKeys* relative, const Scratch& scratch) const {
  const std::int64_t d = heads_ * d_head_;
  const float* rows = qkv + task.sequence_row * qkv_stride_ + task.head * d_head_;
  float* out = context + task.sequence_row * context_stride_ + task.head * d_head_;
  kernels::pack_rows(rows + d, qkv_stride_, task.tokens, d_head_, scratch.keys, columns_);
  kernels::pack_rows(rows + 2 * d, qkv_stride_, task.tokens, d_head_, scratch.values, columns_);
  for (std::int64_t index = task.first_block; index < task.last_block; ++index) {
    const Block queries = block(task.tokens, index);
    kernels::transpose(rows + queries.first_query * qkv_stride_, qkv_stride_, queries.queries,
                       d_head_, scratch.queries, queries.width);
    std::fill_n(scratch.highest, queries.width, -std::numeric_limits<float>::infinity());
    if (relative != nullptr) {
      score_relative(task, queries, *relative, scratch);
    } else {
      multiply_keys(0, task.tokens, queries, nullptr, scratch,
                    next == nullptr ? attention::Fetch{} : fetch(task, index, *next, qkv));
    }
    mix(task.tokens, queries, scratch, out + queries.first_query * context_stride_);
  }
}

/// What of the next task's rows falls to the block `index` of this one.
attention::Fetch Attention::fetch(const Task& task, std::int64_t index, const Task& next,
                                  const float* qkv) const {
  const std::int64_t blocks = task.last_block - task.first_block;
  const std::int64_t done = index - task.first_block;
  const std::int64_t first = next.tokens * done / blocks;
  return {.queries = qkv + (next.sequence_row + first) * qkv_stride_ + next.head * d_head_,
          .count = next.tokens * (done + 1) / blocks - first,
          .stride = qkv_stride_,
          .apart = heads_ * d_head_,
          .d_head = d_head_};
}

void Attention::score_relative(const Task& task, const Block& block, const RelativeKeys& relative,
                               const Scratch& scratch) const {
  const ScoreBlock scores{task.head,   block.first_query, block.queries,   block.width,
                          task.tokens, task.first_text,   scratch.queries, scratch.scores};
  if (relative_->segment_terms(relative, scores, scratch.segments[0], scratch.segments[1])) {
    multiply_keys(0, task.first_text, block, scratch.segments[0], scratch, {});
    multiply_keys(task.first_text, task.tokens - task.first_text, block, scratch.segments[1],
                  scratch, {});
  } else {
    multiply_keys(0, task.tokens, block, nullptr, scratch, {});
  }
  relative_->add_positions(relative, scores, scratch.relative);
  // What was largest before positions were added is not.
  std::fill_n(scratch.highest, block.width, -std::numeric_limits<float>::infinity());
  kernels::highest_of_columns(scratch.scores, task.tokens, block.width, scratch.highest);
}

/// scores [tokens, width] = keys [tokens, d_head] queries [d_head, width], of `count` keys from
/// `first` on. `bias` [width] is added to every key's scores; may be null.
void Attention::multiply_keys(std::int64_t first, std::int64_t count, const Block& block,
                              const float* bias, const Scratch& scratch,
                              const attention::Fetch& fetch) const {
  attention::ScoreArgs args;
  args.keys = scratch.keys + first * columns_;
  args.key_stride = columns_;
  args.count = count;
  args.queries = scratch.queries;
  args.d_head = d_head_;
  args.width = block.width;
  args.bias = bias;
  args.scores = scratch.scores + first * block.width;
  args.highest = scratch.highest;
  args.fetch = fetch;
  attention::score(args);
}

/// context [queries, d_head] = softmax(scores)^T [queries, tokens] values [tokens, d_head].
void Attention::mix(std::int64_t tokens, const Block& block, const Scratch& scratch,
                    float* context) const {
  std::fill_n(scratch.sums, block.width, 0.0F);
  attention::MixArgs args;
  args.width = block.width;
  args.queries = block.queries;
  args.columns = columns_;
  args.sums = scratch.context;
  const std::int64_t chunks = divide_up(tokens, kChunkKeys);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t first = tokens * chunk / chunks;
    float* scores = scratch.scores + first * block.width;
    args.count = tokens * (chunk + 1) / chunks - first;
    args.weights = scores;
    args.values = scratch.values + first * columns_;
    args.add = chunk > 0;
    kernels::exp_columns(scores, args.count, block.width, scratch.highest, scratch.sums);
    attention::mix(args);
  }
  kernels::store_quotients(scratch.context, columns_, block.queries, d_head_, scratch.sums, context,
                           context_stride_);
}

}  // namespace deformer
