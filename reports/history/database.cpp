#include "reports/history/database.hpp"

#include <sqlite3.h>

#include <cmath>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer {
namespace {

// A run of a hundred points is stored in some ten milliseconds; eight writers that take turns wait
// less than a second. A minute is for a disk that is slow to sync.
constexpr int kBusyTimeout_ms = 60'000;

/// What to do about an error, after what SQLite says of it.
std::string_view advice_for(int code) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another process has held the lock for a minute; try again when it has ended";
    case SQLITE_FULL:
    case SQLITE_IOERR:
      return "nothing of this run was stored; make room on the disk and add it again";
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return "expected to be able to write this file and its folder";
    case SQLITE_CANTOPEN:
      return "expected a history or a folder to make one in, and to be able to write there";
    case SQLITE_NOTADB:
      return "expected a history as `gate history add` makes it; is this another file?";
    case SQLITE_CORRUPT:
      return "the history is damaged; put a copy in its place, or add the run files to a new one";
    default:
      return "the history was left as it was";
  }
}

}  // namespace

void Database::Close::operator()(sqlite3* database) const {
  sqlite3_close(database);
}
void Statement::Close::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

int Database::open(const std::string& name, int flags) {
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &opened, flags | SQLITE_OPEN_EXRESCODE, nullptr);
  database_.reset(opened);
  if (code != SQLITE_OK) return code;
  sqlite3_busy_timeout(opened, kBusyTimeout_ms);
  // The first look at the file: what is no database, or can't be read beside a writer, shows here.
  return sqlite3_exec(opened, "SELECT count(*) FROM sqlite_schema", nullptr, nullptr, nullptr);
}

Database::Database(std::filesystem::path path, Mode mode) : path_(std::move(path)) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path_, ignored)) {
    throw BadInput(fmt::format("{}: expected a history, found a directory; name a file in it",
                               path_.string()));
  }
  if (mode == Mode::write) {
    check(open(path_.string(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    return;
  }
  if (!std::filesystem::exists(path_, ignored)) {
    throw BadInput(
        fmt::format("{}: expected a history, found no such file; `gate history add` makes one",
                    path_.string()));
  }
  // Opened for writing where that is allowed, so that the last to close leaves one file behind.
  int code = open(path_.string(), SQLITE_OPEN_READWRITE);
  if (code != SQLITE_OK) code = open(path_.string(), SQLITE_OPEN_READONLY);
  // In a folder that can't be written SQLite has no place for the index that readers and writers
  // share. Where no writer has left anything, the file can be read as it stands.
  const bool no_place = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY;
  const std::string log = path_.string() + "-wal";
  const bool nothing_left =
      !std::filesystem::exists(log, ignored) || std::filesystem::file_size(log, ignored) == 0;
  if (no_place && nothing_left) {
    std::string uri = "file:";
    for (const char c : std::filesystem::absolute(path_).string()) {
      uri += c == '?' || c == '#' || c == '%' ? fmt::format("%{:02x}", c) : std::string(1, c);
    }
    code = open(uri + "?immutable=1", SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
  }
  check(code);
  run("PRAGMA query_only = ON");
}

void Database::check(int code) const {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return;
  const char* text = database_ ? sqlite3_errmsg(database_.get()) : sqlite3_errstr(code);
  throw BadInput(
      fmt::format("{}: {} (SQLite {}): {}", path_.string(), text, code, advice_for(code)));
}

Statement Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  check(sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &statement,
                           nullptr));
  return {*this, statement};
}

void Database::run(const std::string& sql) {
  check(sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr));
}

std::int64_t Database::number_of(std::string_view sql) {
  Statement statement = prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

std::string Database::text_of(std::string_view sql) {
  Statement statement = prepare(sql);
  return statement.step() ? statement.text(0) : "";
}

std::int64_t Database::last_id() const {
  return sqlite3_last_insert_rowid(database_.get());
}
std::int64_t Database::changes() const {
  return sqlite3_changes64(database_.get());
}

void Statement::check(int code) const {
  database_->check(code);
}

Statement& Statement::bind(int place, std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), place, value));
  return *this;
}

Statement& Statement::bind(int place, double value) {
  if (!std::isfinite(value)) return bind(place, std::nullopt);
  check(sqlite3_bind_double(statement_.get(), place, value));
  return *this;
}

Statement& Statement::bind(int place, std::string_view text) {
  check(sqlite3_bind_text64(statement_.get(), place, text.data(), text.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind(int place, std::nullopt_t) {
  check(sqlite3_bind_null(statement_.get(), place));
  return *this;
}

Statement& Statement::bind_blob(int place, std::string_view bytes) {
  check(sqlite3_bind_blob64(statement_.get(), place, bytes.data(), bytes.size(), SQLITE_TRANSIENT));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  check(code);
  return code == SQLITE_ROW;
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

void Statement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double Statement::number(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

std::optional<double> Statement::maybe_number(int column) const {
  return is_null(column) ? std::nullopt : std::optional(number(column));
}

std::string Statement::text(int column) const {
  const auto* text =
      reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));  // NOLINT
  const int length = sqlite3_column_bytes(statement_.get(), column);
  return text == nullptr ? "" : std::string(text, static_cast<std::size_t>(length));
}

std::string_view Statement::bytes(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const int length = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr ? std::string_view()
                         : std::string_view(data, static_cast<std::size_t>(length));
}

Transaction::Transaction(Database& database) : database_(database) {
  database_.run("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.run("ROLLBACK");
  } catch (const BadInput&) {  // NOLINT: SQLite has rolled back by itself, as after a full disk
  }
}

void Transaction::commit() {
  database_.run("COMMIT");
  open_ = false;
}

}  // namespace deformer
