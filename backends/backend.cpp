#include "backends/backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "model/error.hpp"

namespace deformer {
namespace {

void check_lengths(const char* what, const std::vector<std::int64_t>& tokens, std::int64_t texts) {
  if (static_cast<std::int64_t>(tokens.size()) != texts) {
    throw BadInput(
        fmt::format("shape: expected lengths of {} {}s, found {}", texts, what, tokens.size()));
  }
  if (std::ranges::any_of(tokens, [](std::int64_t length) { return length < 1; })) {
    throw BadInput(fmt::format("shape: expected every {} to have at least 1 token", what));
  }
}

bool embeds(const Plan& plan, Segment segment) {
  return std::ranges::any_of(plan.phases, [&](const Phase& phase) {
    return phase.kind == PhaseKind::embed &&
           (phase.segment == segment || phase.segment == Segment::joint);
  });
}

/// Ids that the plan reads must fit the shape and the vocabulary; others are either absent or fit.
void check_ids(const char* what, std::span<const std::int32_t> ids, bool read,
               const std::vector<std::int64_t>& tokens, std::int64_t vocab) {
  const std::int64_t expected = std::accumulate(tokens.begin(), tokens.end(), std::int64_t{0});
  const auto found = static_cast<std::int64_t>(ids.size());
  if (found != expected && (read || found != 0)) {
    throw BadInput(fmt::format("{} ids: expected {} (the sum of the lengths), found {}", what,
                               expected, found));
  }
  const auto bad =
      std::ranges::find_if(ids, [&](std::int32_t id) { return id < 0 || id >= vocab; });
  if (bad != ids.end()) {
    throw BadInput(
        fmt::format("{} ids: expected ids of the vocabulary, 0 to {}, found {} at token {}; use "
                    "the model's own "
                    "tokeniser",
                    what, vocab - 1, *bad, bad - ids.begin()));
  }
}

void check_cached(std::span<const std::byte* const> passages, std::size_t expected) {
  if (passages.size() != expected) {
    throw BadInput(
        fmt::format("cached passages: expected {}, found {}", expected, passages.size()));
  }
  if (std::ranges::find(passages, nullptr) != passages.end()) {
    throw BadInput("cached passages: expected encoded rows for each, found a null pointer");
  }
}

}  // namespace

void check_inputs(const ModelConfig& config, const Plan& plan, const Shape& shape,
                  const Inputs& inputs) {
  check_lengths("question", shape.question_tokens, shape.batch * shape.questions_per_item);
  check_lengths("passage", shape.passage_tokens, shape.batch * shape.passages_per_item);
  check_ids("question", inputs.question_ids, embeds(plan, Segment::question), shape.question_tokens,
            config.vocab_size);
  check_ids("passage", inputs.passage_ids, embeds(plan, Segment::passage), shape.passage_tokens,
            config.vocab_size);
  if (plan.loads_passages()) {
    check_cached(inputs.cached_passages, shape.passage_tokens.size());
  }
}

}  // namespace deformer
