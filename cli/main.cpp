/// deformer-bench VERB [options]: finds the verb, runs it, turns errors into exit codes.

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backends/cpu/cpu.hpp"
#include "backends/registry.hpp"
#include "build_id.hpp"
#include "cli/app.hpp"
#include "cli/describe.hpp"
#include "cli/verbs.hpp"
#include "model/error.hpp"

namespace deformer::cli {
namespace {

constexpr std::array kVerbs{
    Verb{"sweep", "measure every point of the axes given, append records, print the table",
         run_sweep_verb},
    Verb{"report", "run files as console, markdown, latex, csv, html, gbench or json",
         run_report_verb},
    Verb{"compare", "two run files side by side, paired by key", run_compare_verb},
    Verb{"gate", "verdict on head against base, for CI", run_gate_verb},
    Verb{"verify", "parity of a backend with golden data", run_verify_verb},
    Verb{"cost", "the cost model alone: FLOPs, bytes, predicted crossover", run_cost_verb},
    Verb{"profile", "one shape, opened up: phases, operations, roofs, what bounds each",
         run_profile_verb},
    Verb{"machine", "fingerprint and measured roofs", run_machine_verb},
    Verb{"paper", "the paper's numbers: published, from the cost model, measured here",
         run_paper_verb},
    Verb{"list", "models, tasks, backends, dtypes, counters", run_list_verb},
};

std::string overview() {
  std::string text =
      "Example: deformer-bench sweep --model bert-tiny --task squad --max-time 1\n\n"
      "What does precomputing the passage buy on this machine, and what does it cost?\n\n"
      "Usage: deformer-bench VERB [options]\n\nVerbs (each with its own --help):\n";
  for (const Verb& verb : kVerbs) {
    text += fmt::format("  {:<9} {}\n", verb.name, verb.summary);
  }
  return text +
         "\nOptions:\n  --help     this page\n  --version  version, build, backends, libraries\n";
}

std::string version() {
  std::string text =
      fmt::format("deformer-bench {}\nrevision {}\nbuild {}\n", kVersion, kRevision, kBuildId);
  for (const Backend* backend : all_backends()) {
    const BackendInfo info = backend->info();
    text +=
        fmt::format("backend {}: {}\n", info.name,
                    info.unavailable.empty() ? info.description : "missing: " + info.unavailable);
  }
  for (const auto& [name, library_version] : cpu_libraries()) {
    text += fmt::format("library {} {}\n", name, library_version);
  }
  return text;
}

int dispatch(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    throw BadInput("expected a verb, found none; see `deformer-bench --help`");
  }
  const std::string& word = arguments.front();
  if (word == "--help" || word == "-h" || word == "help") {
    print_result(overview());
    return kDone;
  }
  if (word == "--version") {
    print_result(version());
    return kDone;
  }
  if (word == "sample-memory") {  // started by `profile`, for itself
    return run_sample_memory({arguments.begin() + 1, arguments.end()});
  }
  if (word == "describe") {  // hidden: what the package's man page and completions are made with
    print_result(describe_program(kVerbs, arguments.size() > 1 ? arguments[1] : ""));
    return kDone;
  }
  const auto verb = std::ranges::find(kVerbs, word, &Verb::name);
  if (verb == kVerbs.end()) {
    std::vector<std::string> names;
    for (const Verb& known : kVerbs) {
      names.emplace_back(known.name);
    }
    const std::string near = nearest(word, names);
    throw BadInput(fmt::format("expected a verb, found '{}'; {}see `deformer-bench --help`", word,
                               near.empty() ? "" : fmt::format("did you mean {}? ", near)));
  }
  return verb->run({arguments.begin() + 1, arguments.end()});
}

int guarded(const std::vector<std::string>& arguments) {
  const auto fail = [](int code, const std::string& message) {
    fmt::print(stderr, "deformer-bench: error: {}\n", message);
    return code;
  };
  try {
    return dispatch(arguments);
  } catch (const BadInput& error) {
    return fail(kBadInput, error.what());
  } catch (const Unavailable& error) {
    return fail(kUnavailable, error.what());
  } catch (const std::system_error& error) {
    return fail(kBadInput, error.what());
  } catch (const std::bad_alloc&) {
    return fail(kUnavailable, "this machine has too little memory for what was asked");
  } catch (const std::exception& error) {
    return fail(kUndecided, error.what());
  }
}

}  // namespace

}  // namespace deformer::cli

int main(int argc, char** argv) {
  // Left alone, glibc raises this limit with the blocks that are freed: what packing weights frees
  // then stays in holes of the heap. Fixed, a bert-base sweep holds 568 MB instead of 591 MB.
  constexpr int kOwnMappingFromBytes = 1 << 20;
  (void)mallopt(M_MMAP_THRESHOLD, kOwnMappingFromBytes);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is reported where the result is written
  const int code = deformer::cli::guarded({argv + 1, argv + argc});
  rlimit address_space{};
  if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY) {
    // Where `ulimit -v` is too low for OpenBLAS's threads they ask for memory again and again, and
    // its exit handler would wait for them for ever.
    (void)std::fflush(nullptr);
    _exit(code);
  }
  return code;
}
