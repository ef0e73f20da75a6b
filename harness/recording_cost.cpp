#include "harness/recording_cost.hpp"

#include <vector>

#include "profilers/clock.hpp"
#include "profilers/statistics.hpp"

namespace deformer {
namespace {

constexpr int kReplays = 201;
/// What backends open and close: the run and its phases.
constexpr int kDeepestOpened = 1;

void replay(RangeLog& log, bool opened) {
  const RangeTree& tree = log.tree();
  std::int64_t start_ns = log.open(0);
  for (int range = 1; range < tree.size(); ++range) {
    if (tree[range].depth != kDeepestOpened) {
      continue;
    }
    log.open(range, start_ns);
    if (!opened) {
      RangeCursor cursor = log.cursor(0, range);
      cursor.begin();
      for (int leaf = tree[range].first_leaf; leaf < tree[range].last_leaf; ++leaf) {
        cursor.worked();
        cursor.met();
      }
    }
    start_ns = log.close(range);
  }
  log.close(0);
}

}  // namespace

double replayed_recording_ns(const RangeLog& log, bool opened) {
  RangeLog copy = log;
  copy.set_watcher(nullptr);
  copy.set_delay(0, 0);
  RangeSums sums(copy);
  std::vector<double> taken_ns;
  for (int i = 0; i < kReplays; ++i) {
    const std::int64_t start = now_ns();
    replay(copy, opened);
    sums.add(copy);
    taken_ns.push_back(static_cast<double>(now_ns() - start));
  }
  return median(taken_ns).value_or(0);
}

}  // namespace deformer
