#pragma once
/// The paper's tables and figures: published | cost model | measured here.

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/types.hpp"
#include "reports/figure.hpp"
#include "reports/table.hpp"

namespace deformer {

/// Prices of the appendix's cost model, with the date they are of. The paper's are the defaults.
struct PaperPrices {
  double machine_hour = 2.48;      ///< dollars an hour of the machine that computes
  double storage_gb_month = 0.02;  ///< dollars a GB and month
  double reads_10k = 0.004;        ///< dollars for 10 000 reads
  std::string date = "2020-05";
};

/// One number of the paper.
struct PaperItem {
  std::string where;  ///< "table 1", "figure 4"
  std::string what;   ///< "bert-base squad speedup"
  double published = 0;
  int decimals = 1;  ///< digits printed after the point: what "to rounding" means
  std::string unit;
  std::optional<double> model;  ///< from the cost model
  std::optional<double> measured;
  std::optional<double> low, high;  ///< 95 % interval of `measured`
  std::string run;                  ///< that measured it
  std::string why;                  ///< why it is not measured; empty when it is

  /// The model gives the published number to the digits printed.
  bool model_agrees() const;
};

/// Finds what was measured of a point at the paper's shapes: the latest ok record whose lengths,
/// pairs a passage and order are the task's, cached as it computes, with no slowdown planted.
class PaperRecords {
 public:
  explicit PaperRecords(std::vector<nlohmann::ordered_json> records)
      : records_(std::move(records)) {}

  /// `batch` 0: the smallest measured. nullptr when there is none.
  const nlohmann::ordered_json* find(std::string_view model, std::string_view task, Variant variant,
                                     std::int64_t split, std::int64_t batch = 0) const;
  bool empty() const { return records_.empty(); }

 private:
  std::vector<nlohmann::ordered_json> records_;
};

/// Every number of tables 1-5, figures 2 and 4 and the appendix, in this order.
std::vector<PaperItem> paper_items(const PaperRecords& records, const PaperPrices& prices);

/// One table for each table and figure of the paper; the last counts how many the cost model gives
/// to rounding, how many were measured, how many neither.
std::vector<Table> paper_tables(const std::vector<PaperItem>& items, const PaperPrices& prices);

/// What does not reproduce, each shown by a number.
Table paper_discrepancies(const PaperRecords& records);

/// Figures 2 and 4 (base, large): published, cost model, measured.
std::vector<std::pair<std::string, Figure>> paper_figures(const std::vector<PaperItem>& items);

}  // namespace deformer
