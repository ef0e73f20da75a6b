// `gate replay`: recorded rounds judged again, thousands of times, under any rule.

#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "cli/gate.hpp"
#include "cli/verbs.hpp"
#include "model/error.hpp"
#include "records/run_file.hpp"
#include "reports/gate/load.hpp"
#include "reports/gate/replay.hpp"

namespace deformer::cli {
namespace {

/// All files as one.
RunFile read_together(const std::vector<std::string>& paths) {
  RunFile all;
  for (const std::string& path : paths) {
    RunFile file = read_run_file(path);
    if (!file.torn_tail.empty()) {
      warn(file.torn_tail);
    }
    all.path = all.path.empty() ? file.path : all.path;
    const auto move_to = [](auto& from, auto& to) {
      to.insert(to.end(), std::make_move_iterator(from.begin()),
                std::make_move_iterator(from.end()));
    };
    move_to(file.runs, all.runs);
    move_to(file.records, all.records);
    move_to(file.ends, all.ends);
  }
  return all;
}

/// "3%", "-5%", "0": a change of head.
double parse_injection_share(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const std::string unit(rest, end);
  const double share = unit == "%" ? value / 100 : value;
  if (error != std::errc{} || (!unit.empty() && unit != "%") || !std::isfinite(share) ||
      share <= -1 || share > 100) {
    throw BadInput(fmt::format(
        "--inject: expected changes of head as 3%, -5% or 0, above -100%, found '{}'", text));
  }
  return share;
}

void add_notes(Table& table, const Replay& replay) {
  table.notes.push_back(fmt::format(
      "{} points, {} pairs of processes recorded of each; gates share them, so the bounds speak of "
      "this record",
      replay.points(), replay.pairs()));
  table.notes.emplace_back(replay.exchanged()
                               ? "the same build on both sides: sides exchanged at random"
                               : "different builds: without injection alarms may be true");
  if (!replay.side_by_side()) {
    table.notes.emplace_back(
        "not measured side by side: pairs are made of processes drawn at random");
  }
}

}  // namespace

int run_gate_replay(const std::vector<std::string>& arguments) {
  App app(
      "gate replay",
      "Gates drawn at random from recorded rounds and judged: false-alarm rate, share of planted "
      "slowdowns detected, beside Google Benchmark's U test and fixed thresholds. No machine "
      "time is spent.",
      "deformer-bench gate replay gate.jsonl --gates 10000 --inject 0,3%,5%");
  std::vector<std::string> paths;
  std::string filter;
  std::vector<std::string> inject = {"0"};
  std::string format;
  ReplayPlan plan;
  plan.processes = 0;
  plan.fresh = -1;
  GateRuleOptions rule_options;
  app.add_option("FILE", paths, "Run files: of `gate measure`, or of several sweeps")->required();
  app.add_option("--filter", filter, "Regular expression on names: draw only these points");
  app.add_option("--gates", plan.gates, "Gates to draw, of each injection")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option(
         "--processes", plan.processes,
         "Pairs of processes a gate, at most; 0: two thirds of what is recorded, at most 40")
      ->check(CLI::Range(0, 100'000));
  app.add_option("--confirm", plan.fresh,
                 "Further pairs that confirm a suspicion, at most; 0: call it at once; -1: half as "
                 "many again")
      ->check(CLI::Range(-1, 100'000));
  app.add_option(
         "--first-look", plan.first_look,
         "Pairs after which a gate may be decided already, as `gate measure` does; 0: judged "
         "once, when all are there")
      ->check(CLI::Range(0, 100'000));
  app.add_option("--rounds", plan.rounds, "Rounds of each process, the first so many; 0: all")
      ->check(CLI::Range(0, 1'000'000));
  app.add_option("--inject", inject,
                 "Changes planted in head at one random point of each gate, as 0,3%,-5% "
                 "(default: 0)");
  app.add_option("--seed", plan.seed, "Of the drawing");
  add_rule_options(app, rule_options);
  add_format(app, format, table_formats());
  if (const auto code = app.read(arguments)) {
    return *code;
  }
  const GateRules rules = gate_rules(rule_options);
  std::vector<double> shares;
  for (const std::string& text : split_list(inject)) {
    shares.push_back(parse_injection_share(text));
  }
  const RunFile recorded = read_together(paths);
  const Replay replay(gate_input(recorded, recorded, filter, warn));
  if (plan.processes == 0) {
    plan.processes = std::clamp<std::int64_t>(replay.pairs() * 2 / 3, 1, 40);
  }
  if (plan.fresh < 0) {
    plan.fresh = std::min(replay.pairs() - plan.processes, (plan.processes + 1) / 2);
  }
  std::vector<ReplayOutcome> outcomes;
  for (const double share : shares) {
    plan.inject = share;
    outcomes.push_back(replay.run(plan, rules));
  }
  Table table = replay_table(outcomes);
  table.notes.push_back(
      fmt::format("at most {} pairs a gate, and {} to confirm", plan.processes, plan.fresh));
  add_notes(table, replay);
  print_tables("gate", {table}, format);
  return kDone;
}

}  // namespace deformer::cli
