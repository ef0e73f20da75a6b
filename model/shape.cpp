#include "model/shape.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer {
namespace {

/// Longest joint sequence the interface accepts.
constexpr std::int64_t kMaxSequenceTokens = 65536;
/// Most texts a batch may hold: more is a typing error, and sizes derived from it must not
/// overflow.
constexpr std::int64_t kMaxTexts = std::int64_t{1} << 24;

void check_positive(const char* what, std::int64_t value) {
  if (value < 1) {
    throw BadInput(fmt::format("{}: expected at least 1, found {}", what, value));
  }
}

}  // namespace

std::int64_t Shape::question_of_pair(std::int64_t pair) const {
  return pair / passages_per_item;
}

std::int64_t Shape::passage_of_pair(std::int64_t pair) const {
  const std::int64_t item = pair / (questions_per_item * passages_per_item);
  return item * passages_per_item + pair % passages_per_item;
}

Shape uniform_shape(std::int64_t batch, std::int64_t question, std::int64_t passage, std::int64_t r,
                    std::int64_t c) {
  check_positive("batch", batch);
  check_positive("question", question);
  check_positive("passage", passage);
  check_positive("questions-per-passage", r);
  check_positive("candidates", c);
  if (question > kMaxSequenceTokens || passage > kMaxSequenceTokens ||
      question + passage > kMaxSequenceTokens) {
    throw BadInput(fmt::format("question + passage: expected at most {} tokens, found {} + {}",
                               kMaxSequenceTokens, question, passage));
  }
  if (batch > kMaxTexts || r > kMaxTexts || c > kMaxTexts || batch * r > kMaxTexts ||
      batch * c > kMaxTexts || batch * r > kMaxTexts / c) {
    throw BadInput(
        fmt::format("batch x questions x candidates: expected at most {} pairs, found {} x {} x {}",
                    kMaxTexts, batch, r, c));
  }
  Shape shape;
  shape.batch = batch;
  shape.questions_per_item = r;
  shape.passages_per_item = c;
  shape.question_tokens.assign(static_cast<std::size_t>(batch * r), question);
  shape.passage_tokens.assign(static_cast<std::size_t>(batch * c), passage);
  return shape;
}

std::vector<std::int64_t> sequence_tokens(const Shape& shape, Segment segment) {
  if (segment == Segment::question) {
    return shape.question_tokens;
  }
  if (segment == Segment::passage) {
    return shape.passage_tokens;
  }
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(shape.pairs()));
  for (std::int64_t pair = 0; pair < shape.pairs(); ++pair) {
    tokens[static_cast<std::size_t>(pair)] =
        shape.question_tokens[static_cast<std::size_t>(shape.question_of_pair(pair))] +
        shape.passage_tokens[static_cast<std::size_t>(shape.passage_of_pair(pair))];
  }
  return tokens;
}

std::vector<std::int64_t> cumulative_tokens(const Shape& shape, Segment segment) {
  std::vector<std::int64_t> offsets{0};
  for (const std::int64_t tokens : sequence_tokens(shape, segment)) {
    offsets.push_back(offsets.back() + tokens);
  }
  return offsets;
}

std::vector<std::int64_t> first_text_tokens(const Shape& shape, Segment segment, Order order) {
  if (segment != Segment::joint) {
    return sequence_tokens(shape, segment);
  }
  std::vector<std::int64_t> tokens;
  for (std::int64_t pair = 0; pair < shape.pairs(); ++pair) {
    tokens.push_back(
        order == Order::question_first
            ? shape.question_tokens[static_cast<std::size_t>(shape.question_of_pair(pair))]
            : shape.passage_tokens[static_cast<std::size_t>(shape.passage_of_pair(pair))]);
  }
  return tokens;
}

Shape pair_shape(const Shape& shape, std::int64_t pair) {
  Shape one;
  one.question_tokens = {
      shape.question_tokens[static_cast<std::size_t>(shape.question_of_pair(pair))]};
  one.passage_tokens = {
      shape.passage_tokens[static_cast<std::size_t>(shape.passage_of_pair(pair))]};
  return one;
}

std::int64_t longest(const Shape& shape, Segment segment) {
  return std::ranges::max(sequence_tokens(shape, segment));
}

}  // namespace deformer
