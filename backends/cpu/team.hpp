#pragma once
/// One thread team for everything a forward pass does: a phase is one parallel region, in which all
/// workers walk the same steps, draw their pieces of each step from ticket counters and meet at a
/// spin barrier. Entering an OpenMP region for every step instead costs the wake-up of its threads
/// each time, and static shares make everyone wait for whoever was disturbed.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace deformer {

namespace detail {

/// Shared by the workers of one region. A line of its own for each: they are written all the time.
struct TeamState {
  struct alignas(64) Drawn {
    std::atomic<std::int64_t> pieces{0};
  };
  explicit TeamState(int threads) : own(static_cast<std::size_t>(threads)) {}
  /// Starts a step: nothing drawn yet.
  void reset();

  alignas(64) std::atomic<int> arrived{0};
  alignas(64) std::atomic<std::uint32_t> generation{0};
  alignas(64) std::atomic<std::int64_t> ticket{0};
  std::vector<Drawn> own;  ///< by worker: drawn from its range of pieces
};

}  // namespace detail

/// Indices [first, last).
struct Share {
  std::int64_t first;
  std::int64_t last;
};

/// One thread of the team, inside a region.
class Worker {
 public:
  Worker(detail::TeamState& state, int index, int count)
      : state_(state), index_(index), count_(count) {}

  int index() const { return index_; }
  int count() const { return count_; }
  bool first() const { return index_ == 0; }

  /// This worker's even share of `count` things.
  Share share(std::int64_t count) const { return share_of(index_, count); }
  /// Of `pieces` pieces, the even share that `piece` is in.
  Share range_of(std::int64_t piece, std::int64_t pieces) const;
  /// The next piece of the current step, from 0; the caller stops at its number of pieces.
  std::int64_t next() const { return state_.ticket.fetch_add(1, std::memory_order_relaxed); }
  /// The next of `pieces` pieces, or `pieces` when none is left: first those of this worker's even
  /// share, in order, so that what lies side by side stays with one core; then what others have not
  /// drawn from theirs. A step uses either this or `next`, with one number of pieces.
  std::int64_t next_near(std::int64_t pieces) const;
  /// Waits for all workers. What they wrote before is visible after; tickets start again at 0.
  void barrier() const;

 private:
  Share share_of(int index, std::int64_t count) const {
    return {count * index / count_, count * (index + 1) / count_};
  }

  detail::TeamState& state_;
  int index_;
  int count_;
};

class Team {
 public:
  /// `processors`: to which processor each thread is bound, by index; empty binds none.
  Team(int threads, std::vector<int> processors)
      : threads_(threads), processors_(std::move(processors)), state_(threads) {}

  int threads() const { return threads_; }

  /// Calls `work(worker)` on every thread, the calling one included; returns when all are done.
  /// `work` must not throw.
  template <typename Work>
  void run(const Work& work) {
    state_.reset();
    state_.arrived.store(0, std::memory_order_relaxed);
#pragma omp parallel num_threads(threads_)
    {
      const Worker worker = enter();
      work(worker);
    }
  }

 private:
  /// Binds the thread, once.
  Worker enter();

  int threads_;
  std::vector<int> processors_;
  detail::TeamState state_;
};

}  // namespace deformer
