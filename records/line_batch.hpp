#pragma once
/// Lines parsed many at a time, on all processors: reading is the slow part of a report on a long
/// file. Internal to records/.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "records/line_check.hpp"
#include "records/line_reader.hpp"
#include "records/record_digest.hpp"

namespace deformer {

class LineBatch {
 public:
  /// One line, its bytes and, after parse(), its meaning.
  struct Entry {
    std::string text;
    std::int64_t number = 0;
    std::int64_t offset = 0;
    CheckedLine line = {};
    std::unique_ptr<RecordDigest> digest = {};  ///< of a record, where a digester was given
    std::exception_ptr error = {};              ///< what parse_line threw
  };

  /// With a digester, a record's line keeps only what tells a torn set (run, set, set_size).
  explicit LineBatch(std::string file, Digester digester = {})
      : file_(std::move(file)), digester_(std::move(digester)) {}

  void add(const LineReader::Line& line);
  bool full() const { return bytes_ >= kEnoughBytes; }

  /// Parses what was added, hands it over in order, and starts anew. Throws the error of the first
  /// line that has one, after the lines before it were handed over.
  void parse(const std::function<void(Entry&)>& take);

 private:
  static constexpr std::size_t kEnoughBytes = std::size_t{4} << 20;

  void digest(Entry& entry) const;
  void parse_part(std::size_t first, std::size_t last);

  std::string file_;
  Digester digester_;
  std::vector<Entry> entries_;
  std::size_t bytes_ = 0;
};

}  // namespace deformer
