/// Adding runs.

#include <array>
#include <chrono>
#include <string_view>

#include <fmt/format.h>

#include "model/error.hpp"
#include "model/sha256.hpp"
#include "reports/fields.hpp"
#include "reports/history/compression.hpp"
#include "reports/history/history.hpp"
#include "reports/history/run_parts.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

std::string figures_text(const Json& record) {
  constexpr std::array<std::string_view, 7> kFigures = {
      "cost.bytes_cache_passage", "cost.bytes_requested", "cost.bytes_weights",    "cost.flops",
      "cost.flops_issued",        "memory.peak_bytes",    "memory.requested_bytes"};
  nlohmann::json figures = nlohmann::json::object();  // sorted, so that equal sets are equal texts
  for (const std::string_view path : kFigures) {
    if (const auto value = number_field(record, path)) {
      figures[std::string(path.substr(path.find('.') + 1))] = *value;
    }
  }
  return figures.dump();
}

/// The row of a table where each value stands once.
class Interned {
 public:
  Interned(Database& database, const std::string& insert, const std::string& select)
      : database_(database), insert_(database.prepare(insert)), select_(database.prepare(select)) {}

  template <typename... More>
  std::int64_t id_of(const std::string& value, const More&... more) {
    select_.bind(1, value);
    const std::int64_t id = select_.step() ? select_.integer(0) : 0;
    select_.reset();
    if (id != 0) return id;
    insert_.bind(1, value);
    int place = 1;
    (insert_.bind(++place, more), ...);
    insert_.run();
    return database_.last_id();
  }

 private:
  Database& database_;
  Statement insert_, select_;
};

std::int64_t machine_id(Database& database, const Json& run) {
  const std::map<std::string, std::string> deciding = deciding_of_run(run);
  const Json* machine = field(run, "machine");
  const std::string body = machine == nullptr ? "{}" : to_line(*machine);
  const std::string identity = deciding.empty() ? body : nlohmann::json(deciding).dump();
  Interned machines(database, "INSERT INTO machine(digest, cpu_model, body) VALUES(?, ?, ?)",
                    "SELECT id FROM machine WHERE digest = ?");
  return machines.id_of(sha256_hex(identity),
                        text_field(run, "machine.cpu_model").value_or("unknown"), body);
}

std::size_t store_measurements(Database& database, std::int64_t run, const RunParts& parts) {
  Interned points(database, "INSERT INTO point(key, name, body) VALUES(?, ?, ?)",
                  "SELECT id FROM point WHERE key = ?");
  Interned figures(database, "INSERT INTO exact(body) VALUES(?)",
                   "SELECT id FROM exact WHERE body = ?");
  Statement insert = database.prepare(
      "INSERT INTO measurement(run, point, status, injected, median_ns, ci_low_ns, ci_high_ns, "
      "ratio, ratio_low, ratio_high, rounds, exact) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const std::vector<const Json*> shown = parts.shown();
  for (const Json* record : shown) {
    const Json* point = field(*record, "point");
    const std::string name = text_field(*record, "name").value_or("");
    const std::int64_t id = points.id_of(text_field(*record, "key").value_or(""), name,
                                         point == nullptr ? "{}" : to_line(*point));
    const Json* parity = field(*record, "parity.ok");
    const bool failed = parity != nullptr && *parity == Json(false);
    const auto positive = [&](const char* path) { return positive_field(*record, path); };
    insert.bind(1, run).bind(2, id);
    insert.bind(3, failed ? "invalid" : text_field(*record, "status").value_or("unknown"));
    insert.bind(4, text_field(*record, "injected").value_or("").empty() ? 0 : 1);
    insert.bind(5, positive("time.median")).bind(6, positive("time.ci_low"));
    insert.bind(7, positive("time.ci_high")).bind(8, positive("speedup.median"));
    insert.bind(9, positive("speedup.ci_low")).bind(10, positive("speedup.ci_high"));
    insert.bind(11, positive("time.rounds")).bind(12, figures.id_of(figures_text(*record)));
    insert.run();
  }
  return shown.size();
}

/// What the history holds under this run's id.
struct Stored {
  std::int64_t id = 0;  ///< 0: nothing
  std::string revision, text;
  std::int64_t at = 0;
};

Stored stored_run(Database& database, const std::string& name) {
  Statement find = database.prepare(
      "SELECT run.id, revision, lines.bytes, body, at FROM run JOIN lines ON lines.run = run.id "
      "WHERE name = ?");
  find.bind(1, name);
  if (!find.step()) return {};
  return {find.integer(0), find.text(1),
          decompressed(find.bytes(3), static_cast<std::size_t>(find.integer(2)),
                       database.path().string() + ", run " + name),
          find.integer(4)};
}

std::int64_t store_run_row(Database& database, const Json& run, const AddedRun& added,
                           std::size_t records) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  Statement insert = database.prepare(
      "INSERT INTO run(name, revision, at, started, machine, build, version, records, added) "
      "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");
  insert.bind(1, added.name).bind(2, added.revision).bind(3, added.at);
  insert.bind(4, text_field(run, "started").value_or(""));
  insert.bind(5, machine_id(database, run)).bind(6, text_field(run, "build").value_or(""));
  insert.bind(7, text_field(run, "version").value_or(""));
  insert.bind(8, static_cast<std::int64_t>(records));
  insert.bind(9, std::int64_t{std::chrono::duration_cast<std::chrono::seconds>(now).count()});
  insert.run();
  return database.last_id();
}

void store_lines(Database& database, std::int64_t run, const std::string& text,
                 const std::string& body) {
  Statement insert =
      database.prepare("INSERT OR REPLACE INTO lines(run, bytes, digest, body) VALUES(?, ?, ?, ?)");
  insert.bind(1, run).bind(2, static_cast<std::int64_t>(text.size()));
  insert.bind(3, sha256_hex(text)).bind_blob(4, body).run();
}

/// Takes the place of a run that is there already; says in `added` what became of it.
/// @throws BadInput when it is another run.
std::int64_t extend(Database& database, const Stored& stored, const RunParts& parts,
                    const std::string& text, const RunOrigin& origin, AddedRun& added) {
  const std::string place = fmt::format("{}: run {}", database.path().string(), added.name);
  if (!origin.revision.empty() && stored.revision != origin.revision) {
    throw BadInput(fmt::format("{} is there at revision '{}'; expected the same, found '{}'", place,
                               stored.revision, origin.revision));
  }
  added.revision = stored.revision;
  added.at = stored.at;
  added.state = AddedRun::State::present;
  if (stored.text.starts_with(text)) return 0;
  if (!text.starts_with(stored.text)) {
    throw BadInput(fmt::format(
        "{} is there with other records; expected those and perhaps more; is one of the two files "
        "changed by hand? See what is stored with `gate history lines {} --db {}`",
        place, added.name, database.path().string()));
  }
  added.state = AddedRun::State::extended;
  Statement update = database.prepare("UPDATE run SET records = ? WHERE id = ?");
  update.bind(1, static_cast<std::int64_t>(parts.records.size())).bind(2, stored.id).run();
  Statement clear = database.prepare("DELETE FROM measurement WHERE run = ?");
  clear.bind(1, stored.id).run();
  return stored.id;
}

}  // namespace

void History::add(const RunFile& file, const RunOrigin& origin,
                  const std::function<void(const AddedRun&)>& done) {
  for (const RunParts& parts : parts_of(file)) {
    if (parts.is_of_base()) continue;
    AddedRun added{text_field(*parts.run, "id").value_or(""),
                   origin.revision.empty() ? text_field(*parts.run, "revision").value_or("")
                                           : origin.revision};
    if (added.revision.empty() || added.revision == "unknown") {
      throw BadInput(fmt::format(
          "{}: expected a revision for run {}, found none in its run line; say it with --revision",
          file.path.string(), added.name));
    }
    added.at = origin.at ? *origin.at
                         : parse_instant(file.path.string() + ": started",
                                         text_field(*parts.run, "started").value_or(""));
    const std::string text = parts.text();
    const std::string body = compressed(text);  // before the lock: others may write meanwhile
    Transaction transaction(database_);
    const Stored stored = stored_run(database_, added.name);
    const std::int64_t run =
        stored.id != 0 ? extend(database_, stored, parts, text, origin, added)
                       : store_run_row(database_, *parts.run, added, parts.records.size());
    if (run != 0) {
      added.points = store_measurements(database_, run, parts);
      store_lines(database_, run, text, body);
    } else {
      added.points = parts.shown().size();
    }
    transaction.commit();
    done(added);
  }
}

}  // namespace deformer
