#pragma once
/// In which order a round measures its variants, and where `full` stands between them.

#include <cstdint>
#include <span>
#include <vector>

namespace deformer {

/// One measurement of a round: which variant (an index), or an anchor, i.e. `full`.
struct Step {
  std::size_t variant;
  bool anchor;
};

/// Orders of the variants, balanced: in every cycle of n rounds each variant stands once in each
/// place (rows of a cyclic Latin square on a seeded permutation), every second cycle is walked
/// backwards so that who follows whom is balanced too, and each cycle pair draws a new permutation.
class RoundOrder {
 public:
  RoundOrder(std::size_t variants, std::uint64_t seed);
  /// Variant indices of round `round` into `out` (its size is the number of variants). No
  /// allocation.
  void order(std::int64_t round, std::span<std::size_t> out);

 private:
  void permute(std::int64_t cycle_pair);
  std::uint64_t seed_;
  std::int64_t permuted_for_ = -1;
  std::vector<std::size_t> permutation_;
};

/// Puts anchors around and between the ordered variants: no variant is more than four variants or
/// one second (by `duration_ns`, one sample of each variant) away from an anchor; one that lasts
/// over a second has an anchor right beside it on both sides. `steps` must have room for 2 n + 1
/// steps; returns how many were written. Allocates nothing.
std::size_t place_anchors(std::span<const std::size_t> ordered, std::span<const double> duration_ns,
                          std::span<Step> steps);

}  // namespace deformer
