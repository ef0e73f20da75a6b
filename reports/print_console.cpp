#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/table.hpp"
#include "reports/text.hpp"

namespace deformer {
namespace {

constexpr std::string_view kGap = "  ";

/// Texts are broken over several lines on a terminal, but not into narrower columns than this.
constexpr std::size_t kNarrowestText = 16;

class Console {
 public:
  Console(const Table& table, std::size_t width, const Sink& sink) : table_(table), sink_(sink) {
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      shown_.push_back(c);
      widths_.push_back(std::max<std::size_t>(1, display_width(one_line(table.columns[c].title))));
    }
    for (const auto& row : table.rows) {
      for (std::size_t c = 0; c < widths_.size(); ++c) {
        widths_[c] = std::max(widths_[c], display_width(text_of(row, c)));
      }
    }
    if (width > 0) {
      drop_columns(width);
      narrow_texts(width);
    }
  }

  void print() {
    if (!table_.title.empty()) sink_(one_line(table_.title) + "\n\n");
    if (!shown_.empty()) {
      line([this](std::size_t c) { return one_line(table_.columns[c].title); });
      line([this](std::size_t c) { return std::string(widths_[c], '-'); });
      for (const auto& row : table_.rows) {
        line([&](std::size_t c) { return text_of(row, c); });
      }
    }
    if (!table_.notes.empty() || !table_.commands.empty() || !dropped_.empty()) sink_("\n");
    for (const auto& note : table_.notes) sink_(one_line(note) + '\n');
    for (const auto& command : table_.commands) sink_(one_line(command) + '\n');
    if (!dropped_.empty()) {
      sink_(fmt::format("left out to fit the terminal: {} (--format json has all)\n",
                        fmt::join(dropped_, ", ")));
    }
  }

 private:
  std::string text_of(const std::vector<Cell>& row, std::size_t c) const {
    return c < row.size() ? one_line(human_cell(table_.columns[c], row[c])) : "-";
  }

  std::size_t total() const {
    std::size_t sum = 0;
    for (const std::size_t c : shown_) sum += widths_[c] + kGap.size();
    return sum == 0 ? 0 : sum - kGap.size();
  }

  void drop_columns(std::size_t width) {
    while (total() > width) {
      const auto least = std::ranges::max_element(
          shown_, {}, [this](std::size_t c) { return table_.columns[c].droppable; });
      if (least == shown_.end() || table_.columns[*least].droppable == 0) return;
      dropped_.push_back(one_line(table_.columns[*least].name));
      shown_.erase(least);
    }
  }

  /// Narrows texts, the widest first, until all fits or none can be narrower: what has no space
  /// (the name of a point) is never broken.
  void narrow_texts(std::size_t width) {
    if (total() <= width) return;
    std::vector<std::size_t> narrowest = widths_;
    for (const std::size_t c : shown_) {
      if (table_.columns[c].left) narrowest[c] = std::min(widths_[c], longest_word(c));
    }
    const auto spare = [&](std::size_t c) { return widths_[c] > narrowest[c] ? widths_[c] : 0; };
    while (total() > width) {
      const std::size_t widest = *std::ranges::max_element(shown_, {}, spare);
      if (spare(widest) == 0) return;
      --widths_[widest];
      narrowed_ = true;
    }
  }

  std::size_t longest_word(std::size_t c) const {
    std::size_t longest = kNarrowestText;
    const auto look = [&longest](std::string_view text) {
      for (const std::string& word : wrapped(text, 1)) {
        longest = std::max(longest, display_width(word));
      }
    };
    look(one_line(table_.columns[c].title));
    for (const auto& row : table_.rows) look(text_of(row, c));
    return longest;
  }

  template <typename Text>
  void line(Text text) {
    if (narrowed_) return lines(text);
    std::string out;
    for (const std::size_t c : shown_) add_cell(out, c, text(c));
    end_line(out);
  }

  /// A row whose texts take as many lines as they need.
  template <typename Text>
  void lines(Text text) {
    std::vector<std::vector<std::string>> cells;
    std::size_t most = 0;
    for (const std::size_t c : shown_) {
      cells.push_back(wrapped(text(c), widths_[c]));
      most = std::max(most, cells.back().size());
    }
    for (std::size_t i = 0; i < most; ++i) {
      std::string out;
      for (std::size_t n = 0; n < shown_.size(); ++n) {
        add_cell(out, shown_[n], i < cells[n].size() ? cells[n][i] : "");
      }
      end_line(out);
    }
  }

  void add_cell(std::string& out, std::size_t c, const std::string& cell) const {
    const std::string padding(widths_[c] - display_width(cell), ' ');
    if (c != shown_.front()) out += kGap;
    out += table_.columns[c].left ? cell + padding : padding + cell;
  }

  void end_line(std::string& out) const {
    out.erase(out.find_last_not_of(' ') + 1);
    sink_(out + '\n');
  }

  const Table& table_;
  const Sink& sink_;
  std::vector<std::size_t> shown_;
  std::vector<std::size_t> widths_;
  std::vector<std::string> dropped_;
  bool narrowed_ = false;
};

}  // namespace

void print_console(const Table& table, std::size_t width, const Sink& sink) {
  Console(table, width, sink).print();
}

}  // namespace deformer
