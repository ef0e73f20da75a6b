#pragma once
/// A plan at a fixed shape, captured. One run stages the ids, launches one graph (two where
/// passages come from host memory, whose copies run between them on a stream of their own) and
/// waits for the last event: nothing else is asked of the driver.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backends/backend.hpp"
#include "backends/cuda/host/exposed_time.hpp"
#include "backends/cuda/host/program.hpp"
#include "backends/cuda/instance.hpp"
#include "backends/cuda/weights.hpp"
#include "backends/ranges.hpp"

namespace deformer::cuda {

class CudaSession final : public Session {
 public:
  /// What it is given is shared with the other sessions of the model.
  CudaSession(std::shared_ptr<const DeviceWeights> weights, std::shared_ptr<Engines> engines,
              std::shared_ptr<Instance> instance, const Plan& plan, const Shape& shape,
              const SessionOptions& options);

  void run(const Inputs& inputs) override;
  /// Copied from the device when asked for: a forward leaves it there, as other engines do.
  std::span<const float> output() const override;
  std::span<const float> head_output() const override;
  std::span<const float> layer_output(Segment segment, std::int64_t layers) const override;
  std::span<const std::int64_t> phase_ns() const override { return phase_ns_; }
  std::span<const std::int64_t> hidden_ns() const override { return hidden_ns_; }
  RangeLog* ranges() override { return &log_; }
  std::optional<std::int64_t> device_ns() const override { return device_ns_; }
  /// The steps once more as a stream's calls, not as a graph, each tied to its phase.
  std::vector<KernelTime> kernels(const Inputs& inputs) override;
  SessionMemory memory() const override;
  /// Kernels of the plan's steps. An engine may run more than one for a step: `kernels` sees those.
  std::optional<std::int64_t> launches() const override;

 private:
  bool copies() const { return !program_.landing.empty(); }
  void make_ready();
  void stage(const Inputs& inputs);
  void copy_passages(const Inputs& inputs);
  void read_times(std::int64_t start_ns);
  void read_phases();
  void put_ranges(std::int64_t start_ns);
  std::int64_t mark_ns(int mark) const;
  std::span<const float> fetch(const RowsLeft& rows, std::vector<float>& to) const;

  std::shared_ptr<const DeviceWeights> weights_;
  std::shared_ptr<Engines> engines_;
  std::shared_ptr<Instance> instance_;
  std::size_t phases_;
  SessionOptions options_;
  Memory session_;
  Memory staging_;
  std::shared_ptr<const Memory> activations_;
  Program program_;
  std::vector<Event> marks_;
  Event begin_, end_, copies_begin_, copies_end_;
  GraphExec first_, second_;

  // Of the last run.
  std::optional<std::int64_t> device_ns_;
  std::vector<std::int64_t> phase_ns_, hidden_ns_;
  std::vector<Interval> intervals_;
  RangeLog log_;
  mutable std::vector<float> output_;
  mutable std::vector<std::vector<float>> kept_;
};

}  // namespace deformer::cuda
