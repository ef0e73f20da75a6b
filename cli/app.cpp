#include "cli/app.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/help.hpp"
#include "model/error.hpp"
#include "records/run_file.hpp"
#include "reports/text.hpp"

namespace deformer::cli {
namespace {

/// The choices that an option's text lists: "... : console, markdown" and "on | off: ...".
std::vector<std::string> choices_in(const std::string& text) {
  const auto words_between = [](const std::string& list, const std::string& separator) {
    std::vector<std::string> words;
    std::size_t begin = 0;
    while (true) {
      const std::size_t end = list.find(separator, begin);
      words.push_back(list.substr(begin, end == std::string::npos ? end : end - begin));
      if (words.back().empty() || words.back().find_first_of(" <>=()") != std::string::npos) {
        return std::vector<std::string>{};
      }
      if (end == std::string::npos) {
        return words;
      }
      begin = end + separator.size();
    }
  };
  const std::size_t colon = text.find(": ");
  const std::string head = text.substr(0, colon);
  if (head.find(" | ") != std::string::npos) {
    return words_between(head, " | ");
  }
  const std::string tail = colon == std::string::npos ? "" : text.substr(colon + 2);
  return tail.find(", ") == std::string::npos ? std::vector<std::string>{}
                                              : words_between(tail, ", ");
}

/// Columns of the terminal that stdout is; 0 when it is none.
std::size_t terminal_columns() {
  winsize size{};
  const bool known = isatty(STDOUT_FILENO) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  return known ? size.ws_col : 0;
}

/// Longer lines than 100 columns are hard to read; a pager or a file gets 80.
std::size_t help_columns() {
  const std::size_t columns = terminal_columns();
  return columns == 0 ? 80 : std::min<std::size_t>(columns, 100);
}

/// "--max-time" -> "DEFORMER_BENCH_MAX_TIME".
std::string environment_name(const std::string& long_name) {
  std::string name = "DEFORMER_BENCH_" + long_name;
  std::ranges::transform(name, name.begin(), [](unsigned char c) {
    return c == '-' ? '_' : static_cast<char>(std::toupper(c));
  });
  return name;
}

}  // namespace

App::App(const std::string& verb, const std::string& summary, const std::string& example)
    : CLI::App(fmt::format("Example: {}\n\n{}", example, summary), "deformer-bench " + verb),
      verb_(verb) {
  set_config("--config", "", "TOML file with options of this verb, named as here without dashes")
      ->check(CLI::ExistingFile)
      ->check(CLI::Validator(toml_fault, "TOML"))
      ->type_name("FILE");
  option_defaults()->always_capture_default();  // the run line records what was resolved
  allow_config_extras(CLI::config_extras_mode::error);
}

bool App::describe_only = false;

VerbDescription App::description() const {
  VerbDescription description{get_description(), {}};
  for (const CLI::Option* option : get_options()) {
    VerbDescription::Option entry;
    entry.positional = option->get_positional();
    for (const std::string& name : option->get_snames()) {
      entry.names.push_back("-" + name);
    }
    for (const std::string& name : option->get_lnames()) {
      entry.names.push_back("--" + name);
    }
    if (entry.positional) {
      entry.names = {option->get_name()};
    }
    entry.takes_value = option->get_items_expected_max() > 0;
    entry.text = option->get_description();
    entry.choices = choices_in(entry.text);
    description.options.push_back(std::move(entry));
  }
  return description;
}

void App::add_environment_twins() {
  for (CLI::Option* option : get_options()) {
    const std::vector<std::string>& names = option->get_lnames();
    if (!names.empty() && names.front() != "help" && names.front() != "config") {
      option->envname(environment_name(names.front()));
    }
  }
}

std::vector<std::string> App::long_options() const {
  std::vector<std::string> names;
  for (const CLI::Option* option : get_options()) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  return names;
}

std::string App::words_of(const CLI::ParseError& error) const {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::vector<std::string> extra = remaining();
    const auto option =
        std::ranges::find_if(extra, [](const std::string& word) { return word.starts_with('-'); });
    if (option == extra.end()) {
      return fmt::format("expected options and their values, found '{}'",
                         extra.empty() ? "" : extra.front());
    }
    const std::string name = option->substr(0, option->find('='));
    const std::string near = nearest(name, long_options());
    return fmt::format("there is no option {}{}", name,
                       near.empty() ? "" : fmt::format("; did you mean {}?", near));
  }
  return plain_words(error.what());
}

std::optional<int> App::read(std::vector<std::string> arguments) {
  add_environment_twins();
  if (describe_only) {
    throw description();
  }
  std::ranges::reverse(arguments);  // CLI11 takes them last first
  try {
    parse(arguments);
  } catch (const CLI::CallForHelp&) {
    print_result(help_page(*this, help_columns()));
    return 0;
  } catch (const CLI::ConfigError& error) {
    throw BadInput(config_error(get_config_ptr()->as<std::string>(), error.what(), long_options()));
  } catch (const CLI::ParseError& error) {
    throw BadInput(fmt::format("{}; see `deformer-bench {} --help`", words_of(error), verb_));
  }
  return std::nullopt;
}

nlohmann::ordered_json App::resolved() const {
  nlohmann::ordered_json options = nlohmann::ordered_json::object();
  for (const CLI::Option* option : get_options()) {
    const std::vector<std::string>& names = option->get_lnames();
    if (names.empty() || names.front() == "help") {
      continue;
    }
    if (option->count() > 0) {
      options[names.front()] = fmt::format("{}", fmt::join(option->results(), ","));
    } else if (!option->get_default_str().empty() && option->get_default_str() != "[]") {
      options[names.front()] = option->get_default_str();
    }
  }
  return options;
}

void add_format(CLI::App& app, std::string& format, const std::vector<std::string>& choices) {
  format = choices.front();
  app.add_option("--format", format,
                 fmt::format("Form of the result on stdout: {}", fmt::join(choices, ", ")))
      ->check(CLI::IsMember(choices));
}

double parse_seconds(const std::string& option, const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const std::string unit(rest, end);
  const double scale = unit.empty() || unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  const double seconds = value * scale;
  if (error != std::errc{} || !std::isfinite(seconds) || seconds <= 0 || seconds > 1e7) {
    throw BadInput(
        fmt::format("{}: expected a time above 0 as 90s, 10m or 2h, found '{}'", option, text));
  }
  return seconds;
}

std::vector<std::string> split_list(const std::vector<std::string>& values) {
  std::vector<std::string> pieces;
  for (const std::string& value : values) {
    std::size_t begin = 0;
    while (true) {
      const std::size_t comma = value.find(',', begin);
      pieces.push_back(value.substr(begin, comma == std::string::npos ? comma : comma - begin));
      if (comma == std::string::npos) {
        break;
      }
      begin = comma + 1;
    }
  }
  return pieces;
}

void print_result(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::fflush(stdout) != 0) {
    throw BadInput("stdout: expected to write the result there, found it full or closed");
  }
}

void print_piece(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) {
    throw BadInput("stdout: expected to write the result there, found it full or closed");
  }
}

void finish_result() {
  print_result("");
}

const std::vector<std::string>& table_formats() {
  static const std::vector<std::string> formats = {"console", "markdown", "latex", "csv", "json"};
  return formats;
}

TableFormat table_format(const std::string& name) {
  const auto& formats = table_formats();
  return static_cast<TableFormat>(std::ranges::find(formats, name) - formats.begin());
}

void print_tables(const std::string& verb, const std::vector<Table>& tables,
                  const std::string& format, bool standalone) {
  const PrintOptions options{.format = table_format(format),
                             .width = format == "console" ? terminal_columns() : 0,
                             .standalone = false};  // several tables are one document
  if (format == "json") {
    std::vector<nlohmann::ordered_json> rows;
    for (const Table& table : tables) {
      for (std::size_t r = 0; r < table.rows.size(); ++r) {
        rows.push_back(row_json(table, r));
        if (tables.size() > 1) {
          rows.back()["table"] = table.title;
        }
      }
    }
    return print_json(verb, rows);
  }
  const bool document = standalone && options.format == TableFormat::latex;
  if (document) {
    print_piece(latex_preamble());
  }
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (i > 0) {
      print_piece("\n");
    }
    print_table(tables[i], options, print_piece);
  }
  if (document) {
    print_piece(latex_ending());
  }
  finish_result();
}

void print_json(const std::string& verb, const std::vector<nlohmann::ordered_json>& rows) {
  std::string text =
      fmt::format("{{\"type\":\"{}\",\"schema\":{},\"rows\":[", verb, kRunFileSchema);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += i == 0 ? "\n" : ",\n";
    text += to_line(rows[i]);
  }
  print_result(text + "\n]}\n");
}

void warn(const std::string& message) {
  fmt::print(stderr, "deformer-bench: warning: {}\n", message);
}

}  // namespace deformer::cli
