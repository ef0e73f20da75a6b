#pragma once
/// The order of passes over parts of the inner dimension that add to the same results: whoever has
/// pass n of a tile of results waits until pass n - 1 of it is done, and so bits don't depend on
/// who was quicker.
///
/// Waiting ends where workers draw tickets by Worker::next_near and a pass waits for lower tickets
/// only: they draw their own ranges from the lowest ticket on before any other's, so the lowest
/// unfinished one is being worked on or drawn next.

#include <sched.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace deformer {

class PassOrder {
 public:
  /// Of `tiles` tiles of results, each the sum of `passes` passes.
  PassOrder(std::int64_t tiles, std::int64_t passes)
      : passes_(passes), done_(static_cast<std::size_t>(passes > 1 ? tiles : 0)) {}

  /// Whether the passes before this one are done.
  bool ready(std::int64_t tile, std::int64_t pass) const {
    return pass == 0 || at(tile).load(std::memory_order_acquire) == pass;
  }
  void wait_before(std::int64_t tile, std::int64_t pass) const {
    while (!ready(tile, pass)) {
      sched_yield();
    }
  }
  /// After the last one all begins anew.
  void done(std::int64_t tile, std::int64_t pass) const {
    if (passes_ > 1) {
      at(tile).store(pass + 1 == passes_ ? 0 : static_cast<std::int32_t>(pass + 1),
                     std::memory_order_release);
    }
  }

 private:
  std::atomic<std::int32_t>& at(std::int64_t tile) const {
    return done_[static_cast<std::size_t>(tile)];
  }

  std::int64_t passes_;
  mutable std::vector<std::atomic<std::int32_t>> done_;
};

}  // namespace deformer
