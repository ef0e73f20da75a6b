#include "cli/measuring_options.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "backends/registry.hpp"
#include "build_id.hpp"
#include "cli/verbs.hpp"
#include "model/error.hpp"
#include "model/sha256.hpp"

namespace deformer::cli {

namespace {

/// "+cuda:1a2b3c4d" for every backend that is a module: other code is another build, and what it
/// measured does not count as done.
std::string modules_suffix(const std::vector<std::string>& backends) {
  std::string suffix;
  for (const std::string& backend : backends) {
    const std::filesystem::path file = backend_origin(backend).file;
    if (file.empty()) {
      continue;
    }
    std::ifstream in(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    suffix += fmt::format("+{}:{}", backend, sha256_hex(bytes).substr(0, 8));
  }
  return suffix;
}

}  // namespace

void MeasuringOptions::add_to(CLI::App& app, const std::string& max_time_help) {
  app.add_option("--max-time", max_time_s_, max_time_help)->capture_default_str();
  app.add_option("--rounds", rounds_, "Fixed number of rounds (default: until precise)");
  app.add_option("--parity", parity_, "on | off: check every point against the reference")
      ->check(CLI::IsMember({"on", "off"}));
  app.add_option("--pin", pin_,
                 "auto | off: bind each thread to a processor where there is one for each")
      ->check(CLI::IsMember({"auto", "off"}));
  app.add_option("--detail", detail_,
                 "phase | layer | op: how far down the records tell where the time goes")
      ->check(CLI::IsMember({"phase", "layer", "op"}));
  app.add_option(
      "--inject", inject_,
      "Fault hook for tests: op=NAME[,layer=L],slowdown=P% of the whole forward, planted "
      "in that operation; marks every record");
  app.add_flag("--quiet", quiet_, "Nothing on stderr but errors");
}

void MeasuringOptions::check(const CLI::App& app) const {
  if (!std::isfinite(max_time_s_) || max_time_s_ <= 0 || max_time_s_ > 1e7) {
    throw BadInput(
        fmt::format("--max-time: expected seconds above 0 and below 1e7, found {}", max_time_s_));
  }
  if (app.count("--rounds") > 0 && (rounds_ < 1 || rounds_ > 10'000'000)) {
    throw BadInput(fmt::format("--rounds: expected 1 to 10000000, found {}", rounds_));
  }
}

SweepOptions MeasuringOptions::sweep(const App& app, const SweepSpec& spec,
                                     const std::vector<PlannedGroup>& groups,
                                     const std::string& verb,
                                     const std::vector<std::string>& given) const {
  SweepOptions sweep;
  sweep.parity = parity_ == "on";
  sweep.pin = pin_ == "auto";
  sweep.detail = *parse_detail(detail_);
  if (!inject_.empty()) {
    sweep.inject = parse_injection(inject_);
    sweep.detail = Detail::op;
    for (const PlannedGroup& group : groups) {
      check_injection(sweep.inject, group.config);
    }
  }
  sweep.measure = {.max_time_s = max_time_s_, .rounds = rounds_, .seed = spec.seed};
  sweep.command = {"deformer-bench", verb};
  sweep.command.insert(sweep.command.end(), given.begin(), given.end());
  sweep.resolved_options = app.resolved();
  if (!sweep.resolved_options.contains("threads")) {
    sweep.resolved_options["threads"] = spec.default_threads;
  }
  sweep.build = {kVersion, kRevision, kBuildId + modules_suffix(spec.backends), kBuildFlags};
  return sweep;
}

int outcome(const SweepResult& result, const std::string& interrupted) {
  const auto fail = [](int code, const std::string& message) {
    fmt::print(stderr, "deformer-bench: {}\n", message);
    return code;
  };
  if (result.interrupted) {
    return fail(kInterrupted, interrupted);
  }
  if (result.invalid > 0) {
    return fail(kJudgedBad,
                fmt::format("{} of {} points failed parity", result.invalid, result.points));
  }
  if (result.failed > 0) {
    return fail(kUndecided, fmt::format("{} of {} points failed; their records say why",
                                        result.failed, result.points));
  }
  return kDone;
}

}  // namespace deformer::cli
