#pragma once
/// One self-contained page: table, charts, fingerprint. It asks nothing of the network; its chart
/// library is Chart.js (MIT), built in.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/record_row.hpp"
#include "reports/report.hpp"
#include "reports/table.hpp"

namespace deformer {

struct HtmlPage {
  /// A page of more rows would be slow to open and too large to send.
  static constexpr std::size_t kMostRows = 500;

  Table table;
  std::vector<std::string> provenance;
  std::vector<std::string> machines;
  std::vector<nlohmann::ordered_json> runs;
  std::vector<RecordRow> details;   ///< rows that the charts show, none of --inject; cells left out
  std::vector<std::string> capped;  ///< what was left out, in words

  /// Picks the rows of the charts: all, or whole groups evenly spread over a long report; changes
  /// `options` so that a long table is aggregated. Returns what was left out, in words.
  std::vector<std::string> choose_details(const std::vector<RecordRow>& rows,
                                          ReportOptions& options);

  /// The whole record of the next row of `details`.
  void add_detail(const nlohmann::ordered_json& record);

  nlohmann::ordered_json points = nlohmann::ordered_json::array();  ///< what add_detail kept

 private:
  void add_drawn(const RecordRow& row);
};

void print_html(const HtmlPage& page, const Sink& sink);

/// JSON that may stand inside a script element.
std::string script_json(const nlohmann::ordered_json& json);

}  // namespace deformer
