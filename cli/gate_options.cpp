// What the command lines of the gate's sub-verbs share: rules in, verdict out.

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "cli/gate.hpp"
#include "model/error.hpp"
#include "reports/gate/calibration.hpp"
#include "reports/gate/output.hpp"

namespace deformer::cli {
namespace {

const std::vector<std::string>& gate_formats() {
  static const std::vector<std::string> formats = {"console", "markdown", "json"};
  return formats;
}

[[noreturn]] void fail_write(const std::string& option, const std::string& path) {
  throw BadInput(fmt::format("{}: expected to write {}, found: {}; give a path that can be written",
                             option, path, std::strerror(errno)));
}

/// All of it is written and on its way to the disk, or it throws.
void write_file(const std::string& option, const std::string& path, const std::string& text,
                const char* mode) {
  std::FILE* file = std::fopen(path.c_str(), mode);
  if (file == nullptr) {
    fail_write(option, path);
  }
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const int error = errno;
  if (std::fclose(file) != 0 || !written) {
    errno = written ? errno : error;
    fail_write(option, path);
  }
}

std::string summary_path(const GateOutputOptions& options) {
  if (!options.summary.empty()) {
    return options.summary;
  }
  const char* path = std::getenv("GITHUB_STEP_SUMMARY");
  return path == nullptr ? "" : path;
}

void print_gate_json(const GateResult& result) {
  nlohmann::ordered_json json = {{"type", "gate"}, {"schema", 1}};
  json["rows"] = nlohmann::ordered_json::array();
  for (const PointVerdict& point : result.points) {
    json["rows"].push_back(gate_row_json(point));
  }
  json.update(gate_summary_json(result));
  print_result(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace

double parse_fraction(const std::string& option, const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  std::string unit(rest, end);
  std::erase(unit, ' ');
  const double fraction = unit == "%" ? value / 100 : value;
  if (error != std::errc{} || (!unit.empty() && unit != "%") || !std::isfinite(fraction) ||
      fraction <= 0) {
    throw BadInput(
        fmt::format("{}: expected a share above 0 as 3% or 0.03, found '{}'", option, text));
  }
  return fraction;
}

void add_rule_options(App& app, GateRuleOptions& options) {
  options.threshold_option = app.add_option(
      "--threshold", options.threshold,
      "A slowdown of this much must be caught; the alarm goes off at half of it and beyond");
  app.add_option("--confidence", options.confidence, "Of the interval of each point");
  app.add_option("--metric", options.metric,
                 "What decides beside exact figures, time or the paired ratio to full: both, time, "
                 "ratio, exact")
      ->check(CLI::IsMember({"both", "time", "ratio", "exact"}));
  app.add_option("--min-rounds", options.minimum_rounds,
                 "Rounds of each side below which nothing is decided")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--assumed-noise", options.assumed_noise,
                 "Standard deviation assumed from session to session where base and head were not "
                 "measured side by side");
  app.add_option("--calibration", options.calibration,
                 "File of `gate calibrate`: noise and, without --threshold, thresholds; refused on "
                 "another machine")
      ->type_name("FILE");
  app.add_option("--figure-threshold", options.figure_thresholds,
                 "NAME=SHARE: increase allowed of an exact or counted figure, as binary_bytes=1%");
}

void add_calibration(GateRules& rules, const GateRuleOptions& options,
                     const std::map<std::string, std::string>& machine, const std::string& place) {
  if (!options.calibration.empty()) {
    use_calibration(rules, read_calibration(options.calibration), machine, options.calibration,
                    place);
  }
}

GateRules gate_rules(const GateRuleOptions& options) {
  GateRules rules;
  rules.threshold = parse_fraction("--threshold", options.threshold);
  rules.threshold_given =
      options.threshold_option != nullptr && options.threshold_option->count() > 0;
  rules.confidence = parse_fraction("--confidence", options.confidence);
  if (rules.confidence < 0.5 || rules.confidence > 0.99999) {
    throw BadInput(
        fmt::format("--confidence: expected from 50% to 99.999%, found '{}'", options.confidence));
  }
  if (rules.threshold > 10) {
    throw BadInput(
        fmt::format("--threshold: expected at most 1000%, found '{}'", options.threshold));
  }
  rules.metric = options.metric == "time"    ? GateMetric::time
                 : options.metric == "ratio" ? GateMetric::ratio
                 : options.metric == "exact" ? GateMetric::exact
                                             : GateMetric::both;
  rules.minimum_rounds = options.minimum_rounds;
  rules.assumed_noise_ln = std::log1p(parse_fraction("--assumed-noise", options.assumed_noise));
  for (const std::string& text : split_list(options.figure_thresholds)) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw BadInput(fmt::format(
          "--figure-threshold: expected NAME=SHARE as binary_bytes=1%, found '{}'", text));
    }
    rules.figure_thresholds[text.substr(0, equals)] =
        parse_fraction("--figure-threshold", text.substr(equals + 1));
  }
  return rules;
}

void add_output_options(App& app, GateOutputOptions& options) {
  add_format(app, options.format, gate_formats());
  app.add_option("--summary", options.summary,
                 "Append a Markdown summary to this file; else to $GITHUB_STEP_SUMMARY where set")
      ->type_name("FILE");
  app.add_flag("--annotations", options.annotations,
               "GitHub workflow commands on stderr, one for each point that did not pass");
  app.add_option("--junit", options.junit, "Write JUnit XML to this file")->type_name("FILE");
}

int print_gate(const GateResult& result, const GateOutputOptions& options) {
  if (options.format == "json") {
    print_gate_json(result);
  } else {
    print_tables("gate", {gate_table(result)}, options.format);
  }
  if (const std::string path = summary_path(options); !path.empty()) {
    write_file(options.summary.empty() ? "$GITHUB_STEP_SUMMARY" : "--summary", path,
               gate_summary_markdown(result), "a");
  }
  if (!options.junit.empty()) {
    write_file("--junit", options.junit, gate_junit(result), "w");
  }
  if (options.annotations) {
    fmt::print(stderr, "{}", gate_annotations(result));
  }
  fmt::print(stderr, "deformer-bench: {}\n", gate_line(result));
  return result.exit_code();
}

}  // namespace deformer::cli
