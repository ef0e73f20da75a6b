// `report`: run files as tables.

#include <regex>

#include <fmt/format.h>

#include "cli/app.hpp"
#include "cli/verbs.hpp"
#include "model/error.hpp"
#include "records/run_file.hpp"
#include "reports/speedup.hpp"

namespace deformer::cli {

int run_report_verb(const std::vector<std::string>& arguments) {
  App app("report",
          "Run files as a paper-style speedup table. Several files merge; medians and ratios shown "
          "together come from one set.",
          "deformer-bench report deformer-bench.jsonl --format markdown");
  std::vector<std::string> paths;
  std::string format;
  std::string filter;
  std::string reproducers = "on";
  bool allow_mixed = false;
  app.add_option("FILE", paths, "Run files")->required();
  add_format(app, format, {"console", "markdown", "json"});
  app.add_option("--filter", filter, "Keep records whose name matches this regular expression");
  app.add_option("--reproducers", reproducers, "on | off: the command behind each row")
      ->check(CLI::IsMember({"on", "off"}));
  app.add_flag("--allow-mixed", allow_mixed, "Merge files of different machines");
  if (const auto code = app.read(arguments)) {
    return *code;
  }
  std::vector<RunFile> files;
  for (const std::string& path : paths) {
    files.push_back(read_run_file(path));
    if (!files.back().torn_tail.empty()) {
      warn(files.back().torn_tail);
    }
  }
  std::vector<nlohmann::ordered_json> records = merged_records(std::move(files), allow_mixed);
  if (!filter.empty()) {
    try {
      const std::regex expression(filter);
      std::erase_if(records, [&expression](const nlohmann::ordered_json& record) {
        return !std::regex_search(record.at("name").get<std::string>(), expression);
      });
    } catch (const std::regex_error& error) {
      throw BadInput(fmt::format("--filter {}: expected a regular expression, found: {}", filter,
                                 error.what()));
    }
  }
  if (format == "json") {
    print_json("report", records);
  } else {
    print_result(print_table(speedup_table(records, reproducers == "on"),
                             format == "console" ? TableFormat::console : TableFormat::markdown));
  }
  if (records.empty()) {
    fmt::print(stderr, "deformer-bench: no record {}\n",
               filter.empty() ? "in these files" : "matches the filter");
    return kUndecided;
  }
  return kDone;
}

}  // namespace deformer::cli
