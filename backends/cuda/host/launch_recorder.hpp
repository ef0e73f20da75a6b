#pragma once
/// Counts what a forward pass asks of the device, and does nothing of it.

#include <cstdint>
#include <string_view>
#include <vector>

#include "backends/cuda/host/early_order.hpp"
#include "backends/cuda/host/launcher.hpp"

namespace deformer::cuda {

class LaunchRecorder final : public Launcher {
 public:
  struct Launch {
    std::string_view what;
    Branch branch;
    bool early;  ///< it may be set up while the one in front of it still runs
  };

  void launch(const EmbedArgs&, Branch branch) override { kernel("embed", branch); }
  void launch(const ProductArgs&, Branch branch) override { kernel("product", branch); }
  void launch(const AttentionArgs&, Branch branch) override { kernel("attention", branch); }
  void launch(const NormArgs&, Branch branch) override { kernel("norm", branch); }
  void launch(const GeluArgs&, Branch branch) override { kernel("gelu", branch); }
  void launch(const QuantiseArgs&, Branch branch) override { kernel("quantise", branch); }
  void launch(const DecodeArgs&, Branch branch) override { kernel("decode", branch); }
  void launch(const JoinArgs&, Branch branch) override { kernel("join", branch); }
  void launch(const WidenArgs&, Branch branch) override { kernel("widen", branch); }
  void launch(const DenseArgs&, Branch branch) override { kernel("dense", branch); }
  void launch(const CopyArgs&, Branch branch) override {
    ++copies_;
    order_.other(branch);
  }
  void launch(const Fork&, Branch) override {
    ++branches_;
    order_.part();
  }
  void launch(const Meet&, Branch) override {
    --branches_;
    order_.meet();
  }
  void launch(const Mark&, Branch branch) override {
    ++marks_;
    order_.other(branch);
  }

  /// In the order of issue.
  const std::vector<Launch>& kernels() const { return kernels_; }
  std::int64_t copies() const { return copies_; }
  std::int64_t marks() const { return marks_; }
  /// Branches begun and not met again.
  int open_branches() const { return branches_; }
  /// Times the host waits for the device. Nothing in the interface does: what waits is what is not
  /// there, and the session's one wait at the end is its own.
  static constexpr std::int64_t synchronisations() { return 0; }

 private:
  void kernel(std::string_view what, Branch branch) {
    kernels_.push_back({what, branch, order_.kernel(branch)});
  }

  EarlyOrder order_;
  std::vector<Launch> kernels_;
  std::int64_t copies_ = 0;
  std::int64_t marks_ = 0;
  int branches_ = 0;
};

}  // namespace deformer::cuda
