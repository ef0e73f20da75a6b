#include "reports/waterfall.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "reports/fields.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

std::string place(const std::string& set, const std::string& key) {
  return set + "/" + key;
}

Cell signed_time(double ns) {
  return Cell::number(ns, fmt::format("{}{}", ns < 0 ? '-' : '+', human_time(std::abs(ns))));
}

}  // namespace

std::vector<WaterfallReport::Step> WaterfallReport::stored_steps(const Json& record) {
  std::vector<Step> steps;
  for (const Json& row : array_field(record, "waterfall.steps")) {
    const auto ns = number_field(row, "ns");
    const auto ratio = number_field(row, "ratio");
    if (ns && ratio) {
      steps.push_back({text_field(row, "step").value_or("?"), text_field(row, "what").value_or(""),
                       *ns, *ratio});
    }
  }
  return steps;
}

void WaterfallReport::add_phases(const Json& record, Measured& measured) {
  for (const Json& row : array_field(record, "phases")) {
    const std::string name = text_field(row, "name").value_or("");
    const double ns = number_field(row, "median_ns").value_or(0);
    if (name.starts_with("encode(")) {
      measured.encode_ns += ns;
      measured.encode_flops += number_field(row, "flops").value_or(0);
    } else {
      (name.starts_with("load(") ? measured.load_ns : measured.other_ns) += ns;
    }
  }
}

void WaterfallReport::add(const Json& record) {
  const auto time = positive_field(record, "time.median");
  const auto flops = positive_field(record, "cost.flops");
  if (text_field(record, "status") != "ok" || !time || !flops) {
    return;
  }
  Measured measured;
  measured.name = text_field(record, "name").value_or("?");
  measured.injected = text_field(record, "injected").value_or("");
  measured.time_ns = *time;
  measured.flops = *flops;
  add_phases(record, measured);
  if (const auto ratio = positive_field(record, "speedup.median")) {
    measured.ratio = *ratio;
    measured.versus = place(text_field(record, "speedup.versus.set").value_or(""),
                            text_field(record, "speedup.versus.key").value_or(""));
    measured.steps = stored_steps(record);
    measured.remainder_fraction = number_field(record, "waterfall.remainder_fraction").value_or(0);
    speedups_.push_back(std::move(measured));
  } else {
    measured_[place(text_field(record, "set").value_or(""),
                    text_field(record, "key").value_or(""))] = std::move(measured);
  }
}

std::vector<WaterfallReport::Step> WaterfallReport::from_phases(const Measured& full,
                                                                const Measured& variant) {
  const double share = variant.flops / full.flops;
  double sum_ns = full.time_ns * share;
  std::vector<Step> steps{{"FLOP ratio", "what arithmetic alone promises, at full's own rate", 0,
                           full.time_ns / sum_ns}};
  const auto add = [&](const char* step, const char* what, double ns) {
    sum_ns += ns;
    steps.push_back({step, what, ns, full.time_ns / sum_ns});
  };
  add("layers", "encode phases of the rounds, less full's for as many FLOPs",
      variant.encode_ns - full.encode_ns * variant.encode_flops / full.encode_flops);
  add("load", "load phase of the rounds", variant.load_ns);
  add("fixed cost", "other phases of the rounds, less full's share",
      variant.other_ns - full.other_ns * share);
  add("remainder", "what the phases do not explain", full.time_ns / variant.ratio - sum_ns);
  steps.push_back({"measured ratio", "of the rounds", 0, variant.ratio});
  return steps;
}

Table WaterfallReport::table_of(const Measured& measured, const std::vector<Step>& steps,
                                bool by_phases) {
  Table table;
  table.title = measured.name + ": from the FLOP ratio to the measured one";
  table.columns = {
      {"step", "step", "", "What is taken off", true},
      {"ns", "time", "ns", "Added to what the FLOP ratio promises", false, Hint::duration},
      {"ratio", "ratio", "x", "What is left", false, Hint::ratio},
      {"what", "measured as", "", "By what measurement", true}};
  for (const Step& step : steps) {
    table.rows.push_back({step.step, step.ns != 0 ? signed_time(step.ns) : Cell(),
                          Cell::number(step.ratio), step.what});
  }
  const auto own = std::ranges::find(steps, "remainder", &Step::step);
  const double remainder =
      by_phases && own != steps.end() ? own->ns / measured.time_ns : measured.remainder_fraction;
  table.notes.push_back(fmt::format(
      "remainder: {:+.1f} % of the variant's time{}", 100 * remainder,
      by_phases ? "; small products and weight bandwidth are told apart by `profile`" : ""));
  if (!measured.injected.empty()) {
    table.notes.push_back("NOT A MEASUREMENT: a slowdown was planted, --inject " +
                          measured.injected);
  }
  return table;
}

std::vector<Table> WaterfallReport::tables(bool one) const {
  std::vector<Table> tables;
  std::size_t unclear = 0;
  for (const Measured& speedup : speedups_) {
    const auto full = measured_.find(speedup.versus);
    const bool stored = !speedup.steps.empty();
    if (!stored &&
        (full == measured_.end() || full->second.encode_flops <= 0 || speedup.encode_ns <= 0)) {
      ++unclear;
      continue;
    }
    Table table =
        table_of(speedup, stored ? speedup.steps : from_phases(full->second, speedup), !stored);
    if (one) {
      for (std::vector<Cell>& row : table.rows) {
        row.insert(row.begin(), speedup.name);
      }
      table.columns.insert(table.columns.begin(), {"name", "point", "", "Name of the point", true});
    }
    if (one && !tables.empty()) {
      tables.front().rows.insert(tables.front().rows.end(), table.rows.begin(), table.rows.end());
    } else {
      tables.push_back(std::move(table));
    }
  }
  if (tables.empty()) {
    tables.emplace_back().title = "From the FLOP ratio to the measured one";
    tables.back().columns = {{"step", "step", "", "What is taken off", true}};
    tables.back().notes.emplace_back("no speedup among these records");
  }
  if (unclear > 0) {
    tables.back().notes.push_back(
        fmt::format("{} speedups are left out: their records, or those of their full, tell no "
                    "phases or are not here",
                    unclear));
  }
  return tables;
}

}  // namespace deformer
