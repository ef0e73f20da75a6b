#pragma once
/// What the sessions of one instance share: they run one after the other.

#include <cstdint>
#include <memory>

#include "backends/cuda/resources.hpp"
#include "backends/cuda/stream_launcher.hpp"

namespace deformer::cuda {

class Instance {
 public:
  /// `cache_bytes`: the device's last-level cache.
  explicit Instance(std::int64_t cache_bytes);

  /// Activation memory of at least that size. A graph has its addresses in it, so a block that has
  /// become too small lives on with the sessions that were made in it.
  std::shared_ptr<const Memory> activations(std::int64_t bytes);

  const BranchPlaces& branches() const { return branches_; }
  cudaStream_t main() const { return main_.get(); }
  cudaStream_t copies() const { return copies_.get(); }

  /// Queues what empties the last-level cache on the main stream. Allocates at its first call,
  /// which `cold` sessions make when they are prepared.
  void flush_cache();

 private:
  Stream main_;
  Stream side_;
  Stream copies_;
  Memory main_workspace_;
  Memory side_workspace_;
  BranchPlaces branches_;
  std::shared_ptr<const Memory> activations_;
  std::int64_t cache_bytes_;
  Memory flush_;
};

}  // namespace deformer::cuda
