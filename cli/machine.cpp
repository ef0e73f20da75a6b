// `machine`: the fingerprint and the measured roofs.

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "build_id.hpp"
#include "cli/app.hpp"
#include "cli/progress.hpp"
#include "cli/verbs.hpp"
#include "harness/interrupt.hpp"
#include "harness/run_roofs.hpp"
#include "harness/sweep.hpp"
#include "reports/machine.hpp"
#include "workloads/axis.hpp"

namespace deformer::cli {
namespace {

using nlohmann::ordered_json;

struct MachineArguments {
  std::string threads;
  bool fresh = false, quiet = false;
  std::string format;
};

TeamRoofs roofs_of(const Machine& machine, int threads, bool fresh, Progress& progress) {
  return team_roofs(
      machine, kBuildId, threads, fresh,
      [&progress](const std::string& text) { progress.warning(text); },
      [&progress](const std::string& what) { progress.step(what, 0, 0); });
}

ordered_json fingerprint(const Machine& machine) {
  ordered_json json = machine_json(machine);
  json["flags"] = kBuildFlags;
  json["build"] = kBuildId;
  return json;
}

ordered_json team_row(const TeamRoofs& team) {
  ordered_json row{
      {"kind", "roofs"},
      {"origin", team.saved.empty() ? "measured" : "store"},
      {"saved", team.saved.empty() ? ordered_json(nullptr) : ordered_json(team.saved)}};
  row.update(to_json(team.roofs));
  return row;
}

void print(const ordered_json& machine, const std::vector<TeamRoofs>& teams,
           const std::string& format) {
  if (format == "json") {
    ordered_json first{{"kind", "machine"}};
    first.update(machine);
    std::vector<ordered_json> rows{std::move(first)};
    for (const TeamRoofs& team : teams) {
      rows.push_back(team_row(team));
    }
    print_json("machine", rows);
    return;
  }
  std::vector<Table> tables{fingerprint_table(machine)};
  for (const TeamRoofs& team : teams) {
    const std::string origin = fmt::format(
        "{}, {} rounds", team.saved.empty() ? "measured now" : "from the store, of " + team.saved,
        team.roofs.rounds);
    std::ranges::move(roofs_tables(team.roofs, origin), std::back_inserter(tables));
  }
  print_tables("machine", tables, format);
}

}  // namespace

int run_machine_verb(const std::vector<std::string>& arguments) {
  MachineArguments options;
  App app(
      "machine",
      "Fingerprint and measured roofs: arithmetic peak by dtype, best GEMM of every library, "
      "bandwidth of caches and memory, cost of a thread team. Takes some seconds; the roofs are "
      "remembered for this machine and build, and sweeps put them beside what they measure.",
      "deformer-bench machine");
  app.add_option("--threads", options.threads,
                 "AXIS: thread teams to measure (default: one thread a core)");
  app.add_flag("--fresh", options.fresh, "Measure again what is remembered");
  app.add_flag("--quiet", options.quiet, "Nothing on stderr but errors");
  add_format(app, options.format, {"console", "markdown", "json"});
  if (const auto code = app.read(arguments)) {
    return *code;
  }
  constexpr std::int64_t kMostThreads = 4096;
  const Machine machine = this_machine();
  std::vector<std::int64_t> counts{default_threads(machine)};
  if (!options.threads.empty()) {
    counts = parse_axis("--threads", options.threads, 1, kMostThreads);
  }
  catch_interrupts();
  std::vector<TeamRoofs> teams;
  {
    Progress progress(options.quiet);
    for (const std::int64_t threads : counts) {
      teams.push_back(roofs_of(machine, static_cast<int>(threads), options.fresh, progress));
    }
  }
  if (interrupted()) {
    fmt::print(stderr, "deformer-bench: interrupted: roofs that were not finished are not kept\n");
    return kInterrupted;
  }
  print(fingerprint(machine), teams, options.format);
  return kDone;
}

}  // namespace deformer::cli
