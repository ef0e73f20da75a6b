#pragma once
/// Which range of a plan a kernel or copy belongs to, and how long the device worked for each
/// range. Knows nothing of CUPTI: records come from backends/cuda/cupti.hpp, or from a test.
///
/// A record is tied to a range in one of two ways. What a stream was given carries the number of
/// the call that gave it (correlation), and CUPTI tells which calls were made while a range was
/// pushed. What a graph launched carries its node's number; all nodes of one launch share one call.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace deformer::cuda {

struct Activity {
  enum class Kind { kernel, copy, fill };
  Kind kind = Kind::kernel;
  std::string name;           ///< of a kernel
  std::int64_t start_ns = 0;  ///< by the device's clock
  std::int64_t end_ns = 0;
  std::uint32_t correlation = 0;  ///< of the call that queued it
  std::uint64_t graph_node = 0;   ///< 0: no graph's
  std::int64_t bytes = 0;         ///< of copies and fills
};

struct RangeActivity {
  std::int64_t kernels = 0;
  std::int64_t copies = 0;   ///< and fills
  std::int64_t bytes = 0;    ///< they moved
  std::int64_t busy_ns = 0;  ///< something of it ran on the device; what ran side by side once
  std::int64_t sum_ns = 0;   ///< all their times; beyond busy_ns where some ran side by side
};

struct KernelActivity {
  std::string name;
  int range = -1;  ///< -1: of no range
  std::int64_t count = 0;
  std::int64_t sum_ns = 0;
};

class ActivityRanges {
 public:
  explicit ActivityRanges(int ranges) : ranges_(ranges) {}

  /// A call was made while `range` was pushed. @throws std::out_of_range for none of them.
  void tie_call(std::uint32_t correlation, int range);
  /// A node of a captured graph came of `range`.
  void tie_node(std::uint64_t node, int range);
  /// Records that end before they start are counted as damaged and not used.
  void add(Activity record);

  /// By range, over all that was added.
  std::vector<RangeActivity> by_range() const;
  /// By range and kernel's name ("copy", "fill" for the others), in the order in which they first
  /// ran; what is tied to nothing last.
  std::vector<KernelActivity> by_kernel() const;
  std::int64_t untied() const;
  std::int64_t damaged() const { return damaged_; }

 private:
  std::optional<int> range_of(const Activity& record) const;

  int ranges_;
  std::map<std::uint32_t, int> calls_;
  std::map<std::uint64_t, int> nodes_;
  std::vector<Activity> records_;
  std::int64_t damaged_ = 0;
};

}  // namespace deformer::cuda
