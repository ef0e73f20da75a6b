#include "harness/done.hpp"

#include <algorithm>
#include <cctype>
#include <set>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

/// A reason without its figures: available memory is another number every time.
std::string without_figures(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isdigit(c) != 0; });
  return text;
}

bool needs_ratio(const PlannedGroup& group, const PlannedPoint& planned) {
  return planned.point.variant != Variant::full &&
         std::ranges::any_of(group.points, [](const PlannedPoint& other) {
           return other.point.variant == Variant::full && other.skip == Skip::no;
         });
}

std::string difference_to(const ordered_json& run, const SweepOptions& options,
                          const ordered_json& machine, const std::string& path) {
  const std::string build = run.value("build", "");
  if (build != options.build.build) {
    return fmt::format("build '{}' in {}, '{}' here", build, path, options.build.build);
  }
  return describe_differences(deciding_of_run(run),
                              deciding_of_run(ordered_json{{"machine", machine}}));
}

}  // namespace

Done::Done(const RunFile& file, const SweepOptions& options, const ordered_json& machine)
    : ranges_wanted_(options.detail > Detail::phase) {
  std::set<std::string> ours;
  for (const ordered_json& run : file.runs) {
    const std::string difference = difference_to(run, options, machine, file.path.string());
    if (difference.empty()) {
      ours.insert(run.at("id").get<std::string>());
    } else if (!options.fresh && !options.allow_mixed) {
      throw BadInput(fmt::format(
          "{}: expected a run file of this build and machine, found {}; choose another --out, or "
          "--fresh to measure all again, or --allow-mixed to append beside it",
          file.path.string(), difference));
    }
  }
  if (options.fresh) {
    return;
  }
  for (const ordered_json& record : file.records) {
    // A slowdown that was planted makes another measurement of it.
    if (ours.contains(record.at("run").get<std::string>()) &&
        record.value("injected", "") == options.inject.text) {
      latest_[record.at("key").get<std::string>()] = &record;
    }
  }
}

bool Done::contains(const PlannedGroup& group, const PlannedPoint& planned) const {
  const auto found = latest_.find(planned.key);
  if (found == latest_.end()) {
    return false;
  }
  const ordered_json& record = *found->second;
  if (planned.skip != Skip::no) {
    return record.at("status") == "skipped" && record.at("reason").is_string() &&
           without_figures(record.at("reason").get<std::string>()) ==
               without_figures(planned.reason);
  }
  return record.at("status") == "ok" &&
         !(needs_ratio(group, planned) && record.value("speedup", ordered_json()).is_null()) &&
         !(ranges_wanted_ && record.value("ranges", ordered_json()).is_null());
}

}  // namespace deformer
