// What the device runs in one forward, by phase.

#include "backends/cuda/cupti.hpp"
#include "backends/cuda/host/kernel_name.hpp"
#include "backends/cuda/session.hpp"
#include "backends/cuda/status.hpp"
#include "backends/cuda/stream_launcher.hpp"

namespace deformer::cuda {
namespace {

/// Work of a phase; what is pushed is popped, whatever happens.
class Pushed {
 public:
  Pushed(ActivityRecorder& recorder, std::size_t phase) : recorder_(recorder) {
    recorder_.push(static_cast<int>(phase));
  }
  ~Pushed() noexcept(false) { recorder_.pop(); }
  Pushed(const Pushed&) = delete;
  Pushed& operator=(const Pushed&) = delete;

 private:
  ActivityRecorder& recorder_;
};

std::vector<KernelTime> kernel_times(const ActivityRanges& activity) {
  std::vector<KernelTime> times;
  for (const KernelActivity& one : activity.by_kernel()) {
    times.push_back({short_kernel_name(one.name), one.range, one.count, one.sum_ns});
  }
  return times;
}

}  // namespace

std::vector<KernelTime> CudaSession::kernels(const Inputs& inputs) {
  stage(inputs);
  const cudaStream_t stream = instance_->main();
  ActivityRecorder recorder(static_cast<int>(phases_));
  StreamLauncher launcher(*engines_, instance_->branches(), marks_, false);
  check(cudaEventRecord(begin_.get(), stream), "watching a forward");
  for (std::size_t i = 0; i < program_.steps.size(); ++i) {
    const Step& step = program_.steps[i];
    if (copies() && i == program_.second_part) {
      const Pushed pushed(recorder, step.phase);
      copy_passages(inputs);
    }
    if (std::holds_alternative<Mark>(step.work)) {
      continue;  // times of a graph's launch
    }
    const Pushed pushed(recorder, step.phase);
    std::visit([&](const auto& work) { launcher.launch(work, step.branch); }, step.work);
  }
  check(cudaEventRecord(end_.get(), stream), "watching a forward");
  check(cudaEventSynchronize(end_.get()), "watching a forward");
  return kernel_times(recorder.finish());
}

}  // namespace deformer::cuda
