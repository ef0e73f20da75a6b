#pragma once
/// The options that say how points are measured. Shared by `sweep` and `profile`.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cli/app.hpp"
#include "harness/sweep.hpp"

namespace deformer::cli {

class MeasuringOptions {
 public:
  /// `detail`: how far down records tell where the time goes, unless asked otherwise.
  explicit MeasuringOptions(std::string detail) : detail_(std::move(detail)) {}

  void add_to(CLI::App& app, const std::string& max_time_help);
  /// @throws BadInput naming the option whose value makes no sense.
  void check(const CLI::App& app) const;
  /// What a sweep of `groups` is told by them; `given` are the arguments of `verb`.
  /// @throws BadInput for a slowdown that no model of `groups` can be given.
  SweepOptions sweep(const App& app, const SweepSpec& spec, const std::vector<PlannedGroup>& groups,
                     const std::string& verb, const std::vector<std::string>& given) const;

  double max_time_s() const { return max_time_s_; }
  std::int64_t rounds() const { return rounds_; }
  bool quiet() const { return quiet_; }

 private:
  double max_time_s_ = 10;
  std::int64_t rounds_ = 0;
  std::string detail_;
  std::string inject_;
  std::string parity_ = "on";
  std::string pin_ = "auto";
  bool quiet_ = false;
};

/// The exit code of a sweep, its reason told on stderr where it is not kDone; `interrupted` is what
/// is said of one that was.
int outcome(const SweepResult& result, const std::string& interrupted);

}  // namespace deformer::cli
