#include "backends/cpu/narrow_attention.hpp"

#include <algorithm>
#include <numeric>

#include "backends/cpu/narrow_amx_attention.hpp"
#include "backends/cpu/narrow_softmax.hpp"
#include "backends/cpu/narrow_widen_avx512.hpp"
#include "backends/cpu/pages.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kBlockFloats = kNarrowRows * kNarrowColumns;
/// Tasks a thread should find, so that whoever was held up finds fewer left.
constexpr std::int64_t kTasksAThread = 4;

/// Groups of two tokens, up to whole lines.
std::int64_t token_groups(std::int64_t tokens) {
  return divide_up(tokens, 2 * kLineGroups) * kLineGroups;
}

}  // namespace

const NarrowTiles* NarrowAttention::tiles() {
  const auto sets = narrow_tiles(DType::bf16);
  return sets.empty() || !narrow::has_bf16_vectors() ? nullptr : &sets.front();
}

NarrowAttention::NarrowAttention(std::span<const std::int64_t> cumulative, std::int64_t heads,
                                 std::int64_t d_head, int threads, const NarrowTiles& set)
    : set_(set),
      heads_(heads),
      d_head_(d_head),
      tile_attention_(narrow::has_tile_attention(set, d_head)),
      head_groups_(divide_up(d_head, 2 * kLineGroups) * kLineGroups),
      qkv_row_bytes_(narrow_row_bytes(3 * heads * d_head, 2)),
      context_row_bytes_(narrow_row_bytes(heads * d_head, 2)),
      threads_(threads) {
  const auto sequences = static_cast<std::int64_t>(cumulative.size()) - 1;
  const std::int64_t parts =
      divide_up(kTasksAThread * threads, std::max<std::int64_t>(1, sequences) * heads);
  for (std::size_t sequence = 0; sequence + 1 < cumulative.size(); ++sequence) {
    add_sequence(cumulative[sequence], cumulative[sequence + 1] - cumulative[sequence], parts);
  }
}

/// Parts are whole blocks of queries, as far as there are as many.
void NarrowAttention::add_sequence(std::int64_t row, std::int64_t tokens, std::int64_t parts) {
  longest_ = std::max(longest_, tokens);
  const std::int64_t blocks = divide_up(tokens, kNarrowRows);
  const std::int64_t count = std::min(parts, blocks);
  for (std::int64_t head = 0; head < heads_; ++head) {
    for (std::int64_t part = 0; part < count; ++part) {
      const std::int64_t first = blocks * part / count * kNarrowRows;
      const std::int64_t last = std::min(tokens, blocks * (part + 1) / count * kNarrowRows);
      tasks_.push_back({row, tokens, head, first, last - first});
    }
  }
}

/// Bytes of each buffer of a thread, in the order of Scratch.
std::array<std::int64_t, 6> NarrowAttention::buffer_bytes() const {
  const std::int64_t key_panels = divide_up(longest_, kNarrowColumns);
  const std::int64_t value_panels = divide_up(d_head_, kNarrowColumns);
  std::array<std::int64_t, 6> bytes{key_panels * head_groups_ * kPanelRowBytes,
                                    value_panels * token_groups(longest_) * kPanelRowBytes,
                                    key_panels * kBlockFloats * 4,
                                    kNarrowRows * narrow_row_bytes(longest_, 2),
                                    kBlockFloats * 4,
                                    kNarrowRows * 4};
  for (std::int64_t& size : bytes) {
    size = round_up(size, kCacheLine);
  }
  return bytes;
}

NarrowAttention::Scratch NarrowAttention::cut(std::byte* own) const {
  const auto bytes = buffer_bytes();
  std::array<std::byte*, 6> at{};
  for (std::size_t i = 0; i < at.size(); ++i) {
    at[i] = own;
    own += bytes[i];
  }
  const auto floats = [](std::byte* buffer) { return reinterpret_cast<float*>(buffer); };
  return {.keys = at[0],
          .values = at[1],
          .scores = floats(at[2]),
          .probabilities = at[3],
          .context = floats(at[4]),
          .inverse_sums = floats(at[5])};
}

std::int64_t NarrowAttention::bytes_a_thread() const {
  const auto bytes = buffer_bytes();
  return std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0});
}

std::int64_t NarrowAttention::scratch_bytes() const {
  return threads_ * bytes_a_thread();
}

void NarrowAttention::work(const std::byte* qkv, std::byte* context, std::byte* scratch,
                           const Worker& worker) const {
  const Scratch buffers = cut(scratch + worker.index() * bytes_a_thread());
  const auto count = static_cast<std::int64_t>(tasks_.size());
  set_.begin();
  for (std::int64_t task; (task = worker.next_near(count)) < count;) {
    const Task* own = &tasks_[static_cast<std::size_t>(task)];
    run_task(*own, task + 1 < count ? own + 1 : nullptr, qkv, context, buffers);
  }
  set_.end();
}

void NarrowAttention::run_task(const Task& task, const Task* next, const std::byte* qkv,
                               std::byte* context, const Scratch& scratch) const {
  const std::int64_t segment_bytes = heads_ * d_head_ * 2;
  const std::int64_t head_offset = task.head * d_head_ * 2;
  const std::byte* rows = rows_of(task, qkv);
  narrow::pack_keys(rows + segment_bytes, qkv_row_bytes_, task.tokens, d_head_, head_groups_,
                    scratch.keys);
  narrow::pack_values(rows + 2 * segment_bytes, qkv_row_bytes_, task.tokens, d_head_,
                      token_groups(task.tokens), scratch.values);
  std::byte* out = context + task.sequence_row * context_row_bytes_ + head_offset;
  if (tile_attention_) {
    if (attend_by_tiles(task, next, qkv, out, scratch)) {
      return;
    }
    set_.begin();
  }
  const std::int64_t blocks = divide_up(task.queries, kNarrowRows);
  for (std::int64_t block = 0; block < blocks; ++block) {
    if (next != nullptr && !same_head(task, *next)) {
      fetch(*next, qkv, next->tokens * block / blocks, next->tokens * (block + 1) / blocks);
    }
    const std::int64_t query = task.queries * block / blocks;
    const std::int64_t queries = task.queries * (block + 1) / blocks - query;
    attend(task, task.first_query + query, queries, rows, out, scratch);
  }
}

/// Another part of the same head reads the rows that this one has read.
bool NarrowAttention::same_head(const Task& task, const Task& next) {
  return next.head == task.head && next.sequence_row == task.sequence_row;
}

/// Rows [first, last) of a head's queries, keys and values: they lie far apart, where no prefetcher
/// of the processor's finds them.
void NarrowAttention::fetch(const Task& task, const std::byte* qkv, std::int64_t first,
                            std::int64_t last) const {
  const std::int64_t head_bytes = d_head_ * 2;
  for (std::int64_t row = first; row < last; ++row) {
    const std::byte* own = rows_of(task, qkv) + row * qkv_row_bytes_;
    for (int matrix = 0; matrix < 3; ++matrix) {
      const std::byte* from = own + matrix * heads_ * head_bytes;
      for (std::int64_t byte = 0; byte < head_bytes; byte += kLineBytes) {
        __builtin_prefetch(from + byte, 0, 2);
      }
    }
  }
}

/// A head's first row.
const std::byte* NarrowAttention::rows_of(const Task& task, const std::byte* qkv) const {
  return qkv + task.sequence_row * qkv_row_bytes_ + task.head * d_head_ * 2;
}

bool NarrowAttention::attend_by_tiles(const Task& task, const Task* next, const std::byte* qkv,
                                      std::byte* context, const Scratch& scratch) const {
  narrow::TileAttention args;
  args.queries = rows_of(task, qkv) + task.first_query * qkv_row_bytes_;
  args.query_row_bytes = qkv_row_bytes_;
  args.count = task.queries;
  args.keys = scratch.keys;
  args.values = scratch.values;
  args.tokens = task.tokens;
  args.d_head = d_head_;
  args.out = context + task.first_query * context_row_bytes_;
  args.out_row_bytes = context_row_bytes_;
  args.scores = scratch.scores;
  args.probabilities = scratch.probabilities;
  args.context = scratch.context;
  if (next != nullptr && !same_head(task, *next)) {
    args.next = rows_of(*next, qkv);
    args.next_count = next->tokens;
    args.next_matrix_bytes = heads_ * d_head_ * 2;
  }
  return narrow::attend_by_tiles(args);
}

void NarrowAttention::attend(const Task& task, std::int64_t query, std::int64_t queries,
                             const std::byte* rows, std::byte* context,
                             const Scratch& scratch) const {
  NarrowArgs args;
  args.a = rows + query * qkv_row_bytes_;
  args.a_row_bytes = qkv_row_bytes_;
  args.groups = head_groups_;
  args.rows = queries;
  for (std::int64_t panel = 0; panel < divide_up(task.tokens, kNarrowColumns); ++panel) {
    args.b = scratch.keys + panel * head_groups_ * kPanelRowBytes;
    args.sums = scratch.scores + panel * kBlockFloats;
    set_.multiply(args);
  }
  const std::int64_t probability_bytes = narrow_row_bytes(task.tokens, 2);
  narrow::softmax_rows(scratch.scores, queries, task.tokens, scratch.probabilities,
                       probability_bytes, scratch.inverse_sums);
  args.a = scratch.probabilities;
  args.a_row_bytes = probability_bytes;
  args.groups = token_groups(task.tokens);
  args.sums = scratch.context;
  for (std::int64_t column = 0; column < d_head_; column += kNarrowColumns) {
    args.b = scratch.values + column / kNarrowColumns * args.groups * kPanelRowBytes;
    set_.multiply(args);
    narrow::store_scaled(scratch.context, queries, std::min(kNarrowColumns, d_head_ - column),
                         scratch.inverse_sums, context + query * context_row_bytes_ + column * 2,
                         context_row_bytes_);
  }
}

}  // namespace deformer
