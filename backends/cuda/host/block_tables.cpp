#include "backends/cuda/host/block_tables.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>

#include "backends/plugin/rows.hpp"

namespace deformer::cuda {
namespace {

constexpr std::size_t kAlignment = 16;

/// Callers have checked that a batch's rows can be counted with 32 bits.
std::int32_t narrow(std::int64_t value) {
  return static_cast<std::int32_t>(value);
}

RowRun row_run(const RowCopy& copy, std::int64_t source) {
  return {narrow(source), narrow(copy.source_row), narrow(copy.target_row), narrow(copy.rows)};
}

std::vector<std::int32_t> narrow(const std::vector<std::int64_t>& values) {
  std::vector<std::int32_t> narrowed;
  for (const std::int64_t value : values) {
    narrowed.push_back(narrow(value));
  }
  return narrowed;
}

/// Offsets of rows as offsets of elements; all zero where 32 bits can't count them, and nobody
/// reads them then (cudnn_attention.cpp).
std::vector<std::int32_t> elements(const std::vector<std::int64_t>& rows, std::int64_t width) {
  const bool countable = rows.back() * width <= std::numeric_limits<std::int32_t>::max();
  std::vector<std::int32_t> offsets;
  for (const std::int64_t row : rows) {
    offsets.push_back(countable ? narrow(row * width) : 0);
  }
  return offsets;
}

}  // namespace

template <class T>
std::int64_t BlockTables::append(const std::vector<T>& values) {
  bytes_.resize((bytes_.size() + kAlignment - 1) / kAlignment * kAlignment);
  const std::size_t at = bytes_.size();
  bytes_.resize(at + values.size() * sizeof(T));
  if (!values.empty()) {
    std::memcpy(bytes_.data() + at, values.data(), values.size() * sizeof(T));
  }
  return static_cast<std::int64_t>(at);
}

void BlockTables::add_tokens(Segment segment, const Plan& plan, const Shape& shape,
                             std::int64_t passage_ids) {
  std::vector<TokenPlace> places;
  for (const EmbeddedToken& token : embedded_tokens(plan, shape, segment)) {
    const std::int64_t id = token.index + (token.from_passage ? passage_ids : 0);
    places.push_back({narrow(id), narrow(token.position), narrow(token.type)});
  }
  const bool in_order =
      std::ranges::adjacent_find(places, [](const TokenPlace& one, const TokenPlace& next) {
        return next.id_at != one.id_at + 1;
      }) == places.end();
  first_ids_[static_cast<std::size_t>(segment)] =
      in_order && !places.empty() ? places.front().id_at : -1;
  tokens_[static_cast<std::size_t>(segment)] = append(places);
}

void BlockTables::add_sequences(Segment segment, const Plan& plan, const Shape& shape,
                                std::int64_t width) {
  SequenceTables& tables = sequences_[static_cast<std::size_t>(segment)];
  if (tables.cumulative >= 0) {
    return;
  }
  const std::vector<std::int64_t> offsets = cumulative_tokens(shape, segment);
  const std::vector<std::int64_t> tokens = sequence_tokens(shape, segment);
  const std::vector<std::int64_t> first_texts = first_text_tokens(shape, segment, plan.order);
  for (std::size_t table = 0; table < kBlockTables; ++table) {
    std::vector<QueryBlock> blocks;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      for (std::int64_t query = 0; query < tokens[i]; query += kBlockQueries[table]) {
        blocks.push_back(
            {narrow(offsets[i]), narrow(tokens[i]), narrow(first_texts[i]), narrow(query)});
      }
    }
    // The longest first: what begins last should end soon.
    std::ranges::stable_sort(blocks, std::greater{}, &QueryBlock::tokens);
    tables.blocks[table] = append(blocks);
    tables.block_counts[table] = static_cast<std::int64_t>(blocks.size());
  }
  tables.cumulative = append(narrow(offsets));
  tables.lengths = append(narrow(tokens));
  tables.offsets_qkv = append(elements(offsets, 3 * width));
  tables.offsets_out = append(elements(offsets, width));
  tables.sequences = static_cast<std::int64_t>(tokens.size());
  tables.longest = std::ranges::max(tokens);
  tables.uniform = std::ranges::min(tokens) == tables.longest;
}

void BlockTables::add_loads(const Plan& plan, const Shape& shape) {
  std::vector<RowRun> runs;
  for (const RowCopy& copy : load_copies(plan, shape)) {
    runs.push_back(row_run(copy, copy.text));
  }
  loads_ = append(runs);
  load_count_ = static_cast<std::int64_t>(runs.size());
}

void BlockTables::add_joins(const Plan& plan, const Shape& shape) {
  std::vector<RowRun> runs;
  for (const RowCopy& copy : join_copies(plan, shape)) {
    runs.push_back(row_run(copy, static_cast<std::int64_t>(copy.source)));
  }
  joins_ = append(runs);
  join_count_ = static_cast<std::int64_t>(runs.size());
}

void BlockTables::add_chosen(const ModelConfig& config, const Shape& shape) {
  const std::vector<std::int64_t> offsets = cumulative_tokens(shape, Segment::joint);
  std::vector<std::int32_t> rows;
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    rows.push_back(narrow(config.classifies_by_last_token() ? offsets[i + 1] - 1 : offsets[i]));
  }
  chosen_ = append(rows);
}

AttentionArgs BlockTables::sequences(Segment segment, const std::byte* base) const {
  const SequenceTables& tables = sequences_[static_cast<std::size_t>(segment)];
  AttentionArgs args{};
  args.sequences = tables.sequences;
  args.longest = tables.longest;
  args.cumulative = address<std::int32_t>(base, tables.cumulative);
  args.lengths = address<std::int32_t>(base, tables.lengths);
  args.offsets_qkv = address<std::int32_t>(base, tables.offsets_qkv);
  args.offsets_out = address<std::int32_t>(base, tables.offsets_out);
  for (std::size_t table = 0; table < kBlockTables; ++table) {
    args.blocks[table] = {address<QueryBlock>(base, tables.blocks[table]),
                          tables.block_counts[table]};
  }
  args.uniform = tables.uniform;
  return args;
}

}  // namespace deformer::cuda
