// `gate measure`: two binaries measured side by side in one job, and judged.

#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "cli/gate.hpp"
#include "cli/gate_sides.hpp"
#include "cli/verbs.hpp"
#include "harness/callgrind_output.hpp"
#include "harness/interrupt.hpp"
#include "harness/shell_word.hpp"
#include "harness/sweep.hpp"
#include "model/error.hpp"

namespace deformer::cli {
namespace {

struct MeasureArguments {
  GateSideOptions sides;
  GateRuleOptions rules;
  GateOutputOptions output;
  std::string base, head;
  std::string inject;
  std::string counted = "off";
  bool aa = false;
};

void add_options(App& app, MeasureArguments& arguments) {
  app.add_option("--base", arguments.base, "The deformer-bench to compare with")
      ->required()
      ->type_name("PROGRAM");
  app.add_option("--head", arguments.head, "The deformer-bench under judgement")
      ->required()
      ->type_name("PROGRAM");
  app.add_flag("--aa", arguments.aa, "Allow twice the same program: what the gate says of noise");
  app.add_option("--inject", arguments.inject,
                 "Fault hook for tests, in head only: op=NAME[,layer=L],slowdown=P%");
  app.add_option("--counted", arguments.counted,
                 "off | counters | callgrind | auto: count the instructions of a forward of each "
                 "point, with one thread, and judge them too: by the processor's counter (a second "
                 "or two), under valgrind (25 s and more; needs no counter), auto by the first of "
                 "the two that works here, else not. Off unless asked for: instructions are not "
                 "time, and which runner got the job must not decide a verdict. At most --max-time "
                 "a point and side")
      ->capture_default_str()
      ->check(CLI::IsMember({"off", "counters", "callgrind", "auto"}));
  arguments.sides.out = "deformer-gate.jsonl";
  arguments.sides.max_time_s = 60;
  arguments.sides.add_to(app);
  add_rule_options(app, arguments.rules);
  add_output_options(app, arguments.output);
}

CountRequest count_request(const MeasureArguments& arguments) {
  const std::map<std::string, CountWish> wishes{{"off", CountWish::off},
                                                {"counters", CountWish::counters},
                                                {"callgrind", CountWish::callgrind},
                                                {"auto", CountWish::automatic}};
  CountRequest request{wishes.at(arguments.counted), find_valgrind().value_or("")};
  if (request.wish == CountWish::callgrind && request.valgrind.empty()) {
    throw Unavailable(
        "--counted callgrind: expected valgrind in the search path, found none; install it "
        "(Debian: valgrind) or leave the option out");
  }
  return request;
}

/// What can be said where a side gave not even a plan.
GateResult judge_failure(const GateFailure& failure, const GateInput& input) {
  using Kind = WorkerFailure::Kind;
  GateResult result;
  const bool no_common_language =
      failure.kind == Kind::old_protocol || (failure.kind == Kind::refused);
  const bool blameless =
      failure.side == Side::base && (failure.kind == Kind::crashed || failure.kind == Kind::hung);
  result.verdict = no_common_language ? Verdict::incomparable
                   : blameless        ? Verdict::missing
                                      : Verdict::invalid;
  result.words =
      fmt::format("nothing was measured: {}, {}, gave no plan: {}", side_name(failure.side),
                  failure.side == Side::base ? input.base.name : input.head.name, failure.message);
  return result;
}

/// What shows a point of a gate again is a gate of that point.
void reproduce_by_gate(GateResult& result, const MeasureArguments& arguments) {
  constexpr std::string_view kSweep = "deformer-bench sweep ";
  std::string gate = fmt::format("deformer-bench gate measure --base {} --head {} ",
                                 shell_word(arguments.base), shell_word(arguments.head));
  gate += arguments.aa ? "--aa " : "";
  gate += arguments.inject.empty() ? "" : fmt::format("--inject {} ", shell_word(arguments.inject));
  for (PointVerdict& point : result.points) {
    if (point.reproduce.starts_with(kSweep)) {
      point.reproduce = gate + point.reproduce.substr(kSweep.size());
    }
  }
}

int finish(const GateMeasured& measured, const MeasureArguments& arguments, GateRules rules,
           const std::string& out) {
  GateInput input = gate_input_of(measured);
  input.identical_allowed = arguments.aa;
  input.base.name = arguments.base;
  input.head.name = arguments.head;
  if (measured.failure) {
    return print_gate(judge_failure(*measured.failure, input), arguments.output);
  }
  rules.confirm = true;
  rules.looks = measured.looks;
  GateResult result = judge(input, rules);
  reproduce_by_gate(result, arguments);
  result.notes.insert(result.notes.end(), measured.notes.begin(), measured.notes.end());
  result.notes.push_back(fmt::format(
      "{} pairs of processes, {} rounds a side, {} discarded on both sides: the machine's "
      "arithmetic rate fell during them; all rounds are in {}",
      measured.pairs, measured.rounds, measured.discarded, out));
  return print_gate(result, arguments.output);
}

}  // namespace

int run_gate_measure(const std::vector<std::string>& given) {
  MeasureArguments arguments;
  App app("gate measure",
          "Measure two builds side by side, processes restarted and interleaved, and judge head.\n"
          "Points are chosen as in `sweep`. Exit code: 0 PASS or IMPROVED, 1 REGRESSED or INVALID, "
          "4 nothing was decided (MISSING, INCOMPARABLE, AMBIGUOUS), 2 bad usage.",
          "deformer-bench gate measure --base old/deformer-bench --head "
          "build/release/deformer-bench --model bert-tiny --task squad --threads 1");
  add_options(app, arguments);
  if (const auto code = app.read(given)) {
    return *code;
  }
  GateRules rules = gate_rules(arguments.rules);
  const auto fields = deciding_fields(this_machine());
  add_calibration(rules, arguments.rules, {fields.begin(), fields.end()}, "here");
  GateMeasureOptions options =
      arguments.sides.resolve(app, arguments.inject, {"gate", "measure"}, given);
  if (!arguments.sides.any_point()) {
    fmt::print(stderr, "deformer-bench: the filter left no point to measure\n");
    return kUndecided;
  }
  options.setting.base = arguments.base;
  options.setting.head = arguments.head;
  options.identical_allowed = arguments.aa;
  options.count = count_request(arguments);
  catch_interrupts();
  GateBench bench(rules, arguments.sides.most_figures(), arguments.sides.quiet);
  const GateMeasured measured = measure_gate(options, bench);
  bench.clear();
  if (measured.interrupted) {
    fmt::print(stderr, "deformer-bench: interrupted; what was measured is in {}\n",
               options.out.string());
    return kInterrupted;
  }
  return finish(measured, arguments, rules, options.out.string());
}

}  // namespace deformer::cli
