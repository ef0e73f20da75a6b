// `verify`: parity of a backend with golden data.

#include <algorithm>
#include <optional>
#include <regex>

#include <fmt/format.h>

#include "backends/golden.hpp"
#include "backends/registry.hpp"
#include "cache/codec.hpp"
#include "cli/app.hpp"
#include "cli/plugin_option.hpp"
#include "cli/verbs.hpp"
#include "cli/verify_results.hpp"
#include "harness/thread_limit.hpp"
#include "model/error.hpp"
#include "profilers/machine.hpp"
#include "reports/name_match.hpp"

namespace deformer::cli {
namespace {

struct VerifyArguments {
  std::vector<std::string> directories;
  std::string weights;
  std::string backend = "cpu";
  std::string dtype = "f32";
  std::string cache_dtype;
  std::string cache_at = "device";
  std::string filter;
  int threads = 0;
  std::string format;
};

struct Subject {
  Backend* backend;
  DType dtype;
  DType cache_dtype;
  CachePlace cache_at;
  int threads;
  std::optional<std::regex> filter;
};

/// The cases that a filter leaves, all without one.
std::vector<GoldenCase> wanted_cases(const GoldenSet& golden,
                                     const std::optional<std::regex>& filter) {
  std::vector<GoldenCase> cases = golden.cases;
  std::erase_if(cases, [&filter](const GoldenCase& one) {
    return filter && !name_matches(one.name, *filter);
  });
  return cases;
}

std::optional<std::regex> filter_of(const std::string& text) {
  if (text.empty()) {
    return std::nullopt;
  }
  try {
    return std::regex(text);
  } catch (const std::regex_error& error) {
    throw BadInput(
        fmt::format("--filter: expected a regular expression, found '{}': {}", text, error.what()));
  }
}

Subject find_subject(const VerifyArguments& arguments) {
  Subject subject{};
  subject.backend = &require_backend(arguments.backend);
  const auto dtype = parse_dtype(arguments.dtype);
  const auto cache_dtype =
      parse_dtype(arguments.cache_dtype.empty() ? "f32" : arguments.cache_dtype);
  if (!dtype || dtype == DType::bit1 || !cache_dtype) {
    throw BadInput(fmt::format("{}: expected one of f32 tf32 bf16 f16 int8 fp8, found '{}'",
                               cache_dtype ? "--dtype" : "--cache-dtype",
                               cache_dtype ? arguments.dtype : arguments.cache_dtype));
  }
  subject.dtype = *dtype;
  subject.cache_dtype = *cache_dtype;
  const auto cache_at = parse_cache_place(arguments.cache_at);
  if (!cache_at) {
    throw BadInput(fmt::format("--cache-at: expected one of device pinned pageable, found '{}'",
                               arguments.cache_at));
  }
  subject.cache_at = *cache_at;
  subject.filter = filter_of(arguments.filter);
  subject.threads = arguments.threads > 0 ? arguments.threads : default_threads();
  return subject;
}

/// Adds a directory's cases to the results, or why the backend can't serve its model.
void verify_directory(const std::string& directory, const std::string& weights,
                      const Subject& subject, VerifyResults& results) {
  const GoldenSet golden = read_golden(directory, weights);
  const std::vector<GoldenCase> cases = wanted_cases(golden, subject.filter);
  if (cases.empty() && subject.filter) {
    return;
  }
  const ModelConfig& config = golden.weights->config();
  if (auto why = subject.backend->why_not(config, subject.dtype, subject.cache_dtype)) {
    results.skipped.push_back({directory, std::move(*why)});
    return;
  }
  std::int64_t positions = 1;
  for (const GoldenCase& one : cases) {
    positions = std::max(positions, longest(one.shape(), Segment::joint));
  }
  const std::unique_ptr<Model> model = subject.backend->load(
      *golden.weights,
      {.dtype = subject.dtype, .threads = subject.threads, .positions = positions});
  for (const GoldenCase& one : cases) {
    const CaseOutput output = run_golden_case(*model, one,
                                              {.threads = subject.threads,
                                               .cache_dtype = subject.cache_dtype,
                                               .keep_layers = {},
                                               .cache_at = subject.cache_at});
    CaseResult result{.directory = directory, .name = one.name, .parity = {}, .tolerance = {}};
    result.parity = compare_rows(std::span<const float>(output.rows),
                                 std::span<const float>(one.expected), config.d_model);
    result.tolerance = tolerance_for(
        subject.backend->info().name == "reference", subject.dtype, largest_magnitude(one.expected),
        one.variant == Variant::cached ? subject.cache_dtype : DType::f32);
    result.ok = result.tolerance.accepts(result.parity);
    results.cases.push_back(std::move(result));
  }
}

/// Everything asked for is something this backend does not have, or a filter left nothing.
int nothing_verified(const VerifyResults& results) {
  if (results.skipped.empty()) {
    fmt::print(stderr, "deformer-bench: the filter left no case to verify\n");
    return kUndecided;
  }
  const SkippedDirectory& first = results.skipped.front();
  const std::size_t others = results.skipped.size() - 1;
  throw Unavailable(fmt::format("{}: {}{}", first.directory, first.reason,
                                others == 0   ? ""
                                : others == 1 ? "; the other can't be served either"
                                              : fmt::format("; nor can {} others", others)));
}

}  // namespace

int run_verify_verb(const std::vector<std::string>& given) {
  App app("verify", "Parity of a backend with golden data: one line a case.",
          "deformer-bench verify tests/data/golden/bert-erf --backend reference");
  VerifyArguments arguments;
  app.add_option("DIR", arguments.directories, "Golden directories")->required();
  app.add_option("--weights", arguments.weights,
                 "Take config.json and model.safetensors from this directory");
  app.add_option("--backend", arguments.backend, "Which backend (see `list`)")
      ->capture_default_str();
  app.add_option("--dtype", arguments.dtype, "f32 tf32 bf16 f16 int8 fp8")->capture_default_str();
  app.add_option("--cache-dtype", arguments.cache_dtype,
                 "Storage of cached passages (default: f32)");
  app.add_option("--cache-at", arguments.cache_at,
                 "device pinned pageable: memory that holds cached passages")
      ->capture_default_str();
  app.add_option("--filter", arguments.filter,
                 "Keep cases whose name matches this regular expression");
  app.add_option("--threads,-t", arguments.threads, "Threads (default: the cores allowed)")
      ->check(CLI::Range(1, 1024));
  PluginOption plugins;
  plugins.add_to(app);
  add_format(app, arguments.format, {"console", "json"});
  if (const auto code = app.read(given)) {
    return *code;
  }
  plugins.add_backends();
  const Subject subject = find_subject(arguments);
  if (const BackendInfo info = subject.backend->info(); !info.unavailable.empty()) {
    throw Unavailable(fmt::format("backend {}: {}", info.name, info.unavailable));
  }
  if (const std::string why = why_not_threads(subject.threads); !why.empty()) {
    throw Unavailable("--threads: " + why);
  }
  if (const auto why = subject.backend->why_not_placed(subject.cache_at, false)) {
    throw Unavailable(*why);
  }
  VerifyResults results;
  for (const std::string& directory : arguments.directories) {
    verify_directory(directory, arguments.weights, subject, results);
  }
  if (results.cases.empty()) {
    return nothing_verified(results);
  }
  if (arguments.format == "json") {
    print_verify_rows(results);
  } else {
    print_verify_lines(results, arguments.directories.size() > 1);
  }
  if (!results.skipped.empty()) {
    fmt::print(stderr, "deformer-bench: {}: the backend can't serve their models\n",
               skipped_count(results));
  }
  const auto failed = std::ranges::count(results.cases, false, &CaseResult::ok);
  if (failed > 0) {
    fmt::print(stderr, "deformer-bench: parity failed in {} of {} cases\n", failed,
               results.cases.size());
    return kJudgedBad;
  }
  return kDone;
}

}  // namespace deformer::cli
