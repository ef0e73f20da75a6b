#pragma once
/// Lines of an open file, one at a time, in memory that grows with the longest line only. Internal
/// to records/.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace deformer {

/// Longest line accepted. A set of a thousand samples is some ten kilobytes.
inline constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;

class LineReader {
 public:
  struct Line {
    std::string_view text;    ///< without the newline; valid until the next call
    std::int64_t number = 0;  ///< counted from 1
    std::int64_t offset = 0;  ///< of its first byte in the file
    bool whole = true;        ///< false: the file ends without a newline
  };

  /// `name` is for messages. The descriptor stays the caller's.
  LineReader(int descriptor, std::string name);

  /// False at the end. @throws BadInput for a line over kMaxLineBytes or when reading fails.
  bool next(Line& line);

 private:
  [[noreturn]] void refuse_length() const;
  bool refill();
  bool take(Line& line, std::size_t length, bool whole);

  int descriptor_;
  std::string name_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  ///< first byte not handed out
  std::size_t scan_ = 0;   ///< first byte not searched for a newline: no byte is searched twice
  std::size_t end_ = 0;
  std::int64_t number_ = 0;
  std::int64_t offset_ = 0;
};

}  // namespace deformer
