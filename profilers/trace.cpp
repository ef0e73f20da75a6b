#include "profilers/trace.hpp"

#include <algorithm>
#include <limits>

namespace deformer {
namespace {

using nlohmann::ordered_json;

constexpr int kRangesTrack = 1;  // threads follow
/// Numbers of processes are this far apart and those of tracks lie between: viewers take the thread
/// whose number is its process's for the main one and move it up, and number threads for all
/// processes together.
constexpr int kApart = 1000;
/// Seconds of other work lie between the runs of two processes: they are shown as if it were this.
constexpr std::int64_t kBetweenProcessesNs = 1'000'000;

int number(int process) {
  return kApart * process;
}

ordered_json metadata(int process, const char* what, ordered_json arguments) {
  return {{"name", what}, {"ph", "M"}, {"pid", number(process)}, {"args", std::move(arguments)}};
}

std::size_t index_of(const ordered_json& event) {
  return static_cast<std::size_t>(event["pid"].get<int>() / kApart - 1);
}

}  // namespace

int Trace::add_process(const std::string& name, int threads) {
  const int process = ++processes_;
  events_.push_back(metadata(process, "process_name", {{"name", name}}));
  events_.push_back(metadata(process, "process_sort_index", {{"sort_index", process}}));
  for (int track = kRangesTrack; track <= kRangesTrack + threads; ++track) {
    const std::string title = track == kRangesTrack
                                  ? std::string("ranges")
                                  : "thread " + std::to_string(track - kRangesTrack - 1);
    ordered_json event = metadata(process, "thread_name", {{"name", title}});
    event["tid"] = number(process) + track;
    events_.push_back(std::move(event));
  }
  return process;
}

void Trace::add_complete(int process, int track, const std::string& name, std::int64_t start_ns,
                         std::int64_t end_ns, const ordered_json& arguments) {
  ordered_json event{{"name", name},
                     {"cat", "range"},
                     {"ph", "X"},
                     {"pid", number(process)},
                     {"tid", number(process) + track},
                     {"ts", start_ns},
                     {"dur", end_ns - start_ns}};
  if (!arguments.is_null()) {
    event["args"] = arguments;
  }
  events_.push_back(std::move(event));
}

void Trace::add_run(int process, const RangeLog& log, const std::vector<ordered_json>& arguments) {
  const RangeTree& tree = log.tree();
  for (int range = 0; range < tree.size(); ++range) {
    const auto at = static_cast<std::size_t>(range);
    add_complete(process, kRangesTrack, tree[range].name, log.start_ns(range), log.end_ns(range),
                 at < arguments.size() ? arguments[at] : ordered_json());
  }
  for (int thread = 0; thread < log.threads(); ++thread) {
    for (int leaf = 0; leaf < tree.leaves(); ++leaf) {
      const RangeStamp& stamp = log.stamp(thread, leaf);
      if (stamp.worked_ns >= 0) {
        add_complete(process, kRangesTrack + 1 + thread, tree[tree.leaf_range(leaf)].name,
                     stamp.start_ns, stamp.worked_ns, ordered_json());
      }
    }
  }
}

void Trace::add_counter(int process, const std::string& name, std::int64_t at_ns, double value) {
  events_.push_back({{"name", name},
                     {"ph", "C"},
                     {"pid", number(process)},
                     {"ts", at_ns},
                     {"args", {{"value", value}}}});
}

void Trace::add_note(const std::string& name, const std::string& text) {
  notes_[name] = text;
}

std::vector<std::int64_t> Trace::starts_ns() const {
  std::vector<std::int64_t> first(static_cast<std::size_t>(processes_),
                                  std::numeric_limits<std::int64_t>::max());
  std::vector<std::int64_t> last(first.size(), 0);
  for (const ordered_json& event : events_) {
    if (event.contains("ts")) {
      const std::size_t process = index_of(event);
      const auto start_ns = event["ts"].get<std::int64_t>();
      first[process] = std::min(first[process], start_ns);
      last[process] = std::max(last[process], start_ns + event.value("dur", std::int64_t{0}));
    }
  }
  std::int64_t at_ns = 0;
  for (std::size_t process = 0; process < first.size(); ++process) {
    if (last[process] >= first[process]) {
      const std::int64_t lasts_ns = last[process] - first[process];
      first[process] -= at_ns;
      at_ns += lasts_ns + kBetweenProcessesNs;
    }
  }
  return first;
}

std::string Trace::json() const {
  const std::vector<std::int64_t> starts = starts_ns();
  std::string text = "{\"traceEvents\":[";
  const char* separator = "\n";
  for (ordered_json event : events_) {
    // The format counts in microseconds; fractions keep the nanoseconds.
    const std::int64_t start_ns = starts[index_of(event)];
    for (const char* field : {"ts", "dur"}) {
      if (event.contains(field)) {
        const std::int64_t ns =
            event[field].get<std::int64_t>() - (std::string_view(field) == "ts" ? start_ns : 0);
        event[field] = static_cast<double>(ns) / 1000;
      }
    }
    text += separator + event.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    separator = ",\n";
  }
  return text + "\n],\"displayTimeUnit\":\"ns\",\"otherData\":" + notes_.dump() + "}\n";
}

}  // namespace deformer
