// `sweep --worker`: serves the worker protocol on stdin and stdout. See
// harness/worker_protocol.hpp.

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>

#include <fmt/format.h>

#include "build_id.hpp"
#include "cli/app.hpp"
#include "cli/measuring_options.hpp"
#include "cli/point_options.hpp"
#include "cli/verbs.hpp"
#include "harness/worker.hpp"
#include "model/error.hpp"

namespace deformer::cli {
namespace {

std::unique_ptr<WorkerPlan> plan_of(const std::vector<std::string>& arguments) {
  PointOptions points;
  MeasuringOptions measuring{"op"};
  App app("sweep", "What a plan request may say.", "deformer-bench sweep --model bert-tiny");
  points.add_to(app);
  measuring.add_to(app, "Seconds a point, at most");
  if (app.read(arguments)) {
    throw BadInput("arguments: expected options that say which points, found --help");
  }
  measuring.check(app);
  auto plan = std::make_unique<WorkerPlan>();
  plan->spec = points.spec(true);
  plan->groups = expand(plan->spec);
  if (!plan->groups.empty()) {
    mark_unavailable(plan->groups);
  }
  plan->options = measuring.sweep(app, plan->spec, plan->groups, "sweep", arguments);
  return plan;
}

}  // namespace

int run_sweep_worker() {
  // A gate that is killed takes its workers with it, and stdout is the protocol's alone: whatever a
  // library prints goes to stderr.
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (output < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    throw BadInput("sweep --worker: expected an open stdout and stderr, found them closed");
  }
  const bool heard =
      serve_worker(STDIN_FILENO, output, {kVersion, kRevision, kBuildId, kBuildFlags}, plan_of);
  close(output);
  if (!heard) {
    throw BadInput("sweep --worker: expected a reader of stdout, found it closed");
  }
  return kDone;
}

}  // namespace deformer::cli
