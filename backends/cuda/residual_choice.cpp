#include "backends/cuda/residual_choice.hpp"

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "backends/cuda/kernel_launch.hpp"
#include "backends/cuda/resources.hpp"
#include "backends/cuda/stopwatch.hpp"
#include "backends/cuda/timing_weights.hpp"

namespace deformer::cuda {
namespace {

constexpr const char* kWhat = "timing a product and a norm";

Memory zeros(std::int64_t bytes) {
  Memory memory = Memory::device(bytes, kWhat);
  check(cudaMemset(memory.data(), 0, static_cast<std::size_t>(bytes)), kWhat);
  return memory;
}

/// A product and its norm, on operands of their own.
struct Trial {
  explicit Trial(const LtProblem& problem)
      : weights(zeros(problem.a.bytes())),
        source(zeros(problem.b.bytes())),
        hidden(zeros(problem.d.bytes())),
        delta(zeros(problem.d.bytes())),
        bias(zeros(problem.out() * bytes_of(problem.d.element))),
        parameters(zeros(2 * problem.out() * static_cast<std::int64_t>(sizeof(float)))) {
    check(cudaDeviceSynchronize(), kWhat);  // other streams follow
  }

  ProductArgs product(const LtProblem& problem, void* result) const {
    return {.problem = problem,
            .weights = weights.data(),
            .source = source.data(),
            .result = result,
            .bias = problem.finish == Finish::none ? nullptr : bias.data(),
            .weight_scale = nullptr,
            .source_scale = nullptr};
  }
  NormArgs norm(const LtProblem& problem, const void* added) const {
    return {.element = problem.d.element,
            .rows = problem.rows(),
            .d = problem.out(),
            .norm = {reinterpret_cast<const float*>(parameters.data()), 1e-12F},
            .hidden = hidden.data(),
            .quantised = nullptr,
            .scale = nullptr,
            .ahead = {},
            .delta = added};
  }

  Memory weights, source, hidden, delta, bias, parameters;
};

}  // namespace

bool ResidualChoice::norm_pays(const LtProblem& onto, void* workspace, cudaStream_t stream) {
  const std::string bucket = fmt::format("residual by the norm: {}", bucket_name(onto));
  if (const auto known = answers_.find(bucket); known != answers_.end()) {
    return known->second;
  }
  bool pays = false;
  try {
    if (const std::optional<Algorithm> known = memory_.find(bucket)) {
      pays = known->bytes[0] != std::byte{0};
    } else {
      Algorithm found;
      pays = measure(onto, workspace, stream, found.time_us);
      found.bytes[0] = pays ? std::byte{1} : std::byte{0};
      memory_.remember(bucket, found);
    }
  } catch (
      const std::exception&) {  // no memory, or no algorithm of either: those that run will say
    forget(cudaGetLastError());
  }
  answers_[bucket] = pays;
  return pays;
}

bool ResidualChoice::measure(const LtProblem& onto, void* workspace, cudaStream_t stream,
                             double& best_us) {
  const Trial trial(onto);
  LtProblem apart = onto;
  apart.beta = 0.0F;
  const TimingWeights weights(trial.product(onto, trial.hidden.data()), device_.cache_bytes,
                              stream);
  const auto time = [&](ProductArgs product, const NormArgs& norm) {
    products_.prepare(product, workspace, stream);
    launch_kernel(norm, {.stream = stream, .load_only = true});
    const bool early = device_.launches_early();
    return time_us(stream, weights.count(), [&](int number) {
      product.weights = weights.of(number);
      products_.run(product, workspace, {.stream = stream, .early = early && number > 0});
      launch_kernel(norm, {.stream = stream, .early = early});
    });
  };
  const double onto_us = time(trial.product(onto, trial.hidden.data()), trial.norm(onto, nullptr));
  const double apart_us =
      time(trial.product(apart, trial.delta.data()), trial.norm(onto, trial.delta.data()));
  best_us = std::min(onto_us, apart_us);
  return apart_us < onto_us;
}

}  // namespace deformer::cuda
