#include "harness/worker_count.hpp"

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
  ordered_json paths = ordered_json::array();
  for (int leaf = 0; log != nullptr && leaf < log->tree().leaves(); ++leaf) {
    paths.push_back(log->tree().path(log->tree().leaf_range(leaf)));
  }
  return {{"key", runner.planned->key}, {"ranges", std::move(paths)}};
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
  const Point& point = runners.front().planned->point;
  if (point.threads != 1 || point.instances != 1) {
    throw BadInput(
        fmt::format("count: expected one thread, found {} x {}", point.instances, point.threads));
  }
  ordered_json points = ordered_json::array();
  for (std::size_t i = 0; i < runners.size(); ++i) {
    points.push_back(count_one(runners[i], i, team));
  }
  return {{"isa", offered_isa()}, {"points", std::move(points)}};
}

}  // namespace deformer
