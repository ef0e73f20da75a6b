#include "cli/help.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "reports/text.hpp"

namespace deformer::cli {
namespace {

constexpr std::size_t kNames = 28;  ///< columns before an option's text

/// "-k, --split AXIS"
std::string names_of(const CLI::Option& option) {
  if (option.get_positional()) {
    return option.get_name();
  }
  std::string names;
  for (const std::string& name : option.get_snames()) {
    names += fmt::format("-{}, ", name);
  }
  for (const std::string& name : option.get_lnames()) {
    names += fmt::format("--{}, ", name);
  }
  names.resize(names.size() - 2);
  if (option.get_items_expected_max() == 0) {
    return names;
  }
  std::string kind = option.get_type_name();
  kind = kind.substr(0, kind.find(':'));  // what follows is how a value is checked
  return fmt::format("{} {}", names,
                     kind == "FLOAT"                   ? "NUMBER"
                     : kind == "INT" || kind == "UINT" ? "N"
                     : kind == "TEXT"                  ? "VALUE"
                                                       : kind);
}

/// The option's text, and its default where the text does not tell it.
std::string text_of(const CLI::Option& option) {
  std::string text = option.get_description();
  const std::string standard = option.get_default_str();
  if (option.get_required() && !option.get_positional()) {
    text += " (required)";
  } else if (option.get_items_expected_max() > 0 && !standard.empty() && standard != "[]" &&
             text.find("default") == std::string::npos) {
    text += fmt::format(" (default: {})", standard);
  }
  return text;
}

std::string entry(const CLI::Option& option, std::size_t width) {
  std::string out = "  " + names_of(option);
  bool first = out.size() + 1 < kNames;
  out += first ? std::string(kNames - out.size(), ' ') : "\n";
  for (const std::string& line : wrapped(text_of(option), width - kNames)) {
    out += (first ? "" : std::string(kNames, ' ')) + line + "\n";
    first = false;
  }
  return out;
}

std::string section(const CLI::App& app, std::string_view title, std::size_t width,
                    bool (*belongs)(const CLI::Option&)) {
  std::string out;
  for (const CLI::Option* option : app.get_options()) {
    out += belongs(*option) ? entry(*option, width) : "";
  }
  return out.empty() ? out : fmt::format("\n{}:\n{}", title, out);
}

bool is_point(const CLI::Option& option) {
  return option.get_group() == "Points";
}

/// The description's lines, each wrapped; the first is the example, which can be pasted.
std::string description(const CLI::App& app, std::size_t width) {
  const std::string text = app.get_description();
  std::string_view rest = text;
  std::string out;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    for (const std::string& part : wrapped(line, out.empty() ? line.size() : width)) {
      out += part + "\n";
    }
  }
  return out;
}

}  // namespace

std::string help_page(const CLI::App& app, std::size_t width) {
  width = std::max<std::size_t>(width, 60);
  std::string usage = fmt::format("Usage: {} [options]", app.get_name());
  for (const CLI::Option* option :
       app.get_options([](const CLI::Option* o) { return o->get_positional(); })) {
    const bool several = option->get_items_expected_max() > 1;
    const std::string name = option->get_name() + (several ? "..." : "");
    usage += option->get_required() ? " " + name : fmt::format(" [{}]", name);
  }
  std::string out = fmt::format("{}\n{}\n", description(app, width), usage);
  out += section(app, "Operands", width,
                 [](const CLI::Option& option) { return option.get_positional(); });
  out += section(app, "Points", width, is_point);
  out += section(app, "Options", width, [](const CLI::Option& option) {
    return !option.get_positional() && !is_point(option);
  });
  return out + "\nEach has a twin in the environment: DEFORMER_BENCH_MAX_TIME for --max-time.\n";
}

}  // namespace deformer::cli
