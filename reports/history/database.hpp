#pragma once
/// SQLite with C++ manners: handles that close themselves, errors that name the file and say what
/// to do. Internal to reports/history/.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace deformer {

/// One prepared statement. Values are bound from 1 on, columns read from 0 on, as in SQLite.
class Statement {
 public:
  Statement& bind(int place, std::int64_t value);
  Statement& bind(int place, int value) { return bind(place, std::int64_t{value}); }
  Statement& bind(int place, double value);  ///< not finite: null
  Statement& bind(int place, std::string_view text);
  Statement& bind(int place, const char* text) { return bind(place, std::string_view(text)); }
  Statement& bind(int place, const std::string& text) {
    return bind(place, std::string_view(text));
  }
  Statement& bind(int place, std::nullopt_t);
  template <typename Value>
  Statement& bind(int place, const std::optional<Value>& value) {
    return value ? bind(place, *value) : bind(place, std::nullopt);
  }
  Statement& bind_blob(int place, std::string_view bytes);

  /// True while there is a row. @throws BadInput as Database.
  bool step();
  /// Runs to the end and makes the statement ready for other values.
  void run();
  /// Ready for the next values.
  void reset();

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double number(int column) const;
  std::optional<double> maybe_number(int column) const;
  std::string text(int column) const;
  std::string_view bytes(int column) const;  ///< until the next step

 private:
  friend class Database;
  struct Close {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(class Database& database, sqlite3_stmt* statement)
      : database_(&database), statement_(statement) {}
  void check(int code) const;

  class Database* database_;
  std::unique_ptr<sqlite3_stmt, Close> statement_;
};

/// An open database. Another process that writes is waited for, up to a minute.
class Database {
 public:
  enum class Mode { read, write };

  /// `write` creates a file that is missing. `read` never changes the file, and works on a
  /// read-only medium. @throws BadInput when it can't be opened.
  Database(std::filesystem::path path, Mode mode);
  Database(const Database&) = delete;  // statements point to it
  Database& operator=(const Database&) = delete;

  Statement prepare(std::string_view sql);
  /// One or more statements without values.
  void run(const std::string& sql);
  std::int64_t number_of(std::string_view sql);  ///< the first cell of the first row; 0 for no row
  std::string text_of(std::string_view sql);     ///< the same as text; empty for no row
  std::int64_t last_id() const;
  std::int64_t changes() const;
  const std::filesystem::path& path() const { return path_; }

  /// @throws BadInput for any code that is not success: locked, full, read-only, damaged, no
  /// database; with the path and what to do.
  void check(int code) const;

 private:
  friend class Statement;
  struct Close {
    void operator()(sqlite3* database) const;
  };
  int open(const std::string& name, int flags);

  std::filesystem::path path_;
  std::unique_ptr<sqlite3, Close> database_;
};

/// Everything between construction and commit() happens, or nothing. The lock on writing is taken
/// at once, so that what was read inside still holds when it is written.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  /// When it returns, what was written is on the disk.
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace deformer
