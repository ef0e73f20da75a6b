#pragma once
/// Which kernels may be set up while the one in front of them still runs: those right behind a
/// kernel of the same branch. Behind anything else (a copy, a mark, where branches part or meet) a
/// kernel starts when all in front of it has ended.

#include <array>
#include <cstddef>
#include <utility>

#include "backends/plugin/memory_plan.hpp"

namespace deformer::cuda {

class EarlyOrder {
 public:
  /// A kernel is queued: whether it may start early.
  bool kernel(Branch branch) { return std::exchange(behind_kernel(branch), true); }
  /// Something else is: a copy, a mark.
  void other(Branch branch) { behind_kernel(branch) = false; }
  /// The side branch begins, and later the main one waits for it.
  void part() { other(Branch::side); }
  void meet() { other(Branch::main); }

 private:
  bool& behind_kernel(Branch branch) { return behind_[static_cast<std::size_t>(branch)]; }

  std::array<bool, 2> behind_{};
};

}  // namespace deformer::cuda
