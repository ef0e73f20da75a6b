#include "cli/usage_errors.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "reports/text.hpp"

namespace deformer::cli {
namespace {

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

/// "--format: xml not in {console,json}", as CLI11's IsMember says it.
std::optional<std::string> not_a_member(const std::string& message) {
  constexpr std::string_view kMiddle = " not in {";
  const std::size_t middle = message.rfind(kMiddle);
  const std::size_t colon = message.find(": ");
  if (middle == std::string::npos || colon == std::string::npos || colon > middle ||
      !message.ends_with('}')) {
    return std::nullopt;
  }
  const std::string found = message.substr(colon + 2, middle - colon - 2);
  std::string choices = message.substr(middle + kMiddle.size());
  choices.pop_back();
  std::ranges::replace(choices, ',', ' ');
  return fmt::format("{}: expected one of {}, found '{}'{}", message.substr(0, colon), choices,
                     found, did_you_mean(found, choices));
}

/// "Could not convert: --rate = many".
std::optional<std::string> not_a_number(const std::string& message) {
  constexpr std::string_view kOpening = "Could not convert: ";
  const std::size_t equals = message.find(" = ");
  if (!message.starts_with(kOpening) || equals == std::string::npos) {
    return std::nullopt;
  }
  return fmt::format("{}: expected a number, found '{}'",
                     message.substr(kOpening.size(), equals - kOpening.size()),
                     message.substr(equals + 3));
}

/// "--config: File does not exist: sweep.toml".
std::optional<std::string> not_a_file(const std::string& message) {
  constexpr std::string_view kMiddle = ": File does not exist: ";
  const std::size_t middle = message.find(kMiddle);
  if (middle == std::string::npos) {
    return std::nullopt;
  }
  return fmt::format("{}: expected a file, found none named '{}'", message.substr(0, middle),
                     message.substr(middle + kMiddle.size()));
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = word.size() / 3 + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(const std::string& word, std::string_view choices) {
  const std::string near = nearest(word, wrapped(choices, 1));
  return near.empty() ? "" : fmt::format("; did you mean {}?", near);
}

std::string toml_fault(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  int open_brackets = 0;
  for (int number = 1; std::getline(file, line); ++number) {
    const bool continues = open_brackets > 0;
    char quote = 0;
    bool equals = false;
    bool section = false;
    bool content = false;
    for (const char c : line) {
      if (quote != 0) {
        quote = c == quote ? '\0' : quote;
        continue;
      }
      if (c == '#') {
        break;
      }
      section = section || (!content && c == '[' && !continues);
      content = content || std::isspace(static_cast<unsigned char>(c)) == 0;
      quote = c == '"' || c == '\'' ? c : '\0';
      equals = equals || c == '=';
      open_brackets += c == '[' ? 1 : c == ']' ? -1 : 0;
    }
    if (quote != 0 || open_brackets < 0 || (section && open_brackets != 0) ||
        (content && !equals && !section && !continues)) {
      return fmt::format("{}:{}: expected `name = value` in TOML, found '{}'", path, number,
                         line.substr(0, 60));
    }
  }
  return open_brackets == 0 ? "" : fmt::format("{}: expected every [ to be closed", path);
}

std::string plain_words(const std::string& message) {
  for (const auto& words : {not_a_member(message), not_a_number(message), not_a_file(message)}) {
    if (words) {
      return *words;
    }
  }
  return message;
}

std::string config_error(const std::string& path, const std::string& message,
                         const std::vector<std::string>& options) {
  constexpr std::string_view kUnknown = "INI was not able to parse ";
  if (!message.starts_with(kUnknown)) {
    return fmt::format("--config: {}: {}; expected options of this verb, named without dashes",
                       path, message);
  }
  const std::string name = message.substr(kUnknown.size());
  const std::string near = nearest("--" + name, options);
  return fmt::format(
      "--config: {}: expected options of this verb, named as in --help without dashes, found "
      "'{}'{}",
      path, name, near.empty() ? "" : fmt::format("; did you mean {}?", near.substr(2)));
}

}  // namespace deformer::cli
