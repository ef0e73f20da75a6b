#pragma once
/// Ranges: the one skeleton on which clocks, counters, NVTX, memory and the trace hang their
/// figures. A RangeTree says which ranges one run passes through, as a tree whose leaves follow
/// each other in time (run -> phase -> layer -> operation here, but nothing in this file knows).
/// A RangeLog holds the times of the last run.
///
/// How it is recorded. Each thread has a row of stamps of its own, one a leaf, and walks it with a
/// RangeCursor: a thread's next leaf begins where its last one ended, so a leaf costs two readings
/// of the clock and three stores to memory that nobody else touches; nothing is allocated, shared
/// or looked up. Of a leaf that ends at a barrier a thread knows
///
///     start_ns   it passed the barrier before     \  busy: its own work
///     worked_ns  it has nothing left to do        /  \  wait: for the others, and the barrier
///     end_ns     it passed the barrier after          /
///
/// and the leaf's elapsed time is end - start of thread 0, so that leaves add up to the time
/// between the first start and the last end without a gap. Ranges that a caller opens and closes
/// around a parallel region have stamps of their own; what they hold beyond their leaves is the
/// cost of entering and leaving the region. What recording costs is measured (by running with and
/// without it), shown and never subtracted.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "profilers/clock.hpp"

namespace deformer {

class RangeTree {
 public:
  struct Range {
    std::string name;
    int parent;      ///< -1 for the root
    int depth;       ///< 0 for the root
    int first_leaf;  ///< numbers of the leaves below it, [first_leaf, last_leaf); its own for a
                     ///< leaf
    int last_leaf;
    bool leaf = true;
  };

  /// Adds a range and returns its index. In the order of a walk: the root first (parent -1), then
  /// each range before those inside it and after those before it in time.
  int add(int parent, std::string name);

  int size() const { return static_cast<int>(ranges_.size()); }
  int leaves() const { return static_cast<int>(leaves_.size()); }
  const Range& operator[](int range) const { return ranges_[static_cast<std::size_t>(range)]; }
  /// The range that is leaf number `leaf`.
  int leaf_range(int leaf) const { return leaves_[static_cast<std::size_t>(leaf)]; }
  /// Names from below the root, by slashes: "encode(joint,9..12)/layer 9/ffn1"; the root's own.
  std::string path(int range) const;

 private:
  std::vector<Range> ranges_;
  std::vector<int> leaves_;
};

/// Times are of now_ns(); -1 where a thread took no part.
struct RangeStamp {
  std::int64_t start_ns = -1;
  std::int64_t worked_ns = -1;
  std::int64_t end_ns = -1;
};

/// Time to lose inside one leaf: the fault hook of tests.
struct RangeDelay {
  int leaf = -1;
  std::int64_t ns = 0;
};

/// Told of every range as it happens, to hang figures of its own on it: counters, NVTX. Called on
/// the thread in question; what it costs falls into the ranges, so runs that are watched are not
/// those that are timed.
class RangeWatcher {
 public:
  virtual ~RangeWatcher() = default;
  virtual void opened(int /*range*/) {}
  virtual void closed(int /*range*/) {}
  /// May be told twice of the same leaf (a phase ended, the next one begins), and at the end of the
  /// run of one leaf more than there are.
  virtual void began(int thread, int leaf) = 0;
  virtual void ended(int thread, int leaf) = 0;  ///< nothing left to do in it
};

/// One thread's way along its row of stamps.
class RangeCursor {
 public:
  RangeCursor(RangeStamp* at, int thread, int leaf, const RangeDelay* delay, RangeWatcher* watcher)
      : at_(at), thread_(thread), leaf_(leaf), delay_(delay), watcher_(watcher) {}

  /// The thread begins its leaf now. Later leaves begin where the one before ended.
  void begin() {
    at_->start_ns = now_ns();
    if (watcher_ != nullptr) {
      watcher_->began(thread_, leaf_);
    }
  }
  /// It has nothing left to do in it.
  void worked() {
    if (delay_ != nullptr && delay_->leaf == leaf_) {
      lose(delay_->ns);
    }
    at_->worked_ns = now_ns();
    if (watcher_ != nullptr) {
      watcher_->ended(thread_, leaf_);
    }
  }
  /// All threads have met: on to the next leaf.
  void met() {
    const std::int64_t now = now_ns();
    at_->end_ns = now;
    ++at_;
    ++leaf_;
    at_->start_ns = now;
    if (watcher_ != nullptr) {
      watcher_->began(thread_, leaf_);
    }
  }

  static void lose(std::int64_t ns);

 private:
  RangeStamp* at_;
  int thread_;
  int leaf_;
  const RangeDelay* delay_;
  RangeWatcher* watcher_;
};

class RangeLog {
 public:
  /// Allocates all it will ever need.
  RangeLog(RangeTree tree, int threads);

  const RangeTree& tree() const { return tree_; }
  int threads() const { return threads_; }

  /// A thread's cursor at the first leaf of a range. Only thread 0 spends a delay.
  RangeCursor cursor(int thread, int range);
  /// By the calling thread, around whatever the range holds. Both return their stamp, so that one
  /// look at the clock can end a range and start the next.
  std::int64_t open(int range) { return open(range, now_ns()); }
  std::int64_t open(int range, std::int64_t start_ns) {
    outer_[static_cast<std::size_t>(range)].start_ns = start_ns;
    if (watcher_ != nullptr) {
      watcher_->opened(range);
    }
    return start_ns;
  }
  std::int64_t close(int range) {
    if (watcher_ != nullptr) {
      watcher_->closed(range);
    }
    const std::int64_t end_ns = now_ns();
    outer_[static_cast<std::size_t>(range)].end_ns = end_ns;
    return end_ns;
  }
  /// For backends that find a leaf's time otherwise than by walking.
  void put(int thread, int range, const RangeStamp& stamp);
  /// The same of a range that holds others.
  void put_outer(int range, std::int64_t start_ns, std::int64_t end_ns) {
    RangeStamp& outer = outer_[static_cast<std::size_t>(range)];
    outer.start_ns = start_ns;
    outer.end_ns = end_ns;
  }
  /// Spends the delay if it is this leaf's. Returns what it was, else 0.
  std::int64_t lose_in(int range);

  /// Spends `ns` more in this leaf in every run, on one thread, before the others are met; 0 stops.
  void set_delay(int range, std::int64_t ns);
  /// Null watches no more.
  void set_watcher(RangeWatcher* watcher) { watcher_ = watcher; }

  // Of the last run.

  std::int64_t start_ns(int range) const;
  std::int64_t end_ns(int range) const;
  std::int64_t elapsed_ns(int range) const { return end_ns(range) - start_ns(range); }
  /// A thread's own stamps of a leaf.
  const RangeStamp& stamp(int thread, int leaf) const {
    return stamps_[static_cast<std::size_t>(thread) * row_ + static_cast<std::size_t>(leaf)];
  }
  /// What a thread worked in a range's leaves; -1 where it isn't known.
  std::int64_t busy_ns(int thread, int range) const;

 private:
  RangeTree tree_;
  int threads_;
  std::size_t row_;  ///< stamps of a thread, with padding
  std::vector<RangeStamp> stamps_;
  std::vector<RangeStamp> outer_;  ///< by range, where it was opened and closed
  RangeDelay delay_;
  RangeWatcher* watcher_ = nullptr;
};

/// Sums of many runs. Adding allocates nothing.
class RangeSums {
 public:
  RangeSums() = default;
  explicit RangeSums(const RangeLog& log);
  void clear();
  void add(const RangeLog& log);
  void add(const RangeSums& other);

  std::int64_t runs() const { return runs_; }
  int threads() const { return threads_; }
  int ranges() const { return static_cast<int>(elapsed_ns_.size()); }
  double elapsed_ns(int range) const { return elapsed_ns_[static_cast<std::size_t>(range)]; }
  /// A thread's own work in a range's leaves; below 0 where it isn't known.
  double busy_ns(const RangeTree& tree, int thread, int range) const;

 private:
  int threads_ = 0;
  std::int64_t runs_ = 0;
  std::size_t leaves_ = 0;
  std::vector<double> elapsed_ns_;
  std::vector<double> busy_ns_;  ///< [thread][leaf]
};

}  // namespace deformer
