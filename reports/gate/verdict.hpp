#pragma once
/// The verdict on head against base: a pure function of what was observed and the rules.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/attribution.hpp"
#include "reports/gate/observations.hpp"
#include "reports/gate/rules.hpp"

namespace deformer {

/// In order of precedence: of several, the first stands for the whole.
enum class Verdict { invalid, regressed, missing, incomparable, ambiguous, improved, pass };

/// "INVALID", "REGRESSED", ...
std::string_view verdict_name(Verdict verdict);

/// Exit code of the interface: INVALID, REGRESSED 1; MISSING, INCOMPARABLE, AMBIGUOUS 4; else 0.
int exit_code(Verdict verdict);

/// What the statistics say of one figure of a point, head over base: above 1 is worse.
struct Estimate {
  double ratio = 1;
  double ci_low = 0, ci_high = 0;     ///< at the rules' confidence
  double p_slower = 1, p_faster = 1;  ///< one-sided, of a change beyond half the threshold
  /// The smallest slowdown (0.02: 2 %) that data of this noise and size call REGRESSED in 95 of 100
  /// gates.
  double smallest_effect = 0;
  std::int64_t processes = 0;  ///< pairs of processes, or of the side that has fewer
  std::int64_t rounds = 0;     ///< of the side that has fewer
  bool paired = false;
  bool assumed_noise = false;  ///< see GateRules::assumed_noise_ln
};

/// An exact figure that differs, or a counted one.
struct FigureChange {
  std::string name, unit;
  bool counted = false;
  double base = 0, head = 0;
  double threshold = 0;
  /// Regressed, improved, or pass: a change that is allowed; ambiguous: beyond what is allowed, but
  /// not beyond what the processes of one side differ by.
  Verdict verdict = Verdict::pass;
  std::string counted_as;  ///< as ExactFigure says
  std::string where;       ///< of a counted one: operation that most of the change comes from
  double noise = 0;  ///< of a counted one: what processes of a side differ by, relative; 0: unknown
};

struct PointVerdict {
  std::string key, name, group, variant, reproduce;
  Verdict verdict = Verdict::pass;
  std::string words;              ///< one sentence: what was found, and why this verdict
  std::optional<Estimate> time;   ///< absolute time
  std::optional<Estimate> ratio;  ///< cached/full (or decomposed/full)
  Verdict time_verdict = Verdict::pass, ratio_verdict = Verdict::pass;
  bool judged_by_ratio = false;  ///< `ratio` decided: it stands in the row
  double threshold = 0;
  std::vector<FigureChange> figures;  ///< exact ones that differ, and all counted ones
  std::int64_t figures_same = 0, figures_not_compared = 0;
  std::string where;  ///< range that the change comes from; empty: everywhere alike, or unknown
  std::string where_level;  ///< "phase", "layer", "op"
  std::optional<Attribution> attribution;
  bool suspected = false;  ///< would be REGRESSED, were it confirmed
  std::string injected;    ///< "base: ...", "head: ...": slowdowns planted on purpose

  /// What stands in the row: of time, or of the ratio where that decided.
  const std::optional<Estimate>& shown() const { return judged_by_ratio ? ratio : time; }
};

struct GateResult {
  Verdict verdict = Verdict::missing;
  std::string words;  ///< one line for the log, without the points
  std::vector<PointVerdict> points;
  std::vector<FigureChange> figures;             ///< of the program: size of the binary
  std::vector<std::string> machine_differences;  ///< "cpu_model: 'A' in base, 'B' in head"
  std::vector<std::string> notes;                ///< what a reader must know beside the rows
  std::array<std::int64_t, 7> counts = {};       ///< points by verdict

  int exit_code() const { return deformer::exit_code(verdict); }
};

/// Judges every point and the whole. How: see decision.hpp (one figure), case.hpp (time and ratio
/// of a point), estimate.hpp (the statistics).
/// @throws BadInput when both sides are the same build and that was not allowed (--aa).
GateResult judge(const GateInput& input, const GateRules& rules);

/// Time and ratio of one point alone, for `gate measure` between rounds: enough to know whether to
/// go on. `tests`: how many figures the gate will judge in the end (a time and a ratio of each
/// variant, a time of each full); what is called here holds then too. `decided`: more rounds cannot
/// be expected to change it; a PASS that leans to IMPROVED is not (decision.hpp).
struct Progress {
  Verdict verdict = Verdict::ambiguous;
  bool decided = false;
  bool suspected = false;  ///< REGRESSED but for the confirmation: measure again in fresh processes
  std::optional<Estimate> time, ratio;
};
Progress look_at(const GatePoint& point, const GateRules& rules, std::int64_t tests = 1);

}  // namespace deformer
