#include "cli/paper_run.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "build_id.hpp"
#include "cli/app.hpp"
#include "cli/progress.hpp"
#include "cli/verbs.hpp"
#include "harness/interrupt.hpp"
#include "harness/record.hpp"
#include "harness/sweep.hpp"
#include "model/error.hpp"
#include "profilers/clock.hpp"
#include "profilers/machine.hpp"
#include "workloads/axis.hpp"

namespace deformer::cli {
namespace {

/// One sweep of the paper's points.
struct PaperPart {
  const char* model;
  std::vector<std::string> tasks;
  std::vector<std::int64_t> splits;
  std::int64_t batch;
  std::vector<Variant> variants;
};

std::vector<std::int64_t> range(std::int64_t first, std::int64_t last) {
  std::vector<std::int64_t> values;
  for (std::int64_t value = first; value <= last; ++value) {
    values.push_back(value);
  }
  return values;
}

std::vector<PaperPart> paper_parts() {
  const std::vector<Variant> all = {Variant::full, Variant::decomposed, Variant::cached};
  const std::vector<Variant> pair = {Variant::full, Variant::cached};
  return {{"bert-base", {"squad"}, {9}, 1, all},
          {"bert-base", {"squad"}, range(1, 11), 1, pair},
          {"bert-base", {"boolq", "mnli", "qqp"}, {9}, 1, pair},
          {"bert-base", {"race"}, {9}, 1, all},
          {"xlnet-base", {"squad", "boolq"}, {8}, 1, pair},
          {"xlnet-base", {"race"}, {8}, 1, pair},
          {"bert-large", {"squad"}, {20}, 1, pair},
          {"bert-large", {"squad"}, range(13, 23), 1, pair},
          {"bert-base", {"squad"}, {9}, 32, pair}};
}

/// A forward of the slowest machine we know of lies above this a thread.
constexpr double kSlowFlopsPerThread = 20e9;
/// The reference computes in float64: so many times a forward of full for its parity check.
constexpr double kParityForwards = 6;

/// Seconds that the fewest rounds of these groups take, with preparing and checking them.
double fewest_seconds(const std::vector<PlannedGroup>& groups) {
  double seconds = 0;
  for (const PlannedGroup& group : groups) {
    double full = 0;
    double sum = 0;
    for (const PlannedPoint& planned : group.points) {
      if (planned.skip != Skip::no) {
        continue;
      }
      const double flops = cost_json(group.config, planned.point).at("flops").get<double>();
      const double forward = flops / (kSlowFlopsPerThread * planned.point.threads);
      sum += forward * (1 + kParityForwards / 10);
      full = std::max(full, forward);
    }
    seconds += 10 * (sum + full);
  }
  return seconds;
}

SweepSpec spec_of(const PaperPart& part, int threads) {
  SweepSpec spec;
  spec.models.push_back(resolve_model(part.model));
  spec.tasks = part.tasks;
  spec.splits = part.splits;
  spec.batches = {part.batch};
  spec.variants = part.variants;
  spec.default_threads = threads;
  return spec;
}

std::string describe(const PaperPart& part) {
  return fmt::format("{} {} k={} batch {}", part.model, fmt::join(part.tasks, ","),
                     fmt::join(part.splits, ","), part.batch);
}

/// The exit code, with a line on stderr that says why it is not 0.
int verdict(std::size_t invalid, std::size_t failed, bool stopped, const PaperRun& run) {
  const auto fail = [](int code, const std::string& message) {
    fmt::print(stderr, "deformer-bench: {}\n", message);
    return code;
  };
  if (stopped) {
    return fail(kInterrupted, fmt::format("interrupted; what was measured is in {}; the same "
                                          "command goes on where it stopped",
                                          run.out));
  }
  if (invalid > 0) {
    return fail(kJudgedBad,
                fmt::format("{} points failed parity; their records are in {}", invalid, run.out));
  }
  if (failed > 0) {
    return fail(kUndecided,
                fmt::format("{} points failed; their records in {} say why", failed, run.out));
  }
  return kDone;
}

}  // namespace

int measure_paper(const PaperRun& run, const std::vector<std::string>& command,
                  const nlohmann::ordered_json& options) {
  const double budget_s = parse_seconds("--budget", run.budget);
  const int threads = run.threads > 0 ? run.threads : default_threads();
  const std::int64_t started_ns = now_ns();
  const auto left_s = [&] { return budget_s - static_cast<double>(now_ns() - started_ns) * 1e-9; };
  catch_interrupts();
  std::vector<PaperPart> parts = paper_parts();
  std::size_t invalid = 0;
  std::size_t failed = 0;
  for (std::size_t i = 0; i < parts.size() && !interrupted(); ++i) {
    const SweepSpec spec = spec_of(parts[i], threads);
    std::vector<PlannedGroup> groups = expand(spec);
    try {
      mark_unavailable(groups);
    } catch (const Unavailable& error) {  // the other parts of the paper may fit
      if (!run.quiet) {
        warn(fmt::format("{}: not measured: {}", describe(parts[i]), error.what()));
      }
      continue;
    }
    const double fewest = fewest_seconds(groups);
    if (fewest > left_s()) {
      if (!run.quiet) {
        warn(fmt::format("{}: not measured: needs about {:.0f} s, {:.0f} s of the budget are left",
                         describe(parts[i]), fewest, std::max(0.0, left_s())));
      }
      continue;
    }
    std::size_t points = 0;
    for (const PlannedGroup& group : groups) {
      points += group.points.size();
    }
    const double share_s = left_s() / static_cast<double>(parts.size() - i);
    SweepOptions sweep;
    sweep.out = run.out;
    sweep.measure = {.max_time_s = std::clamp(share_s / static_cast<double>(points), 0.5, 10.0),
                     .rounds = 0,
                     .seed = spec.seed};
    sweep.command = {"deformer-bench", "paper"};
    sweep.command.insert(sweep.command.end(), command.begin(), command.end());
    sweep.resolved_options = options;
    sweep.build = {kVersion, kRevision, kBuildId, kBuildFlags};
    BenchmarkDriver driver({});
    Progress progress(run.quiet);
    const SweepResult result = run_sweep(spec, groups, sweep, driver, progress);
    invalid += result.invalid;
    failed += result.failed;
    if (result.interrupted) {
      return verdict(invalid, failed, true, run);
    }
  }
  return verdict(invalid, failed, interrupted(), run);
}

}  // namespace deformer::cli
