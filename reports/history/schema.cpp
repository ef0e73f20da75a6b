#include "reports/history/schema.hpp"

#include <array>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kApplicationId = 0x44464248;  // "DFBH"

/// kMigrations[n] makes version n + 1 of version n; 0 is an empty database.
constexpr std::array<const char*, kHistoryVersion> kMigrations{
    R"sql(
CREATE TABLE machine(id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, cpu_model TEXT NOT NULL,
  body TEXT NOT NULL);
CREATE TABLE point(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  body TEXT NOT NULL);
CREATE TABLE run(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, revision TEXT NOT NULL,
  at INTEGER NOT NULL, started TEXT NOT NULL, machine INTEGER NOT NULL REFERENCES machine(id),
  build TEXT NOT NULL, version TEXT NOT NULL, records INTEGER NOT NULL, added INTEGER NOT NULL,
  bytes INTEGER NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE measurement(run INTEGER NOT NULL REFERENCES run(id),
  point INTEGER NOT NULL REFERENCES point(id), status TEXT NOT NULL, injected INTEGER NOT NULL,
  median_ns REAL, ci_low_ns REAL, ci_high_ns REAL, ratio REAL, ratio_low REAL, ratio_high REAL,
  rounds INTEGER, flops REAL, flops_issued REAL, bytes_weights REAL, bytes_requested REAL,
  bytes_cache_passage REAL, requested_bytes REAL, PRIMARY KEY(run, point)) WITHOUT ROWID;
PRAGMA application_id = 1145455176;
)sql",
    R"sql(
CREATE TABLE exact(id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE);
CREATE TABLE lines(run INTEGER PRIMARY KEY REFERENCES run(id), bytes INTEGER NOT NULL,
  digest TEXT NOT NULL, body BLOB NOT NULL);
CREATE TEMP TABLE figures AS SELECT run, point, json_patch('{}', json_object('flops', flops,
  'flops_issued', flops_issued, 'bytes_weights', bytes_weights, 'bytes_requested', bytes_requested,
  'bytes_cache_passage', bytes_cache_passage, 'requested_bytes', requested_bytes)) AS body
  FROM measurement;
INSERT INTO exact(body) SELECT DISTINCT body FROM figures ORDER BY body;
CREATE TABLE measurement_2(run INTEGER NOT NULL REFERENCES run(id),
  point INTEGER NOT NULL REFERENCES point(id), status TEXT NOT NULL, injected INTEGER NOT NULL,
  median_ns REAL, ci_low_ns REAL, ci_high_ns REAL, ratio REAL, ratio_low REAL, ratio_high REAL,
  rounds INTEGER, exact INTEGER NOT NULL REFERENCES exact(id), PRIMARY KEY(run, point))
  WITHOUT ROWID;
INSERT INTO measurement_2 SELECT m.run, m.point, status, injected, median_ns, ci_low_ns,
  ci_high_ns, ratio, ratio_low, ratio_high, rounds, exact.id FROM measurement AS m
  JOIN figures AS f ON f.run = m.run AND f.point = m.point JOIN exact ON exact.body = f.body;
DROP TABLE temp.figures;
DROP TABLE measurement;
ALTER TABLE measurement_2 RENAME TO measurement;
INSERT INTO lines SELECT id, bytes, digest, body FROM run;
ALTER TABLE run DROP COLUMN body;
ALTER TABLE run DROP COLUMN digest;
ALTER TABLE run DROP COLUMN bytes;
)sql",
};
static_assert(kApplicationId == 1145455176);  // as the first migration spells it

/// 0 for an empty database. @throws BadInput for what is no history, or a newer program's.
std::int64_t version_of(Database& database) {
  const std::int64_t application = database.number_of("PRAGMA application_id");
  const std::int64_t version = database.number_of("PRAGMA user_version");
  const std::int64_t tables = database.number_of("SELECT count(*) FROM sqlite_schema");
  if (application == 0 && version == 0 && tables == 0) return 0;
  if (application != kApplicationId || version < 1) {
    throw BadInput(fmt::format(
        "{}: expected a history of deformer-bench (application id {:#x}), found another program's "
        "database (id {:#x}, {} tables); name another file",
        database.path().string(), kApplicationId, application, tables));
  }
  if (version > kHistoryVersion) {
    throw BadInput(fmt::format(
        "{}: expected a history of layout {} or older, found layout {}, made by a newer "
        "deformer-bench; use that one or a newer one",
        database.path().string(), kHistoryVersion, version));
  }
  return version;
}

/// Readers go on while someone writes. SQLite does not wait for a lock here by itself.
void use_write_ahead_log(Database& database) {
  constexpr int kTries = 200;
  constexpr std::chrono::milliseconds kPause{25};
  for (int attempt = 1;; ++attempt) {
    try {
      // Where it can't be (a network share) the older journal stays: as safe, less concurrent.
      (void)database.text_of("PRAGMA journal_mode = WAL");
      break;
    } catch (const BadInput&) {
      if (attempt == kTries) throw;
      std::this_thread::sleep_for(kPause);
    }
  }
}

}  // namespace

void prepare_to_write(Database& database) {
  const std::int64_t found = version_of(database);  // before anything of another's file is changed
  if (found == 0) use_write_ahead_log(database);
  database.run("PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF");
  if (found != kHistoryVersion) {
    Transaction transaction(database);
    for (auto version = static_cast<std::size_t>(version_of(database));
         version < kMigrations.size(); ++version) {
      database.run(kMigrations.at(version));
      database.run(fmt::format("PRAGMA user_version = {}", version + 1));
    }
    transaction.commit();
  }
  database.run("PRAGMA foreign_keys = ON");
}

void require_readable(Database& database) {
  const std::int64_t version = version_of(database);
  if (version == 0) {
    throw BadInput(
        fmt::format("{}: expected a history, found an empty file; `gate history add` makes one",
                    database.path().string()));
  }
  if (version < kHistoryVersion) {
    throw BadInput(fmt::format(
        "{}: expected a history of layout {}, found layout {}; `gate history migrate --db {}` "
        "brings it up to date, as adding a run does",
        database.path().string(), kHistoryVersion, version, database.path().string()));
  }
}

}  // namespace deformer
