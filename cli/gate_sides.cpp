#include "cli/gate_sides.hpp"

#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "harness/sweep.hpp"
#include "model/error.hpp"
#include "model/injection.hpp"
#include "records/run_file.hpp"
#include "reports/gate/load.hpp"
#include "reports/gate/verdict.hpp"

namespace deformer::cli {
namespace {

/// The options of the points, as they were given here or by a file or the environment, for both
/// sides.
std::vector<std::string> arguments_of_points(const App& app) {
  std::vector<std::string> arguments;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group() == "Points" && option->count() > 0) {
      arguments.push_back("--" + option->get_lnames().front());
      arguments.push_back(fmt::format("{}", fmt::join(option->results(), ",")));
    }
  }
  return arguments;
}

void check_seconds(const char* option, double value) {
  if (!std::isfinite(value) || value <= 0 || value > 1e7) {
    throw BadInput(
        fmt::format("{}: expected seconds above 0 and below 1e7, found {}", option, value));
  }
}

GateInput input_of(const std::vector<nlohmann::ordered_json>& runs,
                   const std::vector<nlohmann::ordered_json>& records,
                   const std::vector<nlohmann::ordered_json>& ends) {
  RunFile file;
  file.path = "this gate";
  file.runs = runs;
  file.records = records;
  file.ends = ends;
  return gate_input(file, file, "", [](const std::string&) {});
}

}  // namespace

void GateSideOptions::add_to(App& app) {
  point_options_.add_to(app);
  app.add_option("--out,-o", out, "Run file that all rounds are appended to")
      ->capture_default_str()
      ->type_name("FILE");
  app.add_option("--max-time", max_time_s,
                 "Seconds a point, at most, with what starting processes takes; a suspicion is "
                 "followed for half as long again")
      ->capture_default_str();
  app.add_option("--pairs", pairs_,
                 "Fixed number of pairs of processes (default: until decided, at most --max-time)");
  app.add_option("--parity", parity_, "on | off: check every point against the reference once")
      ->check(CLI::IsMember({"on", "off"}));
  app.add_option("--pin", pin_,
                 "auto | off: bind each thread to a processor where there is one for each")
      ->check(CLI::IsMember({"auto", "off"}));
  app.add_option("--detail", detail_,
                 "phase | layer | op: how far down a change is traced to where it comes from")
      ->check(CLI::IsMember({"phase", "layer", "op"}));
  app.add_option("--timeout", timeout_s_, "Seconds that a program may be silent, at most")
      ->capture_default_str();
  app.add_flag("--quiet", quiet, "Nothing on stderr but errors and the verdict");
}

GateMeasureOptions GateSideOptions::resolve(const App& app, const std::string& inject,
                                            const std::vector<std::string>& verb,
                                            const std::vector<std::string>& given) {
  check_seconds("--max-time", max_time_s);
  check_seconds("--timeout", timeout_s_);
  if (app.count("--pairs") > 0 && (pairs_ < 1 || pairs_ > 100'000)) {
    throw BadInput(fmt::format("--pairs: expected 1 to 100000, found {}", pairs_));
  }
  const SweepSpec spec = point_options_.spec(true);
  std::vector<PlannedGroup> groups = expand(spec);
  for (const PlannedGroup& group : groups) {
    points_ += group.points.size();
    if (!inject.empty()) {
      check_injection(parse_injection(inject), group.config);
    }
  }
  if (!groups.empty()) {
    mark_unavailable(groups);
  }
  GateMeasureOptions options;
  options.setting.arguments = arguments_of_points(app);
  const std::vector<std::string> how{"--pin", pin_, "--detail", inject.empty() ? detail_ : "op"};
  options.setting.arguments.insert(options.setting.arguments.end(), how.begin(), how.end());
  options.setting.inject = inject;
  options.setting.parity = parity_ == "on";
  options.setting.timeouts.answer_s = timeout_s_;
  options.max_time_s = max_time_s;
  options.pairs = pairs_;
  options.out = out;
  options.command = {"deformer-bench"};
  options.command.insert(options.command.end(), verb.begin(), verb.end());
  options.command.insert(options.command.end(), given.begin(), given.end());
  options.options = app.resolved();
  return options;
}

GateBench::GateBench(const GateRules& rules, std::int64_t figures, bool quiet)
    : rules_(rules), figures_(figures), quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {
  rules_.confirm = true;
}

GateLook GateBench::look(const std::vector<nlohmann::ordered_json>& runs,
                         const std::vector<nlohmann::ordered_json>& records, int looks) {
  rules_.looks = looks;
  const GateInput input = input_of(runs, records, {});
  GateLook result{.decided = true, .suspected = false};
  for (const GatePoint& point : input.points) {
    const deformer::Progress progress = look_at(point, rules_, figures_);
    result.decided = result.decided && progress.decided;
    result.suspected = result.suspected || progress.suspected;
  }
  result.decided = result.decided && !input.points.empty();
  return result;
}

void GateBench::step(const std::string& what) {
  if (terminal_ && !quiet_) {
    clear();
    fmt::print(stderr, "{:.100}", what);
    std::fflush(stderr);
    visible_ = true;
  }
}

void GateBench::warning(const std::string& message) {
  clear();
  if (!quiet_) {
    warn(message);
  }
}

void GateBench::clear() {
  if (visible_) {
    fmt::print(stderr, "\r\x1b[K");
    visible_ = false;
  }
}

GateInput gate_input_of(const GateMeasured& measured) {
  return input_of(measured.runs, measured.records, measured.ends);
}

}  // namespace deformer::cli
