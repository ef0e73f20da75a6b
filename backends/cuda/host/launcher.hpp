#pragma once
/// Everything a forward pass asks of a device goes through this interface, so that it can be
/// captured into a graph (capture.hpp), counted (launch_recorder.hpp) or, in tests, done by the
/// host.

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "backends/cuda/host/lt_problem.hpp"
#include "backends/cuda/kernels/args.hpp"
#include "backends/plugin/memory_plan.hpp"

namespace deformer::cuda {

/// Bytes from (upload) or to (download) pinned host memory.
struct CopyArgs {
  const void* from;
  void* to;
  std::int64_t bytes;
  bool upload;
};

/// The side branch begins where the main one stands.
struct Fork {};
/// The main branch waits for the side one.
struct Meet {};
/// The time at which the branch gets here, under this number.
struct Mark {
  int number;
};

class Launcher {
 public:
  virtual ~Launcher() = default;
  Launcher() = default;
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  // One kernel each, or what the library makes of a product.
  virtual void launch(const EmbedArgs& args, Branch branch) = 0;
  virtual void launch(const ProductArgs& args, Branch branch) = 0;
  virtual void launch(const AttentionArgs& args, Branch branch) = 0;
  virtual void launch(const NormArgs& args, Branch branch) = 0;
  virtual void launch(const GeluArgs& args, Branch branch) = 0;
  virtual void launch(const QuantiseArgs& args, Branch branch) = 0;
  virtual void launch(const DecodeArgs& args, Branch branch) = 0;
  virtual void launch(const JoinArgs& args, Branch branch) = 0;
  virtual void launch(const WidenArgs& args, Branch branch) = 0;
  virtual void launch(const DenseArgs& args, Branch branch) = 0;

  virtual void launch(const CopyArgs& args, Branch branch) = 0;
  virtual void launch(const Fork&, Branch branch) = 0;
  virtual void launch(const Meet&, Branch branch) = 0;
  virtual void launch(const Mark& mark, Branch branch) = 0;
};

using Work = std::variant<EmbedArgs, ProductArgs, AttentionArgs, NormArgs, GeluArgs, QuantiseArgs,
                          DecodeArgs, JoinArgs, WidenArgs, DenseArgs, CopyArgs, Fork, Meet, Mark>;

/// One thing to do and what it belongs to.
struct Step {
  Work work;
  Branch branch = Branch::main;
  std::size_t phase = 0;
  std::int64_t layer = -1;  ///< encode phases only
  int operation = 0;        ///< index into the phase's operations
};

inline void issue(std::span<const Step> steps, Launcher& launcher) {
  for (const Step& step : steps) {
    std::visit([&](const auto& work) { launcher.launch(work, step.branch); }, step.work);
  }
}

}  // namespace deformer::cuda
