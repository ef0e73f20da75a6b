#include "reports/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <map>
#include <thread>

namespace deformer {
namespace {

std::string count_text(double value) {
  return std::abs(value) < 1e15 ? fmt::format("{:.0f}", value) : fmt::format("{:.6g}", value);
}

std::string human_number(Hint hint, const Cell& cell) {
  const double value = cell.value();
  switch (hint) {
    case Hint::text:
    case Hint::number:
      return exact_number(value);
    case Hint::count:
      return count_text(value);
    case Hint::duration:
      return human_time(value);
    case Hint::duration_interval:
      return human_time_interval(value, cell.low(), cell.high());
    case Hint::bytes:
      return human_bytes(value);
    case Hint::flops:
      return human_flops(value);
    case Hint::ratio:
      return human_ratio(value);
    case Hint::ratio_interval:
      return human_ratio_interval(cell.low(), cell.high());
    case Hint::closer_interval: {
      const auto text = [](double end) {
        return end > 0.1 && end < 10 ? fmt::format("{:.4f}", end) : human_ratio(end);
      };
      return fmt::format("[{}, {}]", text(cell.low()), text(cell.high()));
    }
    case Hint::fraction:
      return human_percent(value);
    case Hint::rate:
      return human_rate(value);
    case Hint::gigaflops:
      return fmt::format("{:.{}f}", value, value < 100 ? 1 : 0);
  }
  return "-";
}

bool is_interval(Hint hint) {
  return hint == Hint::duration_interval || hint == Hint::ratio_interval ||
         hint == Hint::closer_interval;
}

}  // namespace

bool Cell::operator==(const Cell& other) const {
  const bool same_number =
      is_number() == other.is_number() &&
      (!is_number() || (value_ == other.value_ && low() == other.low() && high() == other.high()));
  return same_number && has_text() == other.has_text() && text() == other.text();
}

const std::string& Cell::text() const {
  static const std::string none;
  return more_ ? more_->text : none;
}

void Cell::share_text_with(const Cell& other) {
  if (has_text() && other.has_text() && more_ != other.more_ && text() == other.text()) {
    more_ = other.more_;
  }
}

std::string human_cell(const Column& column, const Cell& cell) {
  if (cell.has_text()) return cell.text();
  return cell.is_number() ? human_number(column.hint, cell) : "-";
}

std::vector<std::string> machine_names(const Column& column) {
  if (!is_interval(column.hint)) return {column.name};
  // "median_interval_ns" -> "median_ci_low_ns", as records name them.
  const std::size_t at = column.name.find("interval");
  if (at == std::string::npos) return {column.name + "_low", column.name + "_high"};
  std::string low = column.name;
  std::string high = column.name;
  low.replace(at, 8, "ci_low");
  high.replace(at, 8, "ci_high");
  return {low, high};
}

nlohmann::ordered_json row_json(const Table& table, std::size_t row) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  const auto& cells = table.rows[row];
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Cell cell = c < cells.size() ? cells[c] : Cell();
    const auto names = machine_names(table.columns[c]);
    if (names.size() == 2) {
      json[names[0]] = cell.is_number() ? nlohmann::ordered_json(cell.low()) : nullptr;
      json[names[1]] = cell.is_number() ? nlohmann::ordered_json(cell.high()) : nullptr;
    } else if (cell.is_number()) {
      const double value = cell.value();
      const bool whole = table.columns[c].hint == Hint::count && std::abs(value) < 1e15;
      json[names[0]] = whole ? nlohmann::ordered_json(static_cast<std::int64_t>(value))
                             : nlohmann::ordered_json(value);
    } else {
      json[names[0]] = cell.has_text() ? nlohmann::ordered_json(cell.text()) : nullptr;
    }
  }
  return json;
}

std::vector<std::vector<bool>> best_cells(const Table& table) {
  std::vector<std::vector<bool>> best(table.rows.size(),
                                      std::vector<bool>(table.columns.size(), false));
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Better better = table.columns[c].better;
    if (better == Better::neither) continue;
    struct Mark {
      std::size_t row;
      std::size_t rivals;
    };
    std::map<std::size_t, Mark> marks;
    for (std::size_t r = 0; r < std::min(table.rows.size(), table.groups.size()); ++r) {
      if (c >= table.rows[r].size() || !table.rows[r][c].is_number()) continue;
      const auto [mark, first] = marks.try_emplace(table.groups[r], Mark{r, 0});
      const double held = table.rows[mark->second.row][c].value();
      const double value = table.rows[r][c].value();
      if (better == Better::lower ? value < held : value > held) mark->second.row = r;
      ++mark->second.rivals;
    }
    for (const auto& [group, mark] : marks) {
      if (mark.rivals > 1) best[mark.row][c] = true;  // alone, nothing is best
    }
  }
  return best;
}

void print_rows(std::size_t count, const std::function<void(std::size_t, std::string&)>& form,
                const Sink& sink) {
  constexpr std::size_t kPart = 2048;  // rows of a task: a millisecond or more
  const std::size_t workers = std::clamp(std::thread::hardware_concurrency(), 1U, 16U);
  const auto part = [&](std::size_t first) {
    std::string text;
    for (std::size_t r = first; r < std::min(count, first + kPart); ++r) form(r, text);
    return text;
  };
  for (std::size_t first = 0; first < count; first += workers * kPart) {
    std::vector<std::future<std::string>> others;
    for (std::size_t w = 1; w < workers && first + w * kPart < count; ++w) {
      others.push_back(std::async(std::launch::async, part, first + w * kPart));
    }
    sink(part(first));
    for (auto& other : others) sink(other.get());
  }
}

void print_table(const Table& table, const PrintOptions& options, const Sink& sink) {
  switch (options.format) {
    case TableFormat::console:
      return print_console(table, options.width, sink);
    case TableFormat::markdown:
      return print_markdown(table, sink);
    case TableFormat::latex:
      return print_latex(table, options.standalone, sink);
    case TableFormat::csv:
      return print_csv(table, sink);
    case TableFormat::json:
      return print_json_rows(table, sink);
  }
}

std::string print_table(const Table& table, const PrintOptions& options) {
  std::string out;
  print_table(table, options, [&out](std::string_view piece) { out += piece; });
  return out;
}

std::string print_table(const Table& table, TableFormat format) {
  return print_table(table, PrintOptions{.format = format});
}

}  // namespace deformer
