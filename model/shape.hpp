#pragma once
/// Lengths of the texts of one batch. An item of a batch is r questions x c passages, every pair
/// joined. Texts are packed without padding, in the order item, then text within the item; pairs in
/// the order item, question, passage.

#include <cstdint>
#include <string>
#include <vector>

#include "model/types.hpp"

namespace deformer {

struct Shape {
  std::int64_t batch = 1;
  std::int64_t questions_per_item = 1;        ///< r
  std::int64_t passages_per_item = 1;         ///< c
  std::vector<std::int64_t> question_tokens;  ///< batch*r lengths, each >= 1
  std::vector<std::int64_t> passage_tokens;   ///< batch*c lengths, each >= 1

  std::int64_t pairs() const { return batch * questions_per_item * passages_per_item; }
  /// Index into question_tokens / passage_tokens of the texts of a pair.
  std::int64_t question_of_pair(std::int64_t pair) const;
  std::int64_t passage_of_pair(std::int64_t pair) const;
};

/// All questions and all passages of one length. @throws BadInput unless every number is >= 1 and
/// the joint sequence is at most 65 536 tokens.
Shape uniform_shape(std::int64_t batch, std::int64_t question, std::int64_t passage,
                    std::int64_t r = 1, std::int64_t c = 1);

/// Lengths of the sequences of a segment, in packed order.
std::vector<std::int64_t> sequence_tokens(const Shape& shape, Segment segment);

/// Offsets of the sequences in the packed rows: size sequences + 1, first 0, last the total.
std::vector<std::int64_t> cumulative_tokens(const Shape& shape, Segment segment);

/// Tokens of the first text of every sequence of a segment, in packed order: a pair's by `order`,
/// all of a text that is alone.
std::vector<std::int64_t> first_text_tokens(const Shape& shape, Segment segment, Order order);

/// The shape of one pair alone (batch 1, r = c = 1): for parity of sequences out of a batch.
Shape pair_shape(const Shape& shape, std::int64_t pair);

/// Longest sequence of a segment.
std::int64_t longest(const Shape& shape, Segment segment);

}  // namespace deformer
