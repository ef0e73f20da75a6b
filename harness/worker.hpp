#pragma once
/// The worker side of the gate: reads requests, measures, answers. See worker_protocol.hpp.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/sweep.hpp"
#include "workloads/sweep_spec.hpp"

namespace deformer {

/// What the options of a `plan` request mean. The groups refer to nothing outside.
struct WorkerPlan {
  SweepSpec spec;
  std::vector<PlannedGroup> groups;
  SweepOptions options;
};

/// Reads options as `sweep` does. @throws BadInput.
using WorkerPlanner =
    std::function<std::unique_ptr<WorkerPlan>(const std::vector<std::string>& arguments)>;

/// Serves until `quit` or the end of `input` (a descriptor). Answers to `output`. Nothing escapes:
/// what goes wrong is an answer. Returns false when an answer could not be written: whoever asked
/// is gone.
bool serve_worker(int input, int output, const BuildInfo& build, const WorkerPlanner& planner);

}  // namespace deformer
