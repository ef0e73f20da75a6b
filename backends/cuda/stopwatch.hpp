#pragma once
/// The time of something queued on a stream, for choices made while a session is prepared.

#include <algorithm>
#include <array>

#include "backends/cuda/resources.hpp"

namespace deformer::cuda {

/// Median of five, each the mean of four in a row, after one that warms up. Waits for the device.
template <class Queue>
double time_us(cudaStream_t stream, const Queue& queue) {
  constexpr int kInARow = 4;
  const Event begin = make_event();
  const Event end = make_event();
  queue();
  std::array<double, 5> times{};
  for (double& time : times) {
    check(cudaEventRecord(begin.get(), stream), "timing a choice");
    for (int i = 0; i < kInARow; ++i) {
      queue();
    }
    check(cudaEventRecord(end.get(), stream), "timing a choice");
    check(cudaEventSynchronize(end.get()), "timing a choice");
    float milliseconds = 0.0F;
    check(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), "timing a choice");
    time = 1000.0 * static_cast<double>(milliseconds) / kInARow;
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

}  // namespace deformer::cuda
