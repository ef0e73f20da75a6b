#include "cli/describe.hpp"

#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "build_id.hpp"
#include "cli/app.hpp"
#include "model/error.hpp"

namespace deformer::cli {
namespace {

using Described = std::vector<std::pair<Verb, VerbDescription>>;

VerbDescription describe(const Verb& verb) {
  App::describe_only = true;
  try {
    (void)verb.run({});
  } catch (VerbDescription& description) {
    App::describe_only = false;
    return std::move(description);
  }
  App::describe_only = false;
  return {};
}

// ---- man page

/// Text that roff does not act on.
std::string roff(const std::string& text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) {
      out += "\\&";
    }
    out += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
    line_begins = c == '\n';
  }
  return out;
}

std::string man_option(const VerbDescription::Option& option) {
  std::string names =
      fmt::format("\\fB{}\\fR", roff(fmt::format("{}", fmt::join(option.names, ", "))));
  if (option.takes_value && !option.positional) {
    names += " \\fIVALUE\\fR";
  }
  return fmt::format(".TP\n{}\n{}\n", names, roff(option.text.empty() ? "\\ " : option.text));
}

std::string man_page(const Described& verbs) {
  std::string text = fmt::format(
      ".TH DEFORMER\\-BENCH 1 \"\" \"deformer\\-bench {}\" \"User Commands\"\n.SH NAME\n"
      "deformer\\-bench \\- what precomputing the passage buys on this machine, and what it costs\n"
      ".SH SYNOPSIS\n.B deformer\\-bench\n.I VERB\n[\\fIoptions\\fR]\n.SH DESCRIPTION\n"
      "Runs full, decomposed and cached transformer forward passes, sweeps the split layer, "
      "lengths "
      "and batch, and turns what it measured into tables, pages and verdicts.\n"
      "stdout carries the result, stderr everything else.\n",
      roff(kVersion));
  for (const auto& [verb, description] : verbs) {
    text += fmt::format(".SH \"{}\"\n", roff(verb.name));
    const std::size_t end = description.summary.find("\n\n");
    const std::string example = description.summary.substr(0, end);
    text += roff(end == std::string::npos ? verb.summary : description.summary.substr(end + 2)) +
            "\n.PP\n" + roff(example) + "\n";
    for (const VerbDescription::Option& option : description.options) {
      text += man_option(option);
    }
  }
  return text +
         ".SH ENVIRONMENT\nEvery option has a twin: \\fBDEFORMER_BENCH_MAX_TIME\\fR for "
         "\\fB\\-\\-max\\-time\\fR. \\fBNO_COLOR\\fR is honoured.\n"
         ".SH \"EXIT STATUS\"\n0 done; 1 judged bad; 2 bad usage or input; 3 not to be had here; "
         "4 no decision; 130 interrupted.\n";
}

// ---- completions

std::vector<std::string> long_names(const VerbDescription& description) {
  std::vector<std::string> names;
  for (const VerbDescription::Option& option : description.options) {
    for (const std::string& name : option.names) {
      if (name.starts_with("--")) {
        names.push_back(name);
      }
    }
  }
  return names;
}

std::string bash_completion(const Described& verbs) {
  std::string names;
  std::string cases;
  for (const auto& [verb, description] : verbs) {
    names += fmt::format("{} ", verb.name);
    cases += fmt::format("    {}) options=\"{}\" ;;\n", verb.name,
                         fmt::join(long_names(description), " "));
  }
  std::string values;
  for (const auto& [verb, description] : verbs) {
    for (const VerbDescription::Option& option : description.options) {
      if (!option.choices.empty() && !option.names.empty()) {
        values +=
            fmt::format("    {}{}) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return ;;\n",
                        verb.name, option.names.back(), fmt::join(option.choices, " "));
      }
    }
  }
  return fmt::format(
      "# bash completion of deformer-bench; written by the program itself\n"
      "_deformer_bench() {{\n"
      "  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" before=\"${{COMP_WORDS[COMP_CWORD-1]}}\" "
      "options\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W \"{}--help --version\" -- \"$word\")); return\n  fi\n"
      "  case \"${{COMP_WORDS[1]}}$before\" in\n{}  esac\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n{}  esac\n"
      "  case \"$word\" in\n"
      "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
      "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n  esac\n}}\n"
      "complete -o filenames -F _deformer_bench deformer-bench\n",
      names, values, cases);
}

/// Text within single quotes and brackets of zsh's _arguments.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '[' || c == ']' || c == ':' || c == '\\') {
      out += std::string("\\") + c;
    } else {
      out += c == '\n' ? ' ' : c;
    }
  }
  return out;
}

std::string zsh_completion(const Described& verbs) {
  std::string names;
  std::string cases;
  for (const auto& [verb, description] : verbs) {
    names += fmt::format("    '{}:{}'\n", verb.name, zsh_text(verb.summary));
    cases += fmt::format("    {}) _arguments \\\n", verb.name);
    for (const VerbDescription::Option& option : description.options) {
      if (option.positional || option.names.empty()) {
        continue;
      }
      const std::string value = !option.takes_value ? ""
                                : option.choices.empty()
                                    ? ":value:_files"
                                    : fmt::format(":value:({})", fmt::join(option.choices, " "));
      cases +=
          fmt::format("      '*{}[{}]{}' \\\n", option.names.back(), zsh_text(option.text), value);
    }
    cases += "      '*:file:_files' ;;\n";
  }
  return fmt::format(
      "#compdef deformer-bench\n# zsh completion; written by the program itself\n"
      "_deformer_bench() {{\n  local -a verbs\n  verbs=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then _describe verb verbs; return; fi\n"
      "  local verb=$words[2]\n  shift words; (( CURRENT-- ))\n  case $verb in\n{}  esac\n}}\n"
      "_deformer_bench \"$@\"\n",
      names, cases);
}

}  // namespace

std::string describe_program(std::span<const Verb> verbs, const std::string& form) {
  Described described;
  for (const Verb& verb : verbs) {
    described.emplace_back(verb, describe(verb));
  }
  if (form == "man") {
    return man_page(described);
  }
  if (form == "bash") {
    return bash_completion(described);
  }
  if (form == "zsh") {
    return zsh_completion(described);
  }
  throw BadInput(fmt::format("describe: expected man, bash or zsh, found '{}'", form));
}

}  // namespace deformer::cli
