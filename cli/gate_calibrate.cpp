// `gate calibrate`: A/A pairs on this machine, and what they say of its noise.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "cli/gate.hpp"
#include "cli/gate_sides.hpp"
#include "cli/verbs.hpp"
#include "harness/interrupt.hpp"
#include "model/error.hpp"
#include "profilers/clock.hpp"
#include "reports/gate/calibration.hpp"

namespace deformer::cli {
namespace {

struct CalibrateArguments {
  GateSideOptions sides;
  GateRuleOptions rules;
  std::string program;
  std::string to = "deformer-gate-calibration.json";
  std::string format;
  std::int64_t pairs_a_gate = 10;
  std::int64_t gates = 2000;
};

void add_options(App& app, CalibrateArguments& arguments) {
  app.add_option("--program", arguments.program,
                 "The deformer-bench that stands on both sides (default: this one)");
  app.add_option("--to", arguments.to, "File that the calibration is written to, replacing it")
      ->capture_default_str()
      ->type_name("FILE");
  app.add_option("--pairs-a-gate", arguments.pairs_a_gate,
                 "Pairs of processes of the gates that thresholds are for")
      ->check(CLI::Range(2, 100'000));
  app.add_option("--gates", arguments.gates, "Gates drawn to count false alarms")
      ->check(CLI::Range(100, 10'000'000));
  arguments.sides.out = "deformer-gate-aa.jsonl";
  arguments.sides.max_time_s = 60;
  arguments.sides.add_to(app);
  add_rule_options(app, arguments.rules);
  add_format(app, arguments.format, table_formats());
}

/// Never decides: all the time there is goes into pairs.
class Recorder : public GateBench {
 public:
  using GateBench::GateBench;
  GateLook look(const std::vector<nlohmann::ordered_json>&,
                const std::vector<nlohmann::ordered_json>&, int) override {
    return {};
  }
};

/// Whole or not at all.
void write_whole(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".part";
  {
    std::ofstream file(temporary, std::ios::binary);
    file << text;
    file.flush();
    if (!file) {
      throw BadInput(fmt::format("--to: expected to write {}, found it can't be", temporary));
    }
  }
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) {
    throw BadInput(fmt::format("--to: expected to write {}, found: {}", path, error.message()));
  }
}

}  // namespace

int run_gate_calibrate(const std::vector<std::string>& given) {
  CalibrateArguments arguments;
  App app("gate calibrate",
          "Measure this program against itself on this machine: noise floor, smallest slowdown "
          "that a gate can see, false-alarm rate, point by point. For `gate measure --calibration` "
          "and `gate files --calibration`. Points are chosen as in `sweep`.",
          "deformer-bench gate calibrate --model bert-tiny --task squad --threads 1");
  add_options(app, arguments);
  if (const auto code = app.read(given)) {
    return *code;
  }
  const GateRules rules = gate_rules(arguments.rules);
  GateMeasureOptions options = arguments.sides.resolve(app, "", {"gate", "calibrate"}, given);
  if (!arguments.sides.any_point()) {
    fmt::print(stderr, "deformer-bench: the filter left no point to measure\n");
    return kUndecided;
  }
  options.setting.base = options.setting.head =
      arguments.program.empty() ? std::filesystem::canonical("/proc/self/exe").string()
                                : arguments.program;
  options.identical_allowed = true;
  catch_interrupts();
  Recorder recorder(rules, arguments.sides.most_figures(), arguments.sides.quiet);
  const std::int64_t begin_ns = now_ns();
  const GateMeasured measured = measure_gate(options, recorder);
  const double took_s = static_cast<double>(now_ns() - begin_ns) * 1e-9;
  recorder.clear();
  if (measured.interrupted) {
    fmt::print(stderr, "deformer-bench: interrupted; what was measured is in {}\n",
               options.out.string());
    return kInterrupted;
  }
  if (measured.failure) {
    fmt::print(stderr, "deformer-bench: nothing was measured: {}\n", measured.failure->message);
    return kUndecided;
  }
  const GateInput input = gate_input_of(measured);
  for (const GatePoint& point : input.points) {
    if (point.base.status == "invalid" || point.head.status == "invalid") {
      fmt::print(stderr, "deformer-bench: {}: {}{}\n", point.name, point.base.reason,
                 point.head.reason);
      return kJudgedBad;
    }
  }
  const GateCalibration calibration =
      calibrate(input, rules, arguments.pairs_a_gate, arguments.gates);
  write_whole(arguments.to, calibration_json(calibration).dump(1) + "\n");
  Table table = calibration_table(calibration);
  const auto pairs = static_cast<double>(std::max<std::int64_t>(1, measured.pairs));
  table.notes.push_back(fmt::format(
      "a pair took {:.2g} s: a gate of {} takes about {:.0f} s a shape (all variants of it) here",
      took_s / pairs, arguments.pairs_a_gate,
      took_s / pairs * static_cast<double>(arguments.pairs_a_gate)));
  print_tables("gate", {table}, arguments.format);
  return kDone;
}

}  // namespace deformer::cli
