#include "session.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace loops {
namespace {

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Session::Session(const Bert& bert, const deformer_plan& plan, const deformer_shape& shape,
                 const deformer_session_options& options)
    : bert_(bert),
      split_(plan.split),
      r_(shape.questions_per_item),
      c_(shape.passages_per_item),
      order_(plan.order),
      run_on_(plan.positions_run_on != 0),
      one_layer_(options.one_layer != 0),
      phases_(plan.phases, plan.phases + plan.phase_count),
      keep_(options.keep_layers, options.keep_layers + options.keep_count),
      phase_ns_(phases_.size()) {
  lengths_[DEFORMER_QUESTION].assign(shape.question_tokens,
                                     shape.question_tokens + shape.batch * r_);
  lengths_[DEFORMER_PASSAGE].assign(shape.passage_tokens, shape.passage_tokens + shape.batch * c_);
  for (std::int64_t pair = 0; pair < shape.batch * r_ * c_; ++pair) {
    lengths_[DEFORMER_JOINT].push_back(lengths_[DEFORMER_QUESTION][index(question_of(pair))] +
                                       lengths_[DEFORMER_PASSAGE][index(passage_of(pair))]);
  }
  reserve();
}

void Session::run(const deformer_inputs& inputs) {
  for (std::size_t i = 0; i < phases_.size(); ++i) {
    const std::int64_t start = now_ns();
    run_phase(phases_[i], inputs);
    phase_ns_[i] = now_ns() - start;
  }
}

const Floats* Session::kept(std::int32_t segment, std::int64_t layers) const {
  for (const Kept& one : kept_) {
    if (one.segment == segment && one.layers == layers && one.filled) return &one.rows;
  }
  return nullptr;
}

std::size_t Session::output_segment() const {
  return index(phases_.back().kind == DEFORMER_HEAD ? DEFORMER_JOINT : phases_.back().segment);
}

void Session::reserve() {
  std::int64_t most = 1;
  std::int64_t longest = 1;
  for (int segment = 0; segment < 3; ++segment) {
    States& states = states_[segment];
    states.offsets = {0};
    for (const std::int64_t tokens : lengths_[segment]) {
      states.offsets.push_back(states.offsets.back() + tokens);
      longest = std::max(longest, tokens);
    }
    states.rows.resize(index(states.tokens() * bert_.d));
    most = std::max(most, states.tokens());
    for (const std::int64_t layers : keep_) {
      kept_.push_back({segment, layers, Floats(states.rows.size()), false});
    }
  }
  for (Floats* rows :
       {&scratch_.query, &scratch_.key, &scratch_.value, &scratch_.context, &scratch_.branch}) {
    rows->resize(index(most * bert_.d));
  }
  scratch_.hidden.resize(index(most * bert_.ff));
  scratch_.scores.resize(index(longest));
  texts_.reserve(2);
  pooled_.resize(index(bert_.d));
  const auto pairs = static_cast<std::int64_t>(lengths_[DEFORMER_JOINT].size());
  const auto outputs = static_cast<std::int64_t>(bert_.head.bias.size());
  head_.resize(
      index(outputs * (bert_.pooler.bias.empty() ? states_[DEFORMER_JOINT].tokens() : pairs)));
  bytes_ = (most * (6 * bert_.d + bert_.ff) + longest) * std::int64_t{sizeof(float)};
}

void Session::run_phase(const deformer_phase& phase, const deformer_inputs& inputs) {
  States& states = states_[phase.segment];
  switch (phase.kind) {
    case DEFORMER_EMBED:
      embed(phase.segment, inputs);
      return keep(phase.segment, 0);
    case DEFORMER_ENCODE:
      for (std::int64_t layer = phase.first_layer; layer < phase.last_layer; ++layer) {
        encode(bert_, bert_.layers[one_layer_ ? 0 : index(layer)], states, scratch_);
        keep(phase.segment, layer + 1);
      }
      return;
    case DEFORMER_LOAD:
      load(inputs);
      return keep(DEFORMER_PASSAGE, split_);
    case DEFORMER_JOIN:
      join();
      return keep(DEFORMER_JOINT, split_);
    default:
      return classify();
  }
}

void Session::keep(std::int32_t segment, std::int64_t layers) {
  for (Kept& one : kept_) {
    if (one.segment == segment && one.layers == layers) {
      one.rows = states_[segment].rows;
      one.filled = true;
    }
  }
}

const std::vector<Session::Text>& Session::texts_of(std::int32_t segment, std::int64_t i) {
  texts_.clear();
  if (segment != DEFORMER_JOINT) {
    texts_.push_back({segment, i});
    return texts_;
  }
  texts_.push_back({DEFORMER_QUESTION, question_of(i)});
  texts_.push_back({DEFORMER_PASSAGE, passage_of(i)});
  if (order_ == DEFORMER_PASSAGE_FIRST) std::swap(texts_[0], texts_[1]);
  return texts_;
}

void Session::embed(std::int32_t segment, const deformer_inputs& inputs) {
  const std::int32_t first =
      order_ == DEFORMER_QUESTION_FIRST ? DEFORMER_QUESTION : DEFORMER_PASSAGE;
  std::int64_t row = 0;
  for (std::size_t i = 0; i < lengths_[segment].size(); ++i) {
    std::int64_t position = 0;
    for (const Text& text : texts_of(segment, static_cast<std::int64_t>(i))) {
      const std::int32_t* ids =
          text.segment == DEFORMER_QUESTION ? inputs.question_ids : inputs.passage_ids;
      ids += states_[text.segment].offsets[index(text.text)];
      if (!run_on_) position = 0;
      for (std::int64_t t = 0; t < lengths_[text.segment][index(text.text)]; ++t) {
        loops::embed(bert_, ids[t], position++, text.segment == first ? 0 : 1, row++,
                     states_[segment]);
      }
    }
  }
}

void Session::load(const deformer_inputs& inputs) {
  const std::vector<std::int64_t>& tokens = lengths_[DEFORMER_PASSAGE];
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    States& to = states_[DEFORMER_PASSAGE];
    std::copy_n(static_cast<const float*>(inputs.cached_passages[i]), tokens[i] * bert_.d,
                to.rows.data() + to.offsets[i] * bert_.d);
  }
}

void Session::join() {
  float* to = states_[DEFORMER_JOINT].rows.data();
  for (std::size_t pair = 0; pair < lengths_[DEFORMER_JOINT].size(); ++pair) {
    for (const Text& text : texts_of(DEFORMER_JOINT, static_cast<std::int64_t>(pair))) {
      const States& from = states_[text.segment];
      const float* begin = from.rows.data() + from.offsets[index(text.text)] * bert_.d;
      to = std::copy(begin, begin + lengths_[text.segment][index(text.text)] * bert_.d, to);
    }
  }
}

void Session::classify() {
  const States& joint = states_[DEFORMER_JOINT];
  if (bert_.pooler.bias.empty()) {
    return multiply(bert_.head, joint.rows.data(), joint.tokens(), bert_.d, head_.data());
  }
  for (std::size_t pair = 0; pair + 1 < joint.offsets.size(); ++pair) {
    multiply(bert_.pooler, joint.rows.data() + joint.offsets[pair] * bert_.d, 1, bert_.d,
             pooled_.data());
    for (float& value : pooled_) value = std::tanh(value);
    multiply(bert_.head, pooled_.data(), 1, bert_.d, head_.data() + pair * bert_.head.bias.size());
  }
}

}  // namespace loops
