#pragma once
/// Lines parsed many at a time, on all processors: reading is the slow part of a report on a long
/// file. Internal to records/.

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "records/line_check.hpp"
#include "records/line_reader.hpp"
#include "records/record_digest.hpp"

namespace deformer {

class LineBatch {
 public:
  /// One line and, after parse(), its meaning.
  struct Entry {
    std::int64_t number = 0;
    std::int64_t offset = 0;
    std::size_t start = 0;  ///< of its bytes in the batch's text
    std::size_t length = 0;
    CheckedLine line = {};
    std::unique_ptr<RecordDigest> digest = {};  ///< of a record, where a digester was given
    std::exception_ptr error = {};              ///< what parse_line threw
  };

  /// With a digester, a record's line keeps only what tells a torn set (run, set, set_size), and
  /// the digester may see no more of it than the top-level fields that are wanted.
  explicit LineBatch(std::string file, Digester digester = {},
                     std::vector<std::string> wanted = {});

  void add(const LineReader::Line& line);
  bool full() const { return text_.size() >= kEnoughBytes; }

  /// Parses what was added, hands it over in order, and starts anew. Throws the error of the first
  /// line that has one, after the lines before it were handed over.
  void parse(const std::function<void(Entry&)>& take);

 private:
  static constexpr std::size_t kEnoughBytes = std::size_t{4} << 20;

  void digest(Entry& entry, std::string_view text) const;
  void parse_part(std::size_t first, std::size_t last);

  std::string file_;
  Digester digester_;
  std::vector<std::string> wanted_;
  std::vector<Entry> entries_;
  std::string text_;  ///< of all lines: one copy, and no allocation for each
};

}  // namespace deformer
