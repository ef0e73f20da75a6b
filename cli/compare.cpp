// `compare`: two run files side by side, paired by key.

#include <algorithm>

#include <fmt/format.h>

#include "cli/app.hpp"
#include "cli/verbs.hpp"
#include "records/run_file.hpp"
#include "reports/attribution.hpp"
#include "reports/compare.hpp"

namespace deformer::cli {
namespace {

RunFile read_with_warning(const std::string& path) {
  RunFile file = read_run_file(path);
  if (!file.torn_tail.empty()) {
    warn(file.torn_tail);
  }
  return file;
}

void warn_of_machines(const RunFile& a, const RunFile& b) {
  if (a.runs.empty() || b.runs.empty()) {
    return;
  }
  const std::string differences =
      describe_differences(deciding_of_run(a.runs.back()), deciding_of_run(b.runs.back()));
  if (!differences.empty()) {
    warn(fmt::format("the machines differ, so absolute times do not compare: {}", differences));
  }
}

}  // namespace

int run_compare_verb(const std::vector<std::string>& arguments) {
  App app("compare", "Two run files side by side: paired by key, ratio B/A with a 95 % interval.",
          "deformer-bench compare before.jsonl after.jsonl");
  std::string path_a;
  std::string path_b;
  std::string format;
  app.add_option("A", path_a, "Run file, the base")->required();
  app.add_option("B", path_b, "Run file, compared with it")->required();
  CompareOptions options;
  bool standalone = false;
  app.add_flag("--unpaired", options.unpaired,
               "Ratio of the medians even where rounds of one set could be compared one by one");
  app.add_flag("--phases", options.phases, "A row for each phase under its point");
  app.add_flag("--standalone", standalone, "latex: a document that compiles by itself");
  add_format(app, format, table_formats());
  if (const auto code = app.read(arguments)) {
    return *code;
  }
  const RunFile a = read_with_warning(path_a);
  const RunFile b = read_with_warning(path_b);
  warn_of_machines(a, b);
  const auto records_a = merged_records({a}, true);
  const auto records_b = merged_records({b}, true);
  const std::vector<Comparison> rows = compare_records(records_a, records_b, options);
  const std::vector<NamedAttribution> attributions = attribute_records(records_a, records_b);
  if (format == "json") {
    std::vector<nlohmann::ordered_json> json;
    for (const Comparison& row : rows) {
      json.push_back(comparison_json(row));
      const auto found = std::ranges::find(attributions, row.key, &NamedAttribution::key);
      json.back()["attribution"] = found == attributions.end()
                                       ? nlohmann::ordered_json(nullptr)
                                       : attribution_json(found->attribution);
    }
    print_json("compare", json);
  } else {
    constexpr std::size_t kMostRanges = 3;
    options.mean = format != "csv";  // a script would take it for a point
    std::vector<Table> tables = {comparison_table(rows, options)};
    if (!a.runs.empty() && !b.runs.empty()) {
      for (const std::string& line : fingerprint_differences(a.runs.back(), b.runs.back())) {
        tables.front().notes.push_back("differs: " + line);
      }
    }
    // A csv has one header row, so one table; a latex page could hold it, but nobody prints it.
    if (!attributions.empty() && (format == "console" || format == "markdown")) {
      tables.push_back(attribution_table(attributions, kMostRanges));
    }
    print_tables("compare", tables, format, standalone);
  }
  const bool paired =
      std::ranges::any_of(rows, [](const Comparison& row) { return row.ratio.has_value(); });
  if (!paired) {
    fmt::print(stderr, "deformer-bench: no point was measured in both files\n");
    return kUndecided;
  }
  return kDone;
}

}  // namespace deformer::cli
