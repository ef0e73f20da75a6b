#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reports/table.hpp"
#include "reports/text.hpp"

namespace deformer {
namespace {

constexpr std::string_view kGap = "  ";

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
    if (width > 0) drop_columns(width);
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
      sink_(fmt::format("left out to fit the terminal: {} (see --columns)\n",
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

  template <typename Text>
  void line(Text text) {
    std::string out;
    for (const std::size_t c : shown_) {
      const std::string cell = text(c);
      const std::string padding(widths_[c] - display_width(cell), ' ');
      if (!out.empty() || c != shown_.front()) out += kGap;
      out += table_.columns[c].left ? cell + padding : padding + cell;
    }
    out.erase(out.find_last_not_of(' ') + 1);
    sink_(out + '\n');
  }

  const Table& table_;
  const Sink& sink_;
  std::vector<std::size_t> shown_;
  std::vector<std::size_t> widths_;
  std::vector<std::string> dropped_;
};

}  // namespace

void print_console(const Table& table, std::size_t width, const Sink& sink) {
  Console(table, width, sink).print();
}

}  // namespace deformer
