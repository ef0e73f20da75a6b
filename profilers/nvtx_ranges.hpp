#pragma once
/// The ranges of a run for NVIDIA's tools: NVTX v3, domain `deformer-bench`, a category a level,
/// and as payload what the range costs. Without a tool attached a range costs a few nanoseconds.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "profilers/range_tree.hpp"

namespace deformer {

/// Why this build has no NVTX, or empty.
std::string nvtx_missing();

struct NvtxRange {
  std::string category;     ///< "phase", "layer", "op"
  std::int64_t layer = -1;  ///< -1: none
  std::int64_t flops = 0, bytes = 0;
};

class NvtxWatcher final : public RangeWatcher {
 public:
  /// `ranges` parallel to the tree's.
  NvtxWatcher(const RangeTree& tree, const std::vector<NvtxRange>& ranges, int threads);
  ~NvtxWatcher() override;
  void opened(int range) override;
  void closed(int range) override;
  void began(int thread, int leaf) override;
  void ended(int thread, int leaf) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Nanoseconds of one range pushed and popped now, with whatever tool is attached, or none; below 0
/// without NVTX.
double nvtx_ns_per_range();

}  // namespace deformer
