#pragma once
/// From an estimate to a verdict on one figure. Internal to the gate.
///
/// The threshold T is the slowdown that must be caught; a change that matters little must not
/// alarm. So the line of alarm stands half way, at T/2: a true slowdown of T is as far from it as
/// no change is, and small true changes (another link order alone moves code by about half a
/// percent) do not make a gate that is switched off.
///
///   REGRESSED  the interval's low end is above T/2 (tested, corrected for the number of figures)
///   IMPROVED   its mirror image: the high end is below -T/2
///   PASS       the high end is below T: a slowdown of T is excluded
///   AMBIGUOUS  neither: the interval is too wide to say
///
/// An interval narrower than T/2 always decides. Had the line stood at T, a slowdown of just T
/// would be called half the time at best; at 0, every real change of a thousandth would be an
/// alarm.
///
/// When more data are worth their time (look_at): as long as the verdict is AMBIGUOUS, and at a
/// PASS that may still become IMPROVED. PASS needs less than IMPROVED does, so a gate that stopped
/// at the first PASS would overlook most true speed-ups; one that waited until a speed-up of T is
/// excluded would hold up every noisy gate. So it waits where head is more likely faster than not:
/// the estimate lies beyond -T/2, and a speed-up of T is not excluded. A gate without a change is
/// rarely there. Looking on costs no certainty: each look has its share of the error whether it is
/// taken or not (GateRules::looks).

#include <span>

#include "reports/gate/estimate.hpp"

namespace deformer {

/// What was found of one figure of one point.
struct Finding {
  std::optional<Location> location;
  std::optional<Estimate> estimate;
  bool judged = false;  ///< the metric and the machines let it decide
  Verdict verdict = Verdict::ambiguous;
  bool suspected = false;  ///< REGRESSED, were it confirmed
  bool cleared = false;    ///< suspected, and not confirmed in fresh processes
  bool too_few = false;
};

/// The finding of a figure without a decision: where it lies and how wide.
Finding find(const GatePoint& point, Figure figure, double threshold, const GateRules& rules,
             std::int64_t tests);

/// Gives every judged finding its verdict; correction is over all of them, and over as many as
/// `family` where more will be judged in the end.
struct FindingOfPoint {
  const GatePoint* point;
  Figure figure;
  double threshold;
  Finding* finding;
};
void decide(std::span<const FindingOfPoint> findings, const GateRules& rules,
            std::int64_t family = 0);

/// Of a figure that passes: whether further data may well call it IMPROVED.
bool may_be_improved(const Estimate& estimate, double threshold);

/// Threshold of a point: given, else calibrated, else the rules'.
double threshold_of(const GatePoint& point, const GateRules& rules);

}  // namespace deformer
