#include "backends/cpu/team.hpp"

#include <omp.h>
#include <sched.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace deformer {
namespace {

/// Turns of the barrier's loop before it offers the processor to others: far longer than
/// any wait between threads that all run; on a machine with more threads than processors the one
/// waited for may need this one's.
constexpr int kSpins = 2000;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

/// Asked at every region: the caller's binding is undone between groups, and OpenMP may
/// give a region other threads than the last one had.
void bind_where_elsewhere(int processor) {
  if (sched_getcpu() == processor || processor >= CPU_SETSIZE) {
    return;
  }
  cpu_set_t mask;
  CPU_ZERO(&mask);
  CPU_SET(static_cast<std::size_t>(processor), &mask);
  // Refused (a processor taken away meanwhile): the thread then runs where the scheduler likes.
  static_cast<void>(sched_setaffinity(0, sizeof mask, &mask));
}

}  // namespace

void detail::TeamState::reset() {
  ticket.store(0, std::memory_order_relaxed);
  for (Drawn& drawn : own) {
    drawn.pieces.store(0, std::memory_order_relaxed);
  }
}

std::int64_t Worker::next_near(std::int64_t pieces) const {
  for (int offset = 0; offset < count_; ++offset) {
    const int owner = (index_ + offset) % count_;
    const Share range = share_of(owner, pieces);
    std::atomic<std::int64_t>& drawn = state_.own[static_cast<std::size_t>(owner)].pieces;
    // Read first: whoever has nothing left to draw must not keep writing the others' counters.
    if (drawn.load(std::memory_order_relaxed) < range.last - range.first) {
      const std::int64_t piece = range.first + drawn.fetch_add(1, std::memory_order_relaxed);
      if (piece < range.last) {
        return piece;
      }
    }
  }
  return pieces;
}

Share Worker::range_of(std::int64_t piece, std::int64_t pieces) const {
  for (int owner = 0; owner + 1 < count_; ++owner) {
    const Share range = share_of(owner, pieces);
    if (piece < range.last) {
      return range;
    }
  }
  return share_of(count_ - 1, pieces);
}

void Worker::barrier() const {
  const std::uint32_t generation = state_.generation.load(std::memory_order_relaxed);
  if (state_.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
    state_.arrived.store(0, std::memory_order_relaxed);
    state_.reset();
    state_.generation.store(generation + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; state_.generation.load(std::memory_order_acquire) == generation;) {
    if (++spins < kSpins) {
      relax();
    } else {
      sched_yield();
    }
  }
}

Worker Team::enter() {
  const int index = omp_get_thread_num();
  if (static_cast<std::size_t>(index) < processors_.size()) {
    bind_where_elsewhere(processors_[static_cast<std::size_t>(index)]);
  }
  return {state_, index, omp_get_num_threads()};
}

}  // namespace deformer
