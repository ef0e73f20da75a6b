#include "backends/plugin/rows.hpp"

#include <algorithm>

namespace deformer {
namespace {

/// Rows a copy moves at most: enough pieces for every thread of one 300-token passage.
constexpr std::int64_t kCopyRows = 32;

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

std::int64_t type_of(const Plan& plan, bool passage) {
  const bool first = passage == (plan.order == Order::passage_first);
  return first ? 0 : 1;
}

/// Where the texts lie: in their own segments, and each pair's in the joint rows.
struct Layout {
  Layout(const Plan& given_plan, const Shape& given_shape)
      : plan(given_plan),
        shape(given_shape),
        questions(cumulative_tokens(shape, Segment::question)),
        passages(cumulative_tokens(shape, Segment::passage)),
        joint(cumulative_tokens(shape, Segment::joint)) {}

  std::int64_t question_target(std::int64_t pair) const {
    const bool first = plan.order == Order::question_first;
    return joint[at(pair)] + (first ? 0 : shape.passage_tokens[at(shape.passage_of_pair(pair))]);
  }
  std::int64_t passage_target(std::int64_t pair) const {
    const bool first = plan.order == Order::passage_first;
    return joint[at(pair)] + (first ? 0 : shape.question_tokens[at(shape.question_of_pair(pair))]);
  }
  /// The first pair that a passage is in: with the item's first question.
  std::int64_t first_pair(std::int64_t passage) const {
    const std::int64_t item = passage / shape.passages_per_item;
    return item * shape.questions_per_item * shape.passages_per_item +
           passage % shape.passages_per_item;
  }

  const Plan& plan;
  const Shape& shape;
  std::vector<std::int64_t> questions;
  std::vector<std::int64_t> passages;
  std::vector<std::int64_t> joint;
};

void add_text(std::vector<EmbeddedToken>& tokens, const Plan& plan, bool passage,
              std::int64_t first_index, std::int64_t count, std::int64_t first_position) {
  for (std::int64_t i = 0; i < count; ++i) {
    tokens.push_back({passage, first_index + i, first_position + i, type_of(plan, passage)});
  }
}

void add_pair(std::vector<EmbeddedToken>& tokens, const Layout& layout, std::int64_t pair) {
  const std::int64_t question = layout.shape.question_of_pair(pair);
  const std::int64_t passage = layout.shape.passage_of_pair(pair);
  const std::int64_t question_count = layout.shape.question_tokens[at(question)];
  const std::int64_t passage_count = layout.shape.passage_tokens[at(passage)];
  const bool question_first = layout.plan.order == Order::question_first;
  const std::int64_t second_position =
      layout.plan.positions_run_on ? (question_first ? question_count : passage_count) : 0;
  const auto add_question = [&](std::int64_t position) {
    add_text(tokens, layout.plan, false, layout.questions[at(question)], question_count, position);
  };
  const auto add_passage = [&](std::int64_t position) {
    add_text(tokens, layout.plan, true, layout.passages[at(passage)], passage_count, position);
  };
  if (question_first) {
    add_question(0);
    add_passage(second_position);
  } else {
    add_passage(0);
    add_question(second_position);
  }
}

void add_pieces(std::vector<RowCopy>& copies, RowCopy whole) {
  for (std::int64_t done = 0; done < whole.rows; done += kCopyRows) {
    copies.push_back({whole.source, whole.text, whole.source_row + done, whole.target_row + done,
                      std::min(kCopyRows, whole.rows - done)});
  }
}

}  // namespace

std::vector<EmbeddedToken> embedded_tokens(const Plan& plan, const Shape& shape, Segment segment) {
  const Layout layout(plan, shape);
  std::vector<EmbeddedToken> tokens;
  if (segment == Segment::joint) {
    for (std::int64_t pair = 0; pair < shape.pairs(); ++pair) {
      add_pair(tokens, layout, pair);
    }
    return tokens;
  }
  const bool passage = segment == Segment::passage;
  const auto& lengths = passage ? shape.passage_tokens : shape.question_tokens;
  const auto& offsets = passage ? layout.passages : layout.questions;
  for (std::size_t text = 0; text < lengths.size(); ++text) {
    add_text(tokens, plan, passage, offsets[text], lengths[text], 0);
  }
  return tokens;
}

std::vector<RowCopy> load_copies(const Plan& plan, const Shape& shape) {
  const Layout layout(plan, shape);
  std::vector<RowCopy> copies;
  for (std::size_t passage = 0; passage < shape.passage_tokens.size(); ++passage) {
    const auto text = static_cast<std::int64_t>(passage);
    add_pieces(copies, {Segment::passage, text, 0, layout.passage_target(layout.first_pair(text)),
                        shape.passage_tokens[passage]});
  }
  return copies;
}

std::vector<RowCopy> join_copies(const Plan& plan, const Shape& shape) {
  const Layout layout(plan, shape);
  const bool loaded = plan.loads_passages();
  std::vector<RowCopy> copies;
  for (std::int64_t pair = 0; pair < shape.pairs(); ++pair) {
    const std::int64_t question = shape.question_of_pair(pair);
    const std::int64_t passage = shape.passage_of_pair(pair);
    const std::int64_t passage_rows = shape.passage_tokens[at(passage)];
    add_pieces(copies, {Segment::question, question, layout.questions[at(question)],
                        layout.question_target(pair), shape.question_tokens[at(question)]});
    const std::int64_t target = layout.passage_target(pair);
    if (!loaded) {
      add_pieces(copies,
                 {Segment::passage, passage, layout.passages[at(passage)], target, passage_rows});
    } else if (layout.first_pair(passage) != pair) {
      add_pieces(copies, {Segment::joint, passage,
                          layout.passage_target(layout.first_pair(passage)), target, passage_rows});
    }
  }
  return copies;
}

}  // namespace deformer
