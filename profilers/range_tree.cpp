#include "profilers/range_tree.hpp"

#include <algorithm>
#include <utility>

namespace deformer {
namespace {

/// Stamps of different threads never share a cache line (64 bytes), nor two adjacent ones, which
/// hardware fetches in pairs: 16 stamps of 24 bytes are three such pairs.
constexpr std::size_t kRowPadding = 16;

}  // namespace

int RangeTree::add(int parent, std::string name) {
  const int index = size();
  if (parent >= 0) {
    Range& above = ranges_[static_cast<std::size_t>(parent)];
    if (above.leaf) {  // it was the leaf added last, and gives its number to its first child
      above.leaf = false;
      leaves_.pop_back();
    }
  }
  const int leaf = leaves();
  const int depth = parent < 0 ? 0 : (*this)[parent].depth + 1;
  ranges_.push_back({std::move(name), parent, depth, leaf, leaf + 1});
  leaves_.push_back(index);
  for (int above = parent; above >= 0; above = (*this)[above].parent) {
    ranges_[static_cast<std::size_t>(above)].last_leaf = leaf + 1;
  }
  return index;
}

std::string RangeTree::path(int range) const {
  const Range& self = (*this)[range];
  return self.depth <= 1 ? self.name : path(self.parent) + "/" + self.name;
}

void RangeCursor::lose(std::int64_t ns) {
  for (const std::int64_t end_ns = now_ns() + ns; now_ns() < end_ns;) {
  }
}

RangeLog::RangeLog(RangeTree tree, int threads)
    : tree_(std::move(tree)),
      threads_(threads),
      // One more than there are leaves: a cursor stamps the start of what follows the last.
      row_((static_cast<std::size_t>(tree_.leaves()) / kRowPadding + 2) * kRowPadding),
      stamps_(row_ * static_cast<std::size_t>(threads)),
      outer_(static_cast<std::size_t>(tree_.size())) {}

RangeCursor RangeLog::cursor(int thread, int range) {
  const int leaf = tree_[range].first_leaf;
  return {&stamps_[static_cast<std::size_t>(thread) * row_ + static_cast<std::size_t>(leaf)],
          thread, leaf, thread == 0 && delay_.leaf >= 0 ? &delay_ : nullptr, watcher_};
}

void RangeLog::put(int thread, int range, const RangeStamp& stamp) {
  stamps_[static_cast<std::size_t>(thread) * row_ +
          static_cast<std::size_t>(tree_[range].first_leaf)] = stamp;
}

std::int64_t RangeLog::lose_in(int range) {
  if (delay_.leaf != tree_[range].first_leaf) {
    return 0;
  }
  RangeCursor::lose(delay_.ns);
  return delay_.ns;
}

void RangeLog::set_delay(int range, std::int64_t ns) {
  delay_ = ns > 0 ? RangeDelay{tree_[range].first_leaf, ns} : RangeDelay{};
}

std::int64_t RangeLog::start_ns(int range) const {
  const RangeStamp& outer = outer_[static_cast<std::size_t>(range)];
  return outer.start_ns >= 0 ? outer.start_ns : stamp(0, tree_[range].first_leaf).start_ns;
}

std::int64_t RangeLog::end_ns(int range) const {
  const RangeStamp& outer = outer_[static_cast<std::size_t>(range)];
  return outer.end_ns >= 0 ? outer.end_ns : stamp(0, tree_[range].last_leaf - 1).end_ns;
}

std::int64_t RangeLog::busy_ns(int thread, int range) const {
  std::int64_t sum = 0;
  for (int leaf = tree_[range].first_leaf; leaf < tree_[range].last_leaf; ++leaf) {
    const RangeStamp& at = stamp(thread, leaf);
    if (at.worked_ns < 0) {
      return -1;
    }
    sum += at.worked_ns - at.start_ns;
  }
  return sum;
}

RangeSums::RangeSums(const RangeLog& log)
    : threads_(log.threads()),
      leaves_(static_cast<std::size_t>(log.tree().leaves())),
      elapsed_ns_(static_cast<std::size_t>(log.tree().size())),
      busy_ns_(leaves_ * static_cast<std::size_t>(threads_)) {}

void RangeSums::clear() {
  runs_ = 0;
  std::ranges::fill(elapsed_ns_, 0.0);
  std::ranges::fill(busy_ns_, 0.0);
}

void RangeSums::add(const RangeLog& log) {
  ++runs_;
  for (std::size_t range = 0; range < elapsed_ns_.size(); ++range) {
    elapsed_ns_[range] += static_cast<double>(log.elapsed_ns(static_cast<int>(range)));
  }
  double* sum = busy_ns_.data();
  for (int thread = 0; thread < threads_; ++thread) {
    for (std::size_t leaf = 0; leaf < leaves_; ++leaf, ++sum) {
      const RangeStamp& at = log.stamp(thread, static_cast<int>(leaf));
      const bool known = at.worked_ns >= 0 && *sum >= 0;
      *sum = known ? *sum + static_cast<double>(at.worked_ns - at.start_ns) : -1;
    }
  }
}

void RangeSums::add(const RangeSums& other) {
  runs_ += other.runs_;
  for (std::size_t range = 0; range < elapsed_ns_.size(); ++range) {
    elapsed_ns_[range] += other.elapsed_ns_[range];
  }
  for (std::size_t i = 0; i < busy_ns_.size(); ++i) {
    busy_ns_[i] = busy_ns_[i] < 0 || other.busy_ns_[i] < 0 ? -1 : busy_ns_[i] + other.busy_ns_[i];
  }
}

double RangeSums::busy_ns(const RangeTree& tree, int thread, int range) const {
  double sum = 0;
  for (int leaf = tree[range].first_leaf; leaf < tree[range].last_leaf; ++leaf) {
    const double leaf_ns =
        busy_ns_[static_cast<std::size_t>(thread) * leaves_ + static_cast<std::size_t>(leaf)];
    if (leaf_ns < 0) {
      return -1;
    }
    sum += leaf_ns;
  }
  return sum;
}

}  // namespace deformer
