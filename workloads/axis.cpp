#include "workloads/axis.hpp"

#include <charconv>
#include <string>
#include <unordered_set>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer {
namespace {

constexpr std::size_t kMaxValues = 100'000;

/// Splits at every separator; an empty text is one empty piece.
std::vector<std::string_view> split_at(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = text.find(separator, begin);
    pieces.push_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) {
      return pieces;
    }
    begin = end + 1;
  }
}

class AxisParser {
 public:
  AxisParser(std::string_view name, std::string_view text, std::int64_t lowest,
             std::int64_t highest)
      : name_(name), text_(text), lowest_(lowest), highest_(highest) {}

  std::vector<std::int64_t> parse() {
    for (const std::string_view piece : split_at(text_, ',')) {
      add_piece(piece);
    }
    return values_;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw BadInput(fmt::format("{} {}: {}; an axis is written 9, 1,4,16, 1:12, 1:12:2 or 1:64:x2",
                               name_, text_, what));
  }

  std::int64_t number(std::string_view word, std::int64_t lowest, std::int64_t highest) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error == std::errc::result_out_of_range ||
        (error == std::errc{} && end == word.data() + word.size() &&
         (value < lowest || value > highest))) {
      fail(fmt::format("expected a number from {} to {}, found {}", lowest, highest, word));
    }
    if (error != std::errc{} || end != word.data() + word.size()) {
      fail(fmt::format("expected a whole number, found '{}'", word));
    }
    return value;
  }

  void add(std::int64_t value) {
    if (!seen_.insert(value).second) {
      return;
    }
    if (values_.size() == kMaxValues) {
      fail(fmt::format("expected at most {} values", kMaxValues));
    }
    values_.push_back(value);
  }

  void add_piece(std::string_view piece) {
    const std::vector<std::string_view> parts = split_at(piece, ':');
    if (parts.size() > 3) {
      fail(fmt::format("expected first:last or first:last:step, found '{}'", piece));
    }
    const std::int64_t first = number(parts[0], lowest_, highest_);
    if (parts.size() == 1) {
      add(first);
      return;
    }
    const std::int64_t last = number(parts[1], lowest_, highest_);
    if (last < first) {
      fail(fmt::format("the range {} is reversed; write {}:{}", piece, last, first));
    }
    add_range(first, last, parts.size() == 3 ? parts[2] : "1");
  }

  void add_range(std::int64_t first, std::int64_t last, std::string_view step) {
    const bool multiplies = step.starts_with('x');
    if (multiplies && first == 0) {
      fail("a range that multiplies must start above 0");
    }
    const std::int64_t amount = multiplies ? number(step.substr(1), 2, highest_ < 2 ? 2 : highest_)
                                           : number(step, 1, highest_ < 1 ? 1 : highest_);
    for (std::int64_t value = first;;) {
      add(value);
      const std::int64_t room = multiplies ? last / amount : last - amount;
      if (value > room) {
        return;
      }
      value = multiplies ? value * amount : value + amount;
    }
  }

  std::string_view name_;
  std::string_view text_;
  std::int64_t lowest_;
  std::int64_t highest_;
  std::vector<std::int64_t> values_;
  std::unordered_set<std::int64_t> seen_;
};

}  // namespace

std::vector<std::int64_t> parse_axis(std::string_view name, std::string_view text,
                                     std::int64_t lowest, std::int64_t highest) {
  return AxisParser(name, text, lowest, highest).parse();
}

}  // namespace deformer
