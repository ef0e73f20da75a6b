#pragma once
/// A record as a report keeps it: its cells, and what decides where and how they are shown. A row
/// takes about a kilobyte, so that a million of them can be held.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/types.hpp"
#include "records/record_digest.hpp"
#include "reports/table.hpp"

namespace deformer {

struct RecordRow : RecordDigest {
  RecordIdentity identity;
  RecordPlace place;        ///< of its line; empty when it did not come from a file
  std::size_t file = 0;     ///< index of its file
  std::uint64_t group = 0;  ///< digest of the group's key
  std::uint64_t set = 0;    ///< digest of run and set; 0 without a set
  int variant_rank = 3;     ///< full, decomposed, cached, anything else
  double split = 0;
  std::string name;
  std::string status;     ///< as in the record
  std::string reason;     ///< why it is not ok
  std::string injected;   ///< slowdown planted on purpose; empty for a measurement
  std::string reproduce;  ///< empty unless asked for
  /// Cells of the columns that were asked for, and where each column's stands.
  std::vector<Cell> cells;
  std::shared_ptr<const std::vector<std::int16_t>> slots;  ///< by column; -1: not asked for

  // What means, marks and notes count; 0 (the roof: -1) where the record does not say.
  double speedup = 0;
  double flop_ratio = 0;
  double roof_fraction = 0;
  double discarded = 0;
  bool by_device = false;  ///< timed and judged by a device's own clock
  bool parity_failed = false;
  bool parity_known = false;
  bool by_time = false;

  /// Nothing for a column that was not asked for.
  const Cell& cell(std::size_t column) const;
  void set_cell(std::size_t column, Cell cell);

  bool is_full() const { return variant_rank == static_cast<int>(Variant::full); }
  bool is_ok() const { return status == "ok" && !parity_failed; }
  bool is_unchecked() const { return is_ok() && !parity_known; }
};

/// When a column is shown without being asked for.
enum class Show {
  always,
  when_known,       ///< some row has a value
  when_not_one,     ///< some row differs from 1
  when_different,   ///< the rows differ; what they share goes to the title, said by `phrase`
  with_throughput,  ///< some row has several instances, or lengths that vary within its batch
  on_request,       ///< named by --columns; and in csv and json
};

struct RecordColumn {
  Column column;
  Show show;
  Cell (*cell)(const nlohmann::ordered_json& record);
  /// How the title says a shared setting; `record`'s cell of this column is `value`.
  std::string (*phrase)(const std::string& value) = nullptr;
  bool setting = false;  ///< part of the configuration rather than measured
};

/// All columns from left to right. A new metric is a new line there.
const std::vector<RecordColumn>& record_columns();

/// Index of a column by its name, its title, or its name without unit; nullopt when unknown.
std::optional<std::size_t> find_record_column(std::string_view name);

/// What of a record is wanted: cells of other columns stay empty.
struct RowNeeds {
  bool command = false;
  std::shared_ptr<const std::vector<std::int16_t>> slots = {};  ///< null: all columns
};

/// The slots of the columns marked.
std::shared_ptr<const std::vector<std::int16_t>> column_slots(const std::vector<bool>& wanted);

/// The top-level fields of a record that make_row reads; of none an array.
std::vector<std::string> row_fields();

/// Missing and mistyped fields leave empty cells; no record makes it throw.
RecordRow make_row(const nlohmann::ordered_json& record, const RowNeeds& needs);

/// "ok", "unchecked", "not judged ...", "INVALID max_abs 0.31", "skipped", "failed".
std::string status_text(const nlohmann::ordered_json& record);

}  // namespace deformer
