#pragma once
/// The time of something queued on a stream, for choices made while a session is prepared.

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

#include "backends/cuda/capture.hpp"
#include "backends/cuda/resources.hpp"

namespace deformer::cuda {

/// How often something is queued in a row; each time it is told which time this is, so that it can
/// take other operands.
inline constexpr int kInARow = 8;

/// Set to 1, each choice that is timed is told on stderr, with its time: what a choice was made of.
inline constexpr const char* kTellTimes = "DEFORMER_BENCH_CUDA_TELL_TIMES";
void tell_time(std::string_view tried, double us);

/// Median of five of what `run` queues, after one that warms up. Waits for the device.
template <class Run>
double median_us(cudaStream_t stream, const Run& run) {
  const Event begin = make_event();
  const Event end = make_event();
  run();
  std::array<double, 5> times{};
  for (double& time : times) {
    check(cudaEventRecord(begin.get(), stream), "timing a choice");
    run();
    check(cudaEventRecord(end.get(), stream), "timing a choice");
    check(cudaEventSynchronize(end.get()), "timing a choice in a row");
    float milliseconds = 0.0F;
    check(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), "timing a choice");
    time = 1000.0 * static_cast<double>(milliseconds);
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

/// time_us, without the name.
template <class Queue>
double bare_time_us(cudaStream_t stream, int count, const Queue& queue) {
  queue(0);  // brings its code to the device, which a capture may not
  check(cudaStreamSynchronize(stream), "trying a choice once");
  const auto all = [&] {
    for (int i = 0; i < count; ++i) {
      queue(i);
    }
  };
  const GraphExec graph = captured_if_possible(stream, all);
  if (graph.get() == nullptr) {
    return median_us(stream, all) / count;
  }
  return median_us(
             stream,
             [&] { check(cudaGraphLaunch(graph.get(), stream), "timing a choice in a row"); }) /
         count;
}

/// Microseconds of one queue(i) of `count` in a row, i from 0, from a graph as they will run:
/// queued one by one, small kernels would be timed by how long the host takes to launch them. What
/// can't be captured is timed without a graph. @throws DeviceFault, which says whether it was the
/// first one by itself or those in a row, and of what: `tried`.
template <class Queue>
double time_us(cudaStream_t stream, int count, std::string_view tried, const Queue& queue) {
  try {
    const double us = bare_time_us(stream, count, queue);
    tell_time(tried, us);
    return us;
  } catch (const DeviceFault& fault) {
    throw_again(fault, tried);
  }
}

}  // namespace deformer::cuda
