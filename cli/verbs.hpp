#pragma once
/// The verbs of the program: one file each. Every function gets the arguments after the verb and
/// returns an exit code; errors are thrown (BadInput, Unavailable) and turned into codes in main.

#include <string>
#include <vector>

namespace deformer::cli {

/// Exit codes of the interface.
enum ExitCode : int {
  kDone = 0,
  kJudgedBad = 1,    ///< parity failed; gate: REGRESSED or INVALID
  kBadInput = 2,     ///< bad usage or bad input
  kUnavailable = 3,  ///< everything asked for is not to be had here
  kUndecided = 4,    ///< some points failed; a filter left nothing
  kInterrupted = 130,
};

struct Verb {
  const char* name;
  const char* summary;
  int (*run)(const std::vector<std::string>& arguments);
};

int run_sweep_verb(const std::vector<std::string>& arguments);
int run_report_verb(const std::vector<std::string>& arguments);
int run_compare_verb(const std::vector<std::string>& arguments);
int run_gate_verb(const std::vector<std::string>& arguments);  ///< gate.cpp: its sub-verbs
int run_cost_verb(const std::vector<std::string>& arguments);
int run_verify_verb(const std::vector<std::string>& arguments);
int run_profile_verb(const std::vector<std::string>& arguments);
int run_machine_verb(const std::vector<std::string>& arguments);
/// `sweep --worker`, started by `gate measure`.
int run_sweep_worker();
/// PID PERIOD_US: memory of another process, line by line; for `profile` alone.
int run_sample_memory(const std::vector<std::string>& arguments);
int run_paper_verb(const std::vector<std::string>& arguments);
int run_list_verb(const std::vector<std::string>& arguments);

}  // namespace deformer::cli
