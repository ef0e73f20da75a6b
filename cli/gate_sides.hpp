#pragma once
/// What `gate measure` and `gate calibrate` share: options that say what both sides measure, the
/// judge between pairs of processes, and from what was measured to what is judged.

#include <cstdint>
#include <string>
#include <vector>

#include "cli/app.hpp"
#include "cli/point_options.hpp"
#include "harness/gate_measure.hpp"
#include "reports/gate/observations.hpp"
#include "reports/gate/rules.hpp"

namespace deformer::cli {

class GateSideOptions {
 public:
  std::string out;
  double max_time_s = 60;
  bool quiet = false;

  void add_to(App& app);
  /// Checks everything that can be checked before a program is started. The options of the group
  /// "Points" that were given go to both sides as they are. @throws BadInput, Unavailable.
  GateMeasureOptions resolve(const App& app, const std::string& inject,
                             const std::vector<std::string>& verb,
                             const std::vector<std::string>& given);
  /// After resolve(): whether --filter left any.
  bool any_point() const { return points_ > 0; }
  /// After resolve(): most figures the gate can judge, a time and a ratio a point.
  std::int64_t most_figures() const { return 2 * static_cast<std::int64_t>(points_); }

 private:
  PointOptions point_options_;
  std::string parity_ = "on", pin_ = "auto", detail_ = "op";
  double timeout_s_ = 600;
  std::int64_t pairs_ = 0;
  std::size_t points_ = 0;
};

/// Looks at a group as the verdict will, and tells a person at a terminal how far it is.
class GateBench : public GateJudge {
 public:
  /// `figures`: how many the whole gate will judge, at most; every look is as careful as that.
  GateBench(const GateRules& rules, std::int64_t figures, bool quiet);

  GateLook look(const std::vector<nlohmann::ordered_json>& runs,
                const std::vector<nlohmann::ordered_json>& records, int looks) override;
  void step(const std::string& what) override;
  void warning(const std::string& message) override;
  /// Takes the progress line away.
  void clear();

 private:
  GateRules rules_;
  std::int64_t figures_;
  bool quiet_;
  bool terminal_;
  bool visible_ = false;
};

/// Both sides of what was measured.
GateInput gate_input_of(const GateMeasured& measured);

}  // namespace deformer::cli
