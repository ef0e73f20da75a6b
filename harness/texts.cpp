#include "harness/texts.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "model/error.hpp"
#include "workloads/text.hpp"
#include "workloads/tokens.hpp"

namespace deformer {
namespace {

void check_vocabulary(const std::vector<std::vector<std::int32_t>>& texts,
                      const PlannedGroup& group) {
  for (const auto& text : texts) {
    for (const std::int32_t id : text) {
      if (id < 0 || id >= group.config.vocab_size) {
        throw BadInput(fmt::format(
            "{}: the vocabulary has id {}, beyond the {} rows of the word table; expected "
            "the vocabulary "
            "of these weights",
            group.config.name, id, group.config.vocab_size));
      }
    }
  }
}

}  // namespace

GroupTexts::GroupTexts(const SweepSpec& spec, const PlannedGroup& group, std::int64_t sets_wanted)
    : point_(group.points.front().point),
      vocab_(group.config.vocab_size),
      distinct_sets_(std::max<std::int64_t>(1, sets_wanted)) {
  if (!spec.text_file.empty()) {
    cut(spec, group, distinct_sets_);
    return;
  }
  question_ids_ =
      seeded_tokens(point_.seed, Segment::question, 0, vocab_, point_.shape.question_tokens);
}

void GroupTexts::cut(const SweepSpec& spec, const PlannedGroup& group, std::int64_t sets_wanted) {
  const ModelChoice& model = spec.models[group.model];
  const auto per_set = static_cast<std::int64_t>(point_.shape.passage_tokens.size());
  TextTokens tokens = cut_text(*open_tokenizer(model.directory, group.config.family),
                               spec.text_file, spec.questions_file, point_.question, point_.passage,
                               sets_wanted * per_set, point_.order);
  check_vocabulary(tokens.questions, group);
  check_vocabulary(tokens.passages, group);
  for (std::size_t i = 0; i < point_.shape.question_tokens.size(); ++i) {
    const auto& question = tokens.questions[i % tokens.questions.size()];
    question_ids_.insert(question_ids_.end(), question.begin(), question.end());
  }
  windows_ = std::move(tokens.passages);
  const auto windows = static_cast<std::int64_t>(windows_.size());
  distinct_sets_ = std::clamp<std::int64_t>(windows / per_set, 1, sets_wanted);
}

std::vector<std::int32_t> GroupTexts::passage_ids(std::int64_t set) const {
  const auto per_set = static_cast<std::int64_t>(point_.shape.passage_tokens.size());
  if (windows_.empty()) {
    return seeded_tokens(point_.seed, Segment::passage, set * per_set, vocab_,
                         point_.shape.passage_tokens);
  }
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < per_set; ++i) {
    const auto& window = windows_[static_cast<std::size_t>(set * per_set + i) % windows_.size()];
    ids.insert(ids.end(), window.begin(), window.end());
  }
  return ids;
}

}  // namespace deformer
