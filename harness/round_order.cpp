#include "harness/round_order.hpp"

#include <numeric>
#include <utility>

#include "workloads/random.hpp"

namespace deformer {
namespace {

constexpr std::size_t kMostBetweenAnchors = 4;
constexpr double kLongestBetweenAnchorsNs = 1e9;

}  // namespace

RoundOrder::RoundOrder(std::size_t variants, std::uint64_t seed)
    : seed_(seed), permutation_(variants) {}

void RoundOrder::permute(std::int64_t cycle_pair) {
  std::iota(permutation_.begin(), permutation_.end(), std::size_t{0});
  SplitMix64 random(seed_ + static_cast<std::uint64_t>(cycle_pair) * 0x9e3779b97f4a7c15U);
  for (std::size_t i = permutation_.size(); i > 1; --i) {
    std::swap(permutation_[i - 1], permutation_[random.below(i)]);
  }
  permuted_for_ = cycle_pair;
}

void RoundOrder::order(std::int64_t round, std::span<std::size_t> out) {
  const auto n = static_cast<std::int64_t>(permutation_.size());
  if (n == 0) {
    return;
  }
  const std::int64_t cycle = round / n;
  if (permuted_for_ != cycle / 2) {
    permute(cycle / 2);
  }
  const std::int64_t shift = round % n;
  for (std::int64_t place = 0; place < n; ++place) {
    const std::int64_t walked = cycle % 2 == 0 ? place : n - 1 - place;
    out[static_cast<std::size_t>(place)] =
        permutation_[static_cast<std::size_t>((walked + shift) % n)];
  }
}

std::size_t place_anchors(std::span<const std::size_t> ordered, std::span<const double> duration_ns,
                          std::span<Step> steps) {
  std::size_t written = 0;
  std::size_t since_anchor = 0;
  double since_anchor_ns = 0;
  steps[written++] = {0, true};
  for (const std::size_t variant : ordered) {
    const bool crowded = since_anchor == kMostBetweenAnchors;
    const bool late =
        since_anchor > 0 && since_anchor_ns + duration_ns[variant] > kLongestBetweenAnchorsNs;
    if (crowded || late) {
      steps[written++] = {0, true};
      since_anchor = 0;
      since_anchor_ns = 0;
    }
    steps[written++] = {variant, false};
    ++since_anchor;
    since_anchor_ns += duration_ns[variant];
  }
  if (!ordered.empty()) {
    steps[written++] = {0, true};
  }
  return written;
}

}  // namespace deformer
