#pragma once
/// What every verb's command line has in common: help that starts with an example, `--config`,
/// environment twins, errors with the nearest option, output on stdout that is checked.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/usage_errors.hpp"
#include "reports/table.hpp"

namespace deformer::cli {

/// What a verb's command line says of itself.
struct VerbDescription {
  struct Option {
    std::vector<std::string> names;  ///< "-k", "--split"; of a positional its name
    bool positional = false;
    bool takes_value = false;
    std::vector<std::string> choices;
    std::string text;
  };
  std::string summary;  ///< begins with a line "Example: ..."
  std::vector<Option> options;
};

class App : public CLI::App {
 public:
  /// `example`: one runnable command line, shown first in --help.
  App(const std::string& verb, const std::string& summary, const std::string& example);

  /// Parses; every option gets its environment twin (DEFORMER_BENCH_MAX_TIME for --max-time) and
  /// may come from --config. Returns an exit code when there is nothing left to do (--help).
  /// @throws BadInput with the nearest option for an unknown one.
  std::optional<int> read(std::vector<std::string> arguments);

  /// While this is set, read() throws the description of the verb instead of parsing: what man page
  /// and completions are made of.
  static bool describe_only;

  /// The options as they were resolved, for the run line.
  nlohmann::ordered_json resolved() const;

 private:
  void add_environment_twins();
  VerbDescription description() const;
  std::vector<std::string> long_options() const;
  /// The error as it is told: with the option that was meant.
  std::string words_of(const CLI::ParseError& error) const;
  std::string verb_;
};

/// "--format" with its choices. The first is the default.
void add_format(CLI::App& app, std::string& format, const std::vector<std::string>& choices);

/// "90", "90s", "10m", "2h" in seconds. @throws BadInput naming the option.
double parse_seconds(const std::string& option, const std::string& text);

/// Splits comma lists, several options joined: {"a,b","c"} -> a b c.
std::vector<std::string> split_list(const std::vector<std::string>& values);

/// Writes the result to stdout. @throws BadInput when it can't be written (full disk, closed pipe).
void print_result(const std::string& text);

/// The same piece by piece; finish_result() after the last one finds what the buffer hid.
void print_piece(std::string_view text);
void finish_result();

/// Formats that every table can be printed in, the first the default.
const std::vector<std::string>& table_formats();
TableFormat table_format(const std::string& name);

/// Prints tables one after another in a format of table_formats(); on a terminal columns are left
/// out to fit it. `verb` names the result in json. csv puts an empty line between tables;
/// latex that stands alone is one document.
void print_tables(const std::string& verb, const std::vector<Table>& tables,
                  const std::string& format, bool standalone = false);

/// {"type":verb,"schema":1,"rows":[...]}
void print_json(const std::string& verb, const std::vector<nlohmann::ordered_json>& rows);

/// One line on stderr: "deformer-bench: warning: ...".
void warn(const std::string& message);

}  // namespace deformer::cli
