/// Reading.

#include "reports/history/history.hpp"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "model/error.hpp"
#include "model/sha256.hpp"
#include "reports/history/compression.hpp"
#include "reports/history/schema.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

ExactFigures figures_of(const std::string& body) {
  ExactFigures figures;
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return figures;
  for (const auto& [name, value] : json.items()) {
    if (value.is_number()) figures[name] = value.get<double>();
  }
  return figures;
}

/// Series as they are filled, run by run.
class Collector {
 public:
  explicit Collector(std::unordered_map<std::int64_t, ExactFigures> figures)
      : figures_(std::move(figures)) {}

  void take(const HistoryRun& run, std::size_t run_index, std::int64_t point,
            const std::pair<std::string, std::string>& key_and_name, const Statement& row) {
    const auto [place, is_new] = index_.try_emplace({run.machine, point}, series_.size());
    if (is_new) series_.push_back({key_and_name.first, key_and_name.second, run.machine, {}, {}});
    HistorySeries& series = series_[place->second];
    HistoryEntry entry;
    entry.run = run_index;
    entry.status = row.text(1);
    entry.injected = row.integer(2) != 0;
    entry.median_ns = row.maybe_number(3);
    entry.ci_low_ns = row.maybe_number(4);
    entry.ci_high_ns = row.maybe_number(5);
    entry.ratio = row.maybe_number(6);
    entry.ratio_low = row.maybe_number(7);
    entry.ratio_high = row.maybe_number(8);
    entry.figures = figures_index(series, place->second, row.integer(9));
    series.entries.push_back(std::move(entry));
  }

  std::vector<HistorySeries> take_series() { return std::move(series_); }

 private:
  std::size_t figures_index(HistorySeries& series, std::size_t place, std::int64_t exact) {
    const auto [at, is_new] =
        figure_index_.try_emplace({static_cast<std::int64_t>(place), exact}, series.figures.size());
    if (is_new) series.figures.push_back(figures_[exact]);
    return at->second;
  }

  std::unordered_map<std::int64_t, ExactFigures> figures_;              ///< by id
  std::map<std::pair<std::int64_t, std::int64_t>, std::size_t> index_;  ///< by machine and point
  /// By series and id; place in the series' figures.
  std::map<std::pair<std::int64_t, std::int64_t>, std::size_t> figure_index_;
  std::vector<HistorySeries> series_;
};

constexpr const char* kColumns =
    "SELECT point, status, injected, median_ns, ci_low_ns, ci_high_ns, ratio, ratio_low, "
    "ratio_high, exact FROM measurement WHERE run = ?";

}  // namespace

History::History(const std::filesystem::path& path, Access access)
    : database_(path, access == Access::write ? Database::Mode::write : Database::Mode::read) {
  if (access == Access::write) {
    prepare_to_write(database_);
  } else {
    require_readable(database_);
  }
}

std::vector<HistoryMachine> History::machines() {
  std::vector<HistoryMachine> machines;
  Statement read = database_.prepare("SELECT id, cpu_model, body FROM machine ORDER BY id");
  while (read.step()) {
    Json body = Json::parse(read.text(2), nullptr, false);
    if (!body.is_object()) body = Json::object();
    machines.push_back({read.integer(0), read.text(1), std::move(body)});
  }
  return machines;
}

std::vector<HistoryRun> History::runs(std::size_t last) {
  std::vector<HistoryRun> runs;
  Statement read = database_.prepare(
      "SELECT id, name, revision, at, machine, build, version, records FROM run "
      "ORDER BY at DESC, id DESC");
  std::unordered_map<std::int64_t, std::size_t> taken;
  while (read.step()) {
    const std::int64_t machine = read.integer(4);
    if (last != 0 && taken[machine]++ >= last) continue;
    runs.push_back({read.integer(0), read.text(1), read.text(2), read.integer(3), machine,
                    read.text(5), read.text(6), read.integer(7)});
  }
  std::ranges::reverse(runs);
  return runs;
}

std::vector<HistorySeries> History::series(
    const std::vector<HistoryRun>& runs,
    const std::function<bool(const std::string& name)>& wanted) {
  std::map<std::int64_t, std::pair<std::string, std::string>> points;
  Statement read_points = database_.prepare("SELECT id, key, name FROM point");
  while (read_points.step()) {
    std::string name = read_points.text(2);
    if (wanted(name)) points[read_points.integer(0)] = {read_points.text(1), std::move(name)};
  }
  std::unordered_map<std::int64_t, ExactFigures> figures;
  Statement read_figures = database_.prepare("SELECT id, body FROM exact");
  while (read_figures.step()) {
    figures[read_figures.integer(0)] = figures_of(read_figures.text(1));
  }
  Collector collector(std::move(figures));
  // Of a few points each is looked up; of many, all of a run are read, for they lie side by side.
  constexpr std::size_t kFew = 16;
  const bool few = points.size() <= kFew;
  Statement read = database_.prepare(std::string(kColumns) + (few ? " AND point = ?" : ""));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto take = [&] {
      while (read.step()) {
        const auto point = points.find(read.integer(0));
        if (point != points.end()) collector.take(runs[i], i, point->first, point->second, read);
      }
      read.reset();
    };
    if (!few) {
      read.bind(1, runs[i].id);
      take();
      continue;
    }
    for (const auto& [id, name] : points) {
      read.bind(1, runs[i].id).bind(2, id);
      take();
    }
  }
  return collector.take_series();
}

std::string History::lines(const std::string& run_name) {
  Statement read = database_.prepare(
      "SELECT bytes, lines.digest, lines.body FROM lines JOIN run ON run.id = lines.run "
      "WHERE run.name = ?");
  read.bind(1, run_name);
  const std::string place = fmt::format("{}, run {}", database_.path().string(), run_name);
  if (!read.step()) {
    throw BadInput(
        fmt::format("{}: expected a run of this history, found none of that id; `gate "
                    "history runs --db {}` lists them",
                    place, database_.path().string()));
  }
  std::string text = decompressed(read.bytes(2), static_cast<std::size_t>(read.integer(0)), place);
  if (sha256_hex(text) != read.text(1)) {
    throw BadInput(fmt::format("{}: the stored lines are damaged: their digest differs", place));
  }
  return text;
}

std::vector<std::string> History::damage() {
  std::vector<std::string> found;
  const auto collect = [&](const char* sql, const char* words) {
    Statement check = database_.prepare(sql);
    while (check.step()) {
      if (const std::string text = check.text(0); text != "ok") found.push_back(words + text);
    }
  };
  collect("PRAGMA integrity_check", "SQLite: ");
  collect("PRAGMA foreign_key_check", "a reference to nothing in the table ");
  collect("SELECT name FROM run WHERE id NOT IN (SELECT run FROM lines)", "no lines of run ");
  for (const HistoryRun& run : runs()) {
    try {
      const std::string text = lines(run.name);
      const auto count = std::ranges::count(text, '\n');
      const bool with_end = text.find("\n{\"type\":\"end\"") != std::string::npos;
      if (count != run.records + 1 + (with_end ? 1 : 0)) {
        found.push_back(fmt::format("run {}: expected {} records, found {} lines", run.name,
                                    run.records, count));
      }
    } catch (const BadInput& error) {
      found.emplace_back(error.what());
    }
  }
  return found;
}

}  // namespace deformer
