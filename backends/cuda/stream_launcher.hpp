#pragma once
/// Queues the steps of a program on two streams, which are then captured; and, before that, walks
/// them once to choose algorithms.

#include <cuda_runtime_api.h>

#include <array>
#include <span>
#include <vector>

#include "backends/cuda/engines.hpp"
#include "backends/cuda/host/early_order.hpp"
#include "backends/cuda/host/launcher.hpp"
#include "backends/cuda/resources.hpp"

namespace deformer::cuda {

/// A branch's stream and what libraries may use while they run on it.
struct BranchPlace {
  cudaStream_t stream;
  void* workspace;  ///< kLtWorkspaceBytes
};
using BranchPlaces = std::array<BranchPlace, 2>;

class StreamLauncher final : public Launcher {
 public:
  /// `marks`: events by number. `early`: use programmatic dependent launch. All outlive this.
  StreamLauncher(Engines& engines, const BranchPlaces& places, std::span<const Event> marks,
                 bool early);

  void launch(const EmbedArgs& args, Branch branch) override { kernel(args, branch); }
  void launch(const NormArgs& args, Branch branch) override { kernel(args, branch); }
  void launch(const GeluArgs& args, Branch branch) override { kernel(args, branch); }
  void launch(const QuantiseArgs& args, Branch branch) override { kernel(args, branch); }
  void launch(const DecodeArgs& args, Branch branch) override { kernel(args, branch); }
  void launch(const JoinArgs& args, Branch branch) override { kernel(args, branch); }
  void launch(const WidenArgs& args, Branch branch) override { kernel(args, branch); }
  void launch(const DenseArgs& args, Branch branch) override { kernel(args, branch); }
  void launch(const ProductArgs& args, Branch branch) override;
  void launch(const AttentionArgs& args, Branch branch) override;
  void launch(const CopyArgs& args, Branch branch) override;
  void launch(const Fork& fork, Branch branch) override;
  void launch(const Meet& meet, Branch branch) override;
  void launch(const Mark& mark, Branch branch) override;

 private:
  const BranchPlace& place(Branch branch) const {
    return places_[static_cast<std::size_t>(branch)];
  }
  /// Where the next kernel of a branch is queued.
  LaunchPlace next_kernel(Branch branch) {
    const bool behind_kernel = order_.kernel(branch);
    return {.stream = place(branch).stream, .early = early_ && behind_kernel};
  }

  template <class Args>
  void kernel(const Args& args, Branch branch) {
    launch_kernel(args, next_kernel(branch));
  }

  Engines& engines_;
  const BranchPlaces& places_;
  std::span<const Event> marks_;
  bool early_;
  EarlyOrder order_;
  Event forked_;
  Event met_;
};

/// Chooses what serves every product and attention of the steps, and loads every kernel. Waits for
/// the device.
void prepare_steps(std::span<const Step> steps, Engines& engines, const BranchPlaces& places);

/// The steps as a graph, ready to be launched on the main stream.
GraphExec capture(std::span<const Step> steps, Engines& engines, const BranchPlaces& places,
                  std::span<const Event> marks);

}  // namespace deformer::cuda
