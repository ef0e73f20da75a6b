// `profile`: one point, opened up.

#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backends/registry.hpp"
#include "build_id.hpp"
#include "cli/app.hpp"
#include "cli/measuring_options.hpp"
#include "cli/point_options.hpp"
#include "cli/progress.hpp"
#include "cli/verbs.hpp"
#include "harness/interrupt.hpp"
#include "harness/profile.hpp"
#include "harness/sweep.hpp"
#include "model/error.hpp"
#include "reports/profile.hpp"

namespace deformer::cli {
namespace {

using nlohmann::ordered_json;

struct ProfileArguments {
  PointOptions points;
  MeasuringOptions measuring{"op"};
  std::vector<std::string> counters;
  std::string out, roofline, trace, format;
};

void add_options(App& app, ProfileArguments& arguments) {
  arguments.points.add_to(app);
  app.add_option("--out,-o", arguments.out, "Run file to append the records to (default: none)");
  arguments.measuring.add_to(app, "Seconds a point for the rounds, and as many for looking closer");
  app.add_option("--roofline", arguments.roofline, "Write the rooflines to this file, as SVG");
  app.add_option("--trace", arguments.trace,
                 "Write some forwards to this file, in the Chrome/Perfetto JSON format");
  app.add_option("--counters", arguments.counters,
                 "Groups or events to count, see `list` (default: software)")
      ->allow_extra_args(false);
  add_format(app, arguments.format, {"console", "markdown", "json"});
}

/// A run file that is gone with the program, for who asks for none.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& asked) : path_(asked), ours_(asked.empty()) {
    if (ours_) {
      std::string name =
          (std::filesystem::temp_directory_path() / "deformer-profile-XXXXXX").string();
      const int descriptor = mkstemp(name.data());
      if (descriptor < 0) {
        throw BadInput(name + ": expected to write a temporary file there; name one by --out");
      }
      close(descriptor);
      path_ = name;
    }
  }
  ~ScratchFile() {
    std::error_code ignored;
    if (ours_) {
      std::filesystem::remove(path_, ignored);
    }
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool ours_;
};

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) {
    throw BadInput(path + ": expected to write there, found it can't be");
  }
}

/// Before minutes of measuring: that a file can be written where it was asked for. One that was not
/// there is taken away again.
void expect_writable(const char* option, const std::string& path) {
  if (path.empty()) {
    return;
  }
  std::error_code ignored;
  const bool was_there = std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
  if (was_there && !std::filesystem::is_regular_file(path, ignored) &&
      !std::filesystem::is_directory(path, ignored)) {
    return;  // opening a pipe or a device may wait, or mean something
  }
  if (!std::ofstream(path, std::ios::app)) {
    throw BadInput(fmt::format("{}: expected a file that can be written, found {} can't be: {}",
                               option, path, std::strerror(errno)));
  }
  if (!was_there) {
    std::filesystem::remove(path, ignored);
  }
}

std::vector<CounterGroup> counters_of(const std::vector<std::string>& asked) {
  std::vector<CounterGroup> groups;
  for (const std::string& word :
       asked.empty() ? std::vector<std::string>{"software"} : split_list(asked)) {
    const auto found = find_counters(word);
    if (!found) {
      std::vector<std::string> names;
      for (const CounterGroup& group : counter_groups()) {
        names.push_back(group.name);
      }
      throw BadInput(fmt::format(
          "--counters: expected groups ({}), their events, or PAPI's names, found '{}'; see "
          "`deformer-bench list`",
          fmt::join(names, " "), word));
    }
    groups.push_back(*found);
  }
  return groups;
}

std::vector<PlannedGroup> plan_groups(const SweepSpec& spec) {
  std::vector<PlannedGroup> groups = expand(spec);
  if (groups.size() > 1) {
    throw BadInput(fmt::format(
        "profile: expected one shape, with any variants and splits of it; found {} ({}, {}, ...); "
        "give one model, batch, lengths and number of threads",
        groups.size(), group_name(groups[0]), group_name(groups[1])));
  }
  if (!groups.empty()) {
    mark_unavailable(groups);
  }
  return groups;
}

Roofs processor_roofs(const Machine& machine, int threads, Progress& progress) {
  return team_roofs(
             machine, kBuildId, threads, false,
             [&progress](const std::string& text) { progress.warning(text); },
             [&progress](const std::string& what) { progress.step(what, 0, 0); })
      .roofs;
}

std::string console(const std::vector<ordered_json>& records, const Roofs& roofs,
                    TableFormat style) {
  std::string text;
  for (const ordered_json& record : records) {
    if (record.at("status") == "skipped") {
      text += fmt::format("{}: skipped: {}\n\n", record.at("name").get<std::string>(),
                          record.at("reason").get<std::string>());
      continue;
    }
    for (const Table& table : profile_tables(record)) {
      text += print_table(table, style) + "\n";
    }
    const Roofline roofline = roofline_of(
        record, roofline_ceilings(roofs, record.at("point").at("dtype").get<std::string>()));
    if (!roofline.points.empty()) {
      text += style == TableFormat::console ? roofline_text(roofline)
                                            : "```\n" + roofline_text(roofline) + "```\n";
      text += "\n";
    }
  }
  return text;
}

}  // namespace

int run_profile_verb(const std::vector<std::string>& given) {
  ProfileArguments options;
  App app("profile",
          "One shape, opened up: time by phase and operation against the measured roofs, what "
          "bounds each, and from the FLOP ratio to the measured one step by step.",
          "deformer-bench profile --model bert-tiny --task squad --split 1 --max-time 1");
  add_options(app, options);
  if (const auto code = app.read(given)) {
    return *code;
  }
  options.measuring.check(app);
  const SweepSpec spec = options.points.spec(true);
  const std::vector<PlannedGroup> groups = plan_groups(spec);
  if (groups.empty()) {
    fmt::print(stderr, "deformer-bench: the filter left no point to profile\n");
    return kUndecided;
  }
  const Point& point = groups.front().points.front().point;
  SweepOptions sweep = options.measuring.sweep(app, spec, groups, "profile", given);
  sweep.fresh = true;  // it is asked what is so now
  expect_writable("--out", options.out);
  expect_writable("--trace", options.trace);
  expect_writable("--roofline", options.roofline);
  const ScratchFile scratch(options.out);
  sweep.out = scratch.path();
  catch_interrupts();
  ProfileOptions profile_options;
  SweepResult result;
  std::string trace;
  profile_options.counters = counters_of(options.counters);
  profile_options.sampler = "/proc/self/exe";
  {
    Progress progress(options.measuring.quiet());
    const Machine machine = this_machine();
    profile_options.limit_s = options.measuring.max_time_s();
    profile_options.last_level_cache_bytes = machine.last_level_cache_bytes;
    // The processors' roofs say nothing of what a device computes.
    if (require_backend(point.backend).info().device.empty()) {
      profile_options.roofs = processor_roofs(machine, point.threads * point.instances, progress);
    }
    Profile profile(profile_options);
    sweep.examiner = &profile;
    BenchmarkDriver driver({});
    result = run_sweep(spec, groups, sweep, driver, progress);
    trace = profile.trace().json();
  }
  // The result first: it is there even if a file can't be written after all.
  if (options.format == "json") {
    print_json("profile", result.records);
  } else {
    print_result(
        console(result.records, profile_options.roofs,
                options.format == "console" ? TableFormat::console : TableFormat::markdown));
  }
  if (!options.trace.empty()) {
    write_file(options.trace, trace);
  }
  if (!options.roofline.empty()) {
    std::vector<Roofline> rooflines;
    for (const ordered_json& record : result.records) {
      rooflines.push_back(
          roofline_of(record, roofline_ceilings(profile_options.roofs, to_string(point.dtype))));
    }
    write_file(options.roofline, roofline_svg(rooflines));
  }
  return outcome(result, "interrupted");
}

}  // namespace deformer::cli
