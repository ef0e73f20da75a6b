#pragma once
/// Where every row of a segment comes from, worked out once per session.

#include <cstdint>
#include <vector>

#include "model/plan.hpp"
#include "model/shape.hpp"

namespace deformer {

/// One row to embed.
struct EmbeddedToken {
  bool from_passage;   ///< of which id list
  std::int64_t index;  ///< in that list
  std::int64_t position;
  std::int64_t type;
};

/// A run of rows to copy, or to decode from a cached passage.
struct RowCopy {
  Segment source;
  std::int64_t text;        ///< load: which cached passage
  std::int64_t source_row;  ///< copy: of the segment's rows; load: within the passage
  std::int64_t target_row;  ///< of the joint rows
  std::int64_t rows;
};

/// Rows of `segment` in packed order. The first text of a pair by `plan.order` has type 0.
std::vector<EmbeddedToken> embedded_tokens(const Plan& plan, const Shape& shape, Segment segment);

/// Decoding each cached passage straight into the joint rows of the first pair that uses it.
std::vector<RowCopy> load_copies(const Plan& plan, const Shape& shape);

/// What the join copies into the joint rows: every pair's question and passage. Loaded passages
/// come from the pair they were loaded into, and that pair needs none.
std::vector<RowCopy> join_copies(const Plan& plan, const Shape& shape);

}  // namespace deformer
