#pragma once
/// `paper --run`: measures what the paper's tables need and the machine can do in the time given.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace deformer::cli {

struct PaperRun {
  std::string out = "paper.jsonl";
  std::string budget = "10m";
  int threads = 0;  ///< 1 to 1024; 0: the cores this process may use
  bool quiet = false;
};

/// In the order of what readers look for first: bert-base squad at the paper's split, figure 4a,
/// the other tasks, xlnet-base, bert-large, table 4's batch. Each gets the time that is left,
/// divided among those still to come; what does not fit is named on stderr. Resumes like a sweep.
/// Returns an exit code; one that is not 0 has left its reason on stderr.
int measure_paper(const PaperRun& run, const std::vector<std::string>& command,
                  const nlohmann::ordered_json& options);

}  // namespace deformer::cli
