// `gate`: finds the sub-verb and runs it. Each has a file of its own: gate_files.cpp, ...

#include "cli/gate.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "cli/verbs.hpp"
#include "model/error.hpp"

namespace deformer::cli {
namespace {

/// A sub-verb is one line here and one file.
const std::vector<Verb>& subverbs() {
  static const std::vector<Verb> verbs = {
      {"measure", "two builds measured side by side: verdict on head", run_gate_measure},
      {"calibrate", "A/A pairs on this machine: noise, thresholds, false alarms",
       run_gate_calibrate},
      {"files", "two run files: verdict on HEAD against BASE", run_gate_files},
      {"replay", "recorded rounds judged again: false alarms and misses of any rule",
       run_gate_replay},
      {"history", "runs over time in one file: trends, change points, plots", run_gate_history},
  };
  return verbs;
}

std::string overview() {
  std::string text =
      "Example: deformer-bench gate files base.jsonl head.jsonl\n\n"
      "Is head slower than base? A verdict for CI: PASS, IMPROVED (exit code 0), REGRESSED, "
      "INVALID "
      "(1),\nMISSING, INCOMPARABLE, AMBIGUOUS (4); 2 is bad usage or input.\n\n"
      "Usage: deformer-bench gate SUBVERB [options]\n\nSub-verbs (each with its own --help):\n";
  for (const Verb& verb : subverbs()) {
    text += fmt::format("  {:<9} {}\n", verb.name, verb.summary);
  }
  return text;
}

/// For the man page and completions: the options of all sub-verbs, each once.
VerbDescription describe_all() {
  VerbDescription all{overview(), {}};
  VerbDescription::Option which{{"SUBVERB"}, true, true, {}, "What to do"};
  for (const Verb& verb : subverbs()) {
    which.choices.emplace_back(verb.name);
  }
  all.options.push_back(std::move(which));
  for (const Verb& verb : subverbs()) {
    try {
      (void)verb.run({});
    } catch (const VerbDescription& description) {
      for (const VerbDescription::Option& option : description.options) {
        if (std::ranges::find(all.options, option.names, &VerbDescription::Option::names) ==
            all.options.end()) {
          all.options.push_back(option);
        }
      }
    }
  }
  return all;
}

}  // namespace

int run_gate_verb(const std::vector<std::string>& arguments) {
  if (App::describe_only) {
    throw describe_all();
  }
  if (arguments.empty()) {
    throw BadInput("gate: expected a sub-verb, found none; see `deformer-bench gate --help`");
  }
  const std::string& word = arguments.front();
  if (word == "--help" || word == "-h" || word == "help") {
    print_result(overview());
    return kDone;
  }
  const auto verb = std::ranges::find(subverbs(), word, &Verb::name);
  if (verb == subverbs().end()) {
    std::vector<std::string> names;
    for (const Verb& known : subverbs()) {
      names.emplace_back(known.name);
    }
    const std::string near = nearest(word, names);
    throw BadInput(
        fmt::format("gate: expected a sub-verb, found '{}'; {}see `deformer-bench gate --help`",
                    word, near.empty() ? "" : fmt::format("did you mean {}? ", near)));
  }
  return verb->run({arguments.begin() + 1, arguments.end()});
}

}  // namespace deformer::cli
