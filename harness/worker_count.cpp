#include "harness/worker_count.hpp"

#include <array>
#include <set>
#include <string>

#include <fmt/format.h>

#include "harness/worker_protocol.hpp"
#include "model/error.hpp"
#include "profilers/callgrind.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

/// Where operations end, what was counted of them is dumped.
class DumpAtLeaves final : public RangeWatcher {
 public:
  DumpAtLeaves(std::size_t point, int leaves) {
    for (int leaf = 0; leaf < leaves; ++leaf) {
      labels_.push_back(count_label(point, leaf));
    }
  }
  void began(int /*thread*/, int /*leaf*/) override {}
  void ended(int /*thread*/, int leaf) override {
    if (static_cast<std::size_t>(leaf) < labels_.size()) {
      callgrind_dump(labels_[static_cast<std::size_t>(leaf)].c_str());
    }
  }

 private:
  std::vector<std::string> labels_;
};

ordered_json paths_of_leaves(const RangeLog* log) {
  ordered_json paths = ordered_json::array();
  for (int leaf = 0; log != nullptr && leaf < log->tree().leaves(); ++leaf) {
    paths.push_back(log->tree().path(log->tree().leaf_range(leaf)));
  }
  return paths;
}

ordered_json count_one(Runner& runner, std::size_t index, InstanceTeam& team) {
  RangeLog* log = runner.session().ranges();
  DumpAtLeaves watcher(index, log == nullptr ? 0 : log->tree().leaves());
  const std::string rest = count_label(index, -1);
  team.run_on(0, [&](int) {
    if (log != nullptr) {
      log->set_watcher(&watcher);
    }
    callgrind_start();
    runner.instances.front().forward();
    callgrind_dump(rest.c_str());
    callgrind_stop();
    if (log != nullptr) {
      log->set_watcher(nullptr);
    }
  });
  return {{"key", runner.planned->key}, {"ranges", paths_of_leaves(log)}};
}

/// Of each forward. To be called on the thread that runs it.
ordered_json count_whole(Runner& runner, const CounterStatus& event, std::int64_t forwards) {
  ThreadCounters counters({event});
  std::array<std::int64_t, 1> before{}, after{};
  counters.read(before.data());  // the first read touches what later ones find
  runner.instances.front().forward();
  ordered_json counts = ordered_json::array();
  for (std::int64_t i = 0; i < forwards; ++i) {
    counters.read(before.data());
    runner.instances.front().forward();
    counters.read(after.data());
    counts.push_back(after[0] - before[0]);
  }
  counters.stop();
  if (!counters.trouble().empty()) {
    throw BadInput(
        fmt::format("count: expected to count {}, found: {}", event.name, counters.trouble()));
  }
  return counts;
}

/// Of each leaf in one forward; null where the backend does not walk its leaves.
ordered_json count_leaves(Runner& runner, const CounterStatus& event, std::int64_t forwards) {
  RangeLog* log = runner.session().ranges();
  if (log == nullptr) {
    return nullptr;
  }
  const int leaves = log->tree().leaves();
  CounterWatcher watcher({event}, leaves, 1);
  log->set_watcher(&watcher);
  runner.instances.front().forward();  // the thread makes its counter
  watcher.clear();
  for (std::int64_t i = 0; i < forwards; ++i) {
    runner.instances.front().forward();
  }
  watcher.finish();
  runner.instances.front().forward();
  log->set_watcher(nullptr);
  watcher.drop_refused();
  if (watcher.events().front().source.empty()) {
    return nullptr;
  }
  ordered_json counts = ordered_json::array();
  for (int leaf = 0; leaf < leaves; ++leaf) {
    counts.push_back(static_cast<double>(watcher.count(0, leaf, 0)) /
                     static_cast<double>(forwards));
  }
  return counts;
}

/// "panels", or "qkv=panels ffn1=onednn" where not all are served alike; empty without a choice.
std::string engines_text(const std::vector<std::pair<std::string, std::string>>& engines) {
  std::set<std::string> kinds;
  std::string text;
  for (const auto& [product, engine] : engines) {
    kinds.insert(engine);
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", product, engine);
  }
  return kinds.size() == 1 ? *kinds.begin() : text;
}

/// Threads wait by spinning, which no two runs do alike.
void check_one_thread(const std::vector<Runner>& runners) {
  const Point& point = runners.front().planned->point;
  if (point.threads != 1 || point.instances != 1) {
    throw BadInput(
        fmt::format("count: expected one thread, found {} x {}", point.instances, point.threads));
  }
}

}  // namespace

ordered_json count_forwards(std::vector<Runner>& runners, InstanceTeam& team) {
  if (!under_valgrind()) {
    throw BadInput(
        callgrind_known()
            ? "count: expected to be run by valgrind --tool=callgrind, found that it is not"
            : "count: expected a program built with valgrind/callgrind.h, found none; install "
              "valgrind and build again");
  }
  check_one_thread(runners);
  ordered_json points = ordered_json::array();
  for (std::size_t i = 0; i < runners.size(); ++i) {
    points.push_back(count_one(runners[i], i, team));
  }
  return {{"isa", offered_isa()}, {"points", std::move(points)}};
}

CounterStatus instruction_counter() {
  return try_counters(find_counters("instructions")->events).front();
}

ordered_json count_by_counters(std::vector<Runner>& runners, InstanceTeam& team,
                               const CounterStatus& event, std::int64_t forwards,
                               const std::vector<std::pair<std::string, std::string>>& engines) {
  if (event.source.empty()) {
    throw BadInput("count: no counters here: " + event.missing);
  }
  check_one_thread(runners);
  if (runners.front().device_clock) {
    throw BadInput("count: expected a backend that computes on a thread, found one on a device");
  }
  ordered_json points = ordered_json::array();
  for (Runner& runner : runners) {
    ordered_json whole, leaves;
    team.run_on(0, [&](int) {
      whole = count_whole(runner, event, forwards);
      leaves = count_leaves(runner, event, forwards);
    });
    points.push_back({{"key", runner.planned->key},
                      {"ranges", paths_of_leaves(runner.session().ranges())},
                      {"forwards", std::move(whole)},
                      {"of_ranges", std::move(leaves)}});
  }
  return {{"isa", offered_isa()},
          {"by", event.source},
          {"engines", engines_text(engines)},
          {"points", std::move(points)}};
}

}  // namespace deformer
