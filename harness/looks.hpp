#pragma once
/// Looks: sessions measured beside each other, round by round, to take a point apart. Unlike the
/// meter's they need not be variants: the same plan with and without recording, with warm weights,
/// or some of its phases alone.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/group.hpp"

namespace deformer {

struct Look {
  std::string name;
  Plan plan;
  std::unique_ptr<Session> session;
  Inputs inputs;
  std::optional<PoolWalk> walk;  ///< where the plan loads passages

  Detail detail = Detail::none;
  std::int64_t forwards = 1;  ///< in a sample
  std::vector<double> ns;     ///< mean forward of each round
  std::vector<PlanRange> ranges;
  std::vector<std::vector<double>> range_ns;  ///< [range][round]
  RangeSums round_sums;

  void forward();
  double median_ns() const;
  double range_median_ns(std::size_t range) const;
};

/// A look at a runner's first instance with other options or another plan (its phases a part of the
/// runner's).
Look make_look(PreparedGroup& group, Runner& runner, std::string name, Plan plan,
               SessionOptions options);

/// Rounds of all looks, in an order that turns from round to round, until `limit_s` is spent or
/// `most` rounds are done; ten at least. Samples last a millisecond or more. To be called on the
/// thread of the first instance.
void measure_looks(std::vector<Look>& looks, double limit_s, std::int64_t most);

/// A look with or without recording what it can.
struct PairedLook {
  Look* look = nullptr;
  bool recorded = false;
  std::vector<double> ns = {};  ///< mean of the two forwards of each round
};

/// Few looks right beside each other, for what little tells them apart: each round a forward there
/// and one back (a b c c b a), so that no drift favours one. After measure_looks; leaves recording
/// on.
void pair_looks(std::vector<PairedLook>& looks, double limit_s, std::int64_t most);

}  // namespace deformer
