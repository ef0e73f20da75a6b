#include "cli/verify_results.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cli/app.hpp"

namespace deformer::cli {

using nlohmann::ordered_json;

std::string skipped_count(const VerifyResults& results) {
  const std::size_t count = results.skipped.size();
  return fmt::format("{} {} skipped", count, count == 1 ? "directory" : "directories");
}

void print_verify_lines(const VerifyResults& results, bool several) {
  std::string text;
  double worst = 0;
  std::size_t passed = 0;
  for (const CaseResult& result : results.cases) {
    text +=
        fmt::format("{}{}  max_abs {:.2e}  worst row cosine {:.9f}  tolerance {}  {}\n",
                    several ? result.directory + " " : "", result.name, result.parity.max_abs,
                    result.parity.cosine_min, result.tolerance.text(), result.ok ? "ok" : "FAILED");
    worst = std::max(worst, result.parity.max_abs);
    passed += result.ok ? 1 : 0;
  }
  for (const SkippedDirectory& one : results.skipped) {
    text += fmt::format("{}  skipped: {}\n", one.directory, one.reason);
  }
  text += fmt::format("{} of {} cases ok, worst max_abs {:.2e}{}\n", passed, results.cases.size(),
                      worst, results.skipped.empty() ? "" : ", " + skipped_count(results));
  print_result(text);
}

void print_verify_rows(const VerifyResults& results) {
  std::vector<ordered_json> rows;
  for (const CaseResult& result : results.cases) {
    const bool reported = result.tolerance.kind == ToleranceKind::reported;
    rows.push_back(
        {{"directory", result.directory},
         {"name", result.name},
         {"max_abs", result.parity.max_abs},
         {"cosine_min", result.parity.cosine_min},
         {"tolerance", reported ? ordered_json(nullptr) : ordered_json(result.tolerance.limit)},
         {"rule", result.tolerance.text()},
         {"ok", result.ok},
         {"status", result.ok ? "ok" : "failed"},
         {"reason", nullptr}});
  }
  for (const SkippedDirectory& one : results.skipped) {
    rows.push_back({{"directory", one.directory},
                    {"name", nullptr},
                    {"max_abs", nullptr},
                    {"cosine_min", nullptr},
                    {"tolerance", nullptr},
                    {"rule", nullptr},
                    {"ok", nullptr},
                    {"status", "skipped"},
                    {"reason", one.reason}});
  }
  print_json("verify", rows);
}

}  // namespace deformer::cli
