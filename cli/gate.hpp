#pragma once
/// The sub-verbs of `gate`: one file each, and what their command lines share.

#include <map>
#include <string>
#include <vector>

#include "cli/app.hpp"
#include "reports/gate/rules.hpp"
#include "reports/gate/verdict.hpp"

namespace deformer::cli {

int run_gate_measure(const std::vector<std::string>& arguments);    ///< gate_measure.cpp
int run_gate_calibrate(const std::vector<std::string>& arguments);  ///< gate_calibrate.cpp
int run_gate_files(const std::vector<std::string>& arguments);      ///< gate_files.cpp
int run_gate_replay(const std::vector<std::string>& arguments);     ///< gate_replay.cpp
int run_gate_history(const std::vector<std::string>& arguments);    ///< gate_history.cpp

/// --threshold --confidence --metric --min-rounds --figure-threshold --calibration, as text;
/// resolve with gate_rules().
struct GateRuleOptions {
  std::string threshold = "3%";
  std::string confidence = "95%";
  std::string metric = "both";
  std::int64_t minimum_rounds = 10;
  std::string assumed_noise = "2%";
  std::vector<std::string> figure_thresholds;
  std::string calibration;  ///< file
  CLI::Option* threshold_option = nullptr;
};
void add_rule_options(App& app, GateRuleOptions& options);
/// @throws BadInput naming the option.
GateRules gate_rules(const GateRuleOptions& options);
/// Noise and thresholds of --calibration into the rules, where it was given. `machine`: deciding
/// fields of what is judged, found at `place`. @throws BadInput naming the fields that differ.
void add_calibration(GateRules& rules, const GateRuleOptions& options,
                     const std::map<std::string, std::string>& machine, const std::string& place);

/// "3%", "3 %", "0.03" as a fraction above 0. @throws BadInput naming the option.
double parse_fraction(const std::string& option, const std::string& text);

/// --format --summary --annotations --junit.
struct GateOutputOptions {
  std::string format;
  std::string summary;  ///< file; else $GITHUB_STEP_SUMMARY where that is set
  std::string junit;    ///< file
  bool annotations = false;
};
void add_output_options(App& app, GateOutputOptions& options);
/// Writes everything asked for; the result on stdout, the log line on stderr. Returns the gate's
/// exit code. @throws BadInput when something cannot be written: a verdict that nobody can read is
/// no verdict.
int print_gate(const GateResult& result, const GateOutputOptions& options);

}  // namespace deformer::cli
