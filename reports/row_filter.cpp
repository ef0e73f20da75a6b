#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <regex>

#include "model/error.hpp"
#include "reports/name_match.hpp"
#include "reports/report.hpp"

namespace deformer {
namespace {

enum class Relation { equal, unequal, below, at_most, above, at_least };

struct Sign {
  std::string_view text;
  Relation relation;
};
constexpr std::array<Sign, 7> kSigns = {{{"!=", Relation::unequal},
                                         {"==", Relation::equal},
                                         {"<=", Relation::at_most},
                                         {">=", Relation::at_least},
                                         {"=", Relation::equal},
                                         {"<", Relation::below},
                                         {">", Relation::above}}};

template <typename Value>
bool holds(Relation relation, const Value& a, const Value& b) {
  switch (relation) {
    case Relation::equal:
      return a == b;
    case Relation::unequal:
      return a != b;
    case Relation::below:
      return a < b;
    case Relation::at_most:
      return a <= b;
    case Relation::above:
      return a > b;
    case Relation::at_least:
      return a >= b;
  }
  return false;
}

std::optional<double> as_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

struct RowFilter::Parts {
  std::optional<std::regex> name;
  std::size_t column = 0;
  Relation relation = Relation::equal;
  std::string text;
  std::optional<double> number;
};

namespace {

/// What stands before a sign names a column; `(?=` and its like begin a regular expression.
bool is_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == ' ';
  });
}

/// Numbers have an order only beside numbers.
void check_order(const std::string& text, std::size_t column, Relation relation,
                 const std::string& value) {
  const bool ordered = relation != Relation::equal && relation != Relation::unequal;
  if (ordered && !as_number(value) && record_columns()[column].column.hint != Hint::text) {
    throw BadInput(
        fmt::format("--filter {}: expected a number as in speedup>2, found '{}'", text, value));
  }
}

}  // namespace

RowFilter::RowFilter(const std::string& text) {
  auto parts = std::make_shared<Parts>();
  const std::size_t at = text.find_first_of("!<>=");
  for (const Sign& sign : kSigns) {
    if (at == std::string::npos || text.compare(at, sign.text.size(), sign.text) != 0) continue;
    const std::string name = text.substr(0, at);
    const auto column = find_record_column(name);
    if (!column && is_word(name)) {
      throw BadInput(fmt::format(
          "--filter {}: expected the name of a column, found '{}'; the header of csv has them all",
          text, name));
    }
    if (!column) break;
    parts->column = *column;
    parts->relation = sign.relation;
    parts->text = text.substr(at + sign.text.size());
    parts->number = as_number(parts->text);
    check_order(text, *column, sign.relation, parts->text);
    parts_ = parts;
    return;
  }
  try {
    parts->name.emplace(text);
  } catch (const std::regex_error& error) {
    throw BadInput(fmt::format(
        "--filter {}: expected a regular expression on names, or a condition on a column as in "
        "speedup>2, found: {}",
        text, error.what()));
  }
  parts_ = parts;
}

std::optional<std::size_t> RowFilter::column() const {
  return parts_->name ? std::nullopt : std::optional(parts_->column);
}

bool RowFilter::keeps(const RecordRow& row) const {
  if (parts_->name) return name_matches(row.name, *parts_->name);
  const Cell& cell = row.cell(parts_->column);
  if (cell.is_number() && parts_->number) {
    return holds(parts_->relation, cell.value(), *parts_->number);
  }
  const std::string text = human_cell(record_columns()[parts_->column].column, cell);
  return cell.has_value() ? holds(parts_->relation, text, parts_->text)
                          : parts_->relation == Relation::unequal;
}

}  // namespace deformer
