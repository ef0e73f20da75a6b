#include "harness/parity.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "backends/golden.hpp"
#include "backends/reference/reference.hpp"
#include "model/sha256.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kMostAtBatchOne = 6;
/// Reference outputs kept for later groups; a bert-base pair at L=320 takes 2 MB a split.
constexpr std::size_t kMostRememberedBytes = std::size_t{512} << 20;

std::span<const std::int32_t> text_of(const std::vector<std::int32_t>& packed, const Shape& shape,
                                      Segment segment, std::int64_t index) {
  const std::vector<std::int64_t> offsets = cumulative_tokens(shape, segment);
  const auto i = static_cast<std::size_t>(index);
  return std::span(packed).subspan(static_cast<std::size_t>(offsets[i]),
                                   static_cast<std::size_t>(offsets[i + 1] - offsets[i]));
}

/// The first pair, the longest, and up to six spread over the rest.
struct ChosenPairs {
  std::vector<std::int64_t> against_reference;
  std::vector<std::int64_t> against_batch_one;
};

ChosenPairs choose_pairs(const Shape& shape) {
  const std::vector<std::int64_t> tokens = sequence_tokens(shape, Segment::joint);
  const std::int64_t longest_pair = std::ranges::max_element(tokens) - tokens.begin();
  ChosenPairs chosen{{0}, {}};
  if (longest_pair != 0) {
    chosen.against_reference.push_back(longest_pair);
  }
  const std::int64_t pairs = shape.pairs();
  const std::int64_t step = std::max<std::int64_t>(1, (pairs - 1) / kMostAtBatchOne);
  for (std::int64_t pair = pairs - 1; pair > 0; pair -= step) {
    if (pair != longest_pair &&
        static_cast<std::int64_t>(chosen.against_batch_one.size()) < kMostAtBatchOne) {
      chosen.against_batch_one.push_back(pair);
    }
  }
  return chosen;
}

std::span<const float> rows_of_pair(std::span<const float> rows, const Shape& shape,
                                    std::int64_t pair, std::int64_t d) {
  const std::vector<std::int64_t> offsets = cumulative_tokens(shape, Segment::joint);
  const auto i = static_cast<std::size_t>(pair);
  return rows.subspan(static_cast<std::size_t>(offsets[i] * d),
                      static_cast<std::size_t>((offsets[i + 1] - offsets[i]) * d));
}

void merge(ParityRecord& record, const ParityResult& result) {
  ++record.sequences;
  record.max_abs = std::max(record.max_abs, result.max_abs);
  record.cosine_min = std::min(record.cosine_min, result.cosine_min);
}

}  // namespace

/// The texts of one pair and the digest they are remembered by.
struct ParityChecker::PairTexts {
  PairTexts(PreparedGroup& group, const WeightSource& weights, std::int64_t pair)
      : shape(pair_shape(point_of(group).shape, pair)),
        order(point_of(group).order),
        question(text_of(group.texts().question_ids(), point_of(group).shape, Segment::question,
                         point_of(group).shape.question_of_pair(pair))),
        passage(text_of(group.first_passage_ids(), point_of(group).shape, Segment::passage,
                        point_of(group).shape.passage_of_pair(pair))),
        digest(fmt::format("{} {} {} {} {}", group.group().config.name, weights.hash(),
                           to_string(order), sha256_hex(std::as_bytes(question)),
                           sha256_hex(std::as_bytes(passage)))) {}

  static const Point& point_of(PreparedGroup& group) {
    return group.runners().front().planned->point;
  }

  /// decomposed and cached are the same function of the ids.
  std::string key(const Point& point) const {
    return point.variant == Variant::full ? digest + " full"
                                          : fmt::format("{} k{}", digest, point.split);
  }

  Shape shape;
  Order order;
  std::span<const std::int32_t> question;
  std::span<const std::int32_t> passage;
  std::string digest;
};

void ParityChecker::add_reference(PreparedGroup& group, const WeightSource& weights,
                                  const PairTexts& pair) {
  std::vector<ReferenceRequest> requests;
  std::vector<std::string> keys;
  for (const Runner& runner : group.runners()) {
    const Point& point = runner.planned->point;
    const std::string key = pair.key(point);
    if (!outputs_.contains(key) && std::ranges::find(keys, key) == keys.end()) {
      requests.push_back({.variant = point.variant, .split = point.split});
      keys.push_back(key);
    }
  }
  if (requests.empty()) {
    return;
  }
  const Inputs inputs{
      .question_ids = pair.question, .passage_ids = pair.passage, .cached_passages = {}};
  std::vector<std::vector<double>> outputs =
      reference_outputs(weights, pair.order, pair.shape, inputs, requests);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    remembered_bytes_ += outputs[i].size() * sizeof(double);
    outputs_[keys[i]] = std::move(outputs[i]);
  }
}

ParityRecord ParityChecker::check_runner(PreparedGroup& group, const WeightSource& weights,
                                         Runner& runner) {
  const Point& point = runner.planned->point;
  const std::int64_t d = group.group().config.d_model;
  const ChosenPairs chosen = choose_pairs(point.shape);
  (void)group.team().run([&](int instance) {  // at once: what disturbs each other must show
    runner.instances[static_cast<std::size_t>(instance)].forward_first_set();
  });
  const std::span<const float> rows = runner.session().output();
  const std::vector<float> batch(rows.begin(), rows.end());

  ParityRecord record;
  double largest = 0;  // of the reference: a wrong result must not loosen its own limit
  for (const std::int64_t pair : chosen.against_reference) {
    for (const double value : outputs_.at(PairTexts(group, weights, pair).key(point))) {
      largest = std::max(largest, std::abs(value));
    }
  }
  const Tolerance tolerance =
      tolerance_for(point.backend == "reference", point.dtype, largest,
                    point.variant == Variant::cached ? point.cache_dtype : DType::f32);
  record.rule = tolerance.text();
  if (tolerance.kind != ToleranceKind::reported) {
    record.tolerance = tolerance.limit;
  }
  record.ok = true;
  const auto judge = [&](const ParityResult& result) {
    merge(record, result);
    record.ok = record.ok && tolerance.accepts(result);
  };
  for (const std::int64_t pair : chosen.against_reference) {
    const PairTexts texts(group, weights, pair);
    judge(compare_rows(rows_of_pair(batch, point.shape, pair, d),
                       std::span<const double>(outputs_.at(texts.key(point))), d));
  }
  for (std::size_t i = 1; i < runner.instances.size(); ++i) {
    const ParityResult beside =
        compare_rows(runner.instances[i].session->output(), std::span<const float>(batch), d);
    record.max_abs_between_instances =
        std::max(record.max_abs_between_instances.value_or(0), beside.max_abs);
    record.ok = record.ok && tolerance.accepts(beside);
  }
  for (const std::int64_t pair : chosen.against_batch_one) {
    const PairTexts texts(group, weights, pair);
    Inputs inputs{.question_ids = texts.question, .passage_ids = {}, .cached_passages = {}};
    if (runner.plan.reads_passage_ids()) {
      inputs.passage_ids = texts.passage;
    }
    if (runner.pool != nullptr) {
      inputs.cached_passages = runner.pool->set(0).subspan(
          static_cast<std::size_t>(point.shape.passage_of_pair(pair)), 1);
    }
    group.team().run_on(0, [&](int) {
      const auto session =
          group.model().prepare(runner.plan, texts.shape, group.session_options(point, 0));
      session->run(inputs);
      judge(compare_rows(rows_of_pair(batch, point.shape, pair, d), session->output(), d));
    });
  }
  return record;
}

std::vector<ParityRecord> ParityChecker::check(PreparedGroup& group, const WeightSource& weights) {
  if (remembered_bytes_ > kMostRememberedBytes) {
    outputs_.clear();
    remembered_bytes_ = 0;
  }
  const Shape& shape = group.runners().front().planned->point.shape;
  for (const std::int64_t pair : choose_pairs(shape).against_reference) {
    add_reference(group, weights, PairTexts(group, weights, pair));
  }
  std::vector<ParityRecord> records;
  for (Runner& runner : group.runners()) {
    records.push_back(check_runner(group, weights, runner));
  }
  return records;
}

}  // namespace deformer
