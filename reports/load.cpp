#include "reports/load.hpp"

#include <fmt/format.h>

#include <map>
#include <unordered_map>
#include <unordered_set>

#include "records/run_file.hpp"
#include "reports/fields.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

/// Which of the machines each run was on. Runs are told apart by their deciding fields.
struct Machines {
  std::vector<std::map<std::string, std::string>> kinds;
  std::unordered_map<std::string, std::size_t> of_run;

  explicit Machines(const std::vector<Json>& runs) {
    for (const Json& run : runs) {
      const auto deciding = deciding_of_run(run);
      std::size_t kind = 0;
      while (kind < kinds.size() && kinds[kind] != deciding) ++kind;
      if (kind == kinds.size()) kinds.push_back(deciding);
      of_run[text_field(run, "id").value_or("") + '"'] = kind;  // as identities spell a run
    }
  }
};

void mark_machines(LoadedRows& loaded) {
  const Machines machines(loaded.runs);
  if (machines.kinds.size() < 2) return;
  std::unordered_set<std::size_t> used;
  for (const RecordRow& row : loaded.rows) {
    if (const auto kind = machines.of_run.find(row.identity.run); kind != machines.of_run.end()) {
      used.insert(kind->second);
    }
  }
  if (used.size() < 2) return;
  for (std::size_t kind = 0; kind < machines.kinds.size(); ++kind) {
    const auto model = machines.kinds[kind].find("cpu_model");
    const std::string name = model == machines.kinds[kind].end() ? "unknown" : model->second;
    const std::string differences =
        kind == 0 ? ""
                  : describe_differences(machines.kinds[0], machines.kinds[kind], "on machine 1",
                                         fmt::format("on machine {}", kind + 1));
    loaded.machines.push_back(fmt::format("machine {}: {}{}{}", kind + 1, name,
                                          differences.empty() ? "" : "; ", differences));
  }
  static const std::size_t column = *find_record_column("machine");
  for (RecordRow& row : loaded.rows) {
    const auto kind = machines.of_run.find(row.identity.run);
    row.set_cell(column, kind == machines.of_run.end() ? Cell("unknown")
                                                       : Cell(std::to_string(kind->second + 1)));
  }
}

}  // namespace

LoadedRows load_rows(const std::vector<std::string>& paths, bool allow_mixed, const RowNeeds& needs,
                     const std::function<void(const std::string&)>& warn) {
  LoadedRows loaded;
  std::vector<DigestedFile> files;
  std::vector<MergeInput> inputs;
  for (const std::string& path : paths) {
    files.push_back(
        digest_run_file(path, row_fields(), [&needs](const Json& record, RecordPlace place) {
          auto row = std::make_unique<RecordRow>(make_row(record, needs));
          row->place = place;
          return row;
        }));
    if (!files.back().torn_tail.empty()) warn(files.back().torn_tail);
  }
  std::unordered_set<std::string> seen;
  for (const DigestedFile& file : files) {
    loaded.files.push_back(file.source);
    inputs.push_back({file.path, &file.runs, {}});
    for (const auto& record : file.records) {
      inputs.back().records.push_back(static_cast<const RecordRow&>(*record).identity);
    }
    for (const Json& run : file.runs) {
      if (seen.insert(text_field(run, "id").value_or("")).second) loaded.runs.push_back(run);
    }
  }
  const std::vector<MergedPlace> order = merged_order(inputs, allow_mixed);
  std::vector<MergeInput>().swap(inputs);
  loaded.rows.reserve(order.size());
  for (const MergedPlace& at : order) {
    auto& record = files[at.file].records[at.record];
    loaded.rows.push_back(std::move(static_cast<RecordRow&>(*record)));
    loaded.rows.back().file = at.file;
    record.reset();
  }
  if (allow_mixed) mark_machines(loaded);
  return loaded;
}

void read_records(const LoadedRows& loaded, const std::vector<RecordRow>& rows,
                  const std::function<void(std::string_view)>& take) {
  for (std::size_t first = 0; first < rows.size();) {
    std::vector<RecordPlace> places;
    const std::size_t file = rows[first].file;
    while (first < rows.size() && rows[first].file == file) places.push_back(rows[first++].place);
    read_lines_at(*loaded.files[file], places, take);
  }
}

std::vector<std::string> provenance_of(const LoadedRows& loaded) {
  constexpr std::size_t kMostRuns = 5;
  std::vector<std::string> lines;
  for (const Json& run : loaded.runs) {
    if (lines.size() == kMostRuns) {
      lines.push_back(fmt::format("and {} more runs", loaded.runs.size() - kMostRuns));
      break;
    }
    const auto text = [&run](const char* path) { return text_field(run, path).value_or("?"); };
    std::string machine = text("machine.cpu_model");
    if (const auto cores = text_field(run, "machine.cores")) machine += ", " + *cores + " cores";
    if (const auto memory = number_field(run, "machine.memory_bytes")) {
      machine += ", " + human_bytes(*memory);
    }
    if (const auto hypervisor = text_field(run, "machine.hypervisor");
        hypervisor && !hypervisor->empty()) {
      machine += ", " + *hypervisor;
    }
    lines.push_back(fmt::format("measured by deformer-bench {} (build {}), run {} of {}, on {}",
                                text("version"), text("build"), text("id"), text("started"),
                                machine));
  }
  return lines;
}

}  // namespace deformer
