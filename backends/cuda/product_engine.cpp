#include "backends/cuda/product_engine.hpp"

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "backends/cuda/cudnn_attention.hpp"
#include "backends/cuda/kernels/skinny.cuh"
#include "backends/cuda/lt_library.hpp"
#include "backends/cuda/stopwatch.hpp"
#include "backends/cuda/timing_weights.hpp"
#include "model/error.hpp"

namespace deformer::cuda {
namespace {

std::int64_t bytes_of_matrix(const MatrixLayout& layout) {
  return layout.leading * layout.columns * bytes_of(layout.element);
}

/// Multiply-adds below which no fused product is asked for: cuDNN compiles a kernel for each shape,
/// and what that could save of so small a one is lost in the launch.
constexpr std::int64_t kSmallestFused = std::int64_t{1} << 25;

/// Raised with every change of kernels/skinny.cuh that changes its speed: what was measured before
/// is measured again.
constexpr int kSkinnyVersion = 1;

bool with_erf(const LtProblem& problem) {
  return problem.finish == Finish::bias_gelu_erf;
}

std::string key_of(const LtProblem& problem) {
  return fmt::format("{} exactly {}", bucket_name(problem), problem.rows());
}

/// Operands of a product that is timed: whatever lies in them.
struct Operands {
  explicit Operands(const LtProblem& problem)
      : weights(Memory::device(bytes_of_matrix(problem.a), "timing a product")),
        source(Memory::device(bytes_of_matrix(problem.b), "timing a product")),
        result(Memory::device(bytes_of_matrix(problem.d), "timing a product")),
        bias(Memory::device(problem.out() * bytes_of(problem.d.element), "timing a product")) {
    for (const Memory* memory : {&weights, &source, &result, &bias}) {
      check(cudaMemset(memory->data(), 0, static_cast<std::size_t>(memory->bytes())),
            "timing a product");
    }
    check(cudaDeviceSynchronize(), "timing a product");  // other streams follow
  }

  ProductArgs args(const LtProblem& problem) const {
    return {problem, weights.data(), source.data(), result.data(), bias.data(), nullptr, nullptr};
  }

  Memory weights, source, result, bias;
};

}  // namespace

std::shared_ptr<CudnnProduct> ProductEngine::fused(const LtProblem& problem) {
  const auto [entry, fresh] = fused_.try_emplace(key_of(problem));
  if (fresh) {
    entry->second = CudnnProduct::make(problem, device_.capability, kLtWorkspaceBytes);
  }
  return entry->second;
}

bool ProductEngine::skinny_fits(const LtProblem& problem) const {
  const auto args = skinny_args({problem, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr});
  return args && prepare_skinny_kernel(*args, device_.shared_bytes_block);
}

bool ProductEngine::gelu_erf_pays(LtProblem problem, void* workspace, cudaStream_t stream) {
  problem.finish = Finish::bias_gelu_erf;
  return route_of(problem, workspace, stream) != Route::lt;
}

ProductEngine::Route ProductEngine::route_of(const LtProblem& problem, void* workspace,
                                             cudaStream_t stream) {
  const std::string key = key_of(problem);
  if (const auto found = routes_.find(key); found != routes_.end()) {
    return found->second;
  }
  Route route = Route::lt;
  try {
    route = find_route(problem, workspace, stream);
  } catch (const Unavailable&) {
    return Route::lt;  // no memory to find out, or no algorithm to compare with: not remembered
  } catch (const std::exception& error) {
    forget(cudaGetLastError());
    refusal_ = error.what();
  }
  routes_[key] = route;
  return route;
}

ProductEngine::Route ProductEngine::find_route(const LtProblem& problem, void* workspace,
                                               cudaStream_t stream) {
  Route other = Route::skinny;
  if (!skinny_fits(problem)) {
    if (!with_erf(problem) || problem.rows() * problem.in() * problem.out() < kSmallestFused) {
      return Route::lt;
    }
    other = Route::cudnn;
  }
  const std::string bucket =
      other == Route::skinny ? fmt::format("few rows {}: {}", kSkinnyVersion, bucket_name(problem))
                             : bucket_name(problem);
  if (const std::optional<Algorithm> known = memory_.find(bucket)) {
    const bool taken = known->bytes[0] != std::byte{0};
    return taken && (other == Route::skinny || fused(problem) != nullptr) ? other : Route::lt;
  }
  if (other == Route::cudnn && fused(problem) == nullptr) {
    return Route::lt;
  }
  Algorithm found;
  const Route best = measure(problem, other, workspace, stream, found.time_us);
  found.bytes[0] = static_cast<std::byte>(best);
  memory_.remember(bucket, found);
  return best;
}

ProductEngine::Route ProductEngine::measure(const LtProblem& problem, Route other, void* workspace,
                                            cudaStream_t stream, double& best_us) {
  const Operands operands(problem);
  LtProblem product = problem;
  product.finish = with_erf(problem) ? Finish::bias : problem.finish;
  ProductArgs parts = operands.args(product);
  ProductArgs whole = operands.args(problem);
  const TimingWeights weights(whole, device_.cache_bytes, stream);
  const GeluArgs gelu{problem.d.element,
                      Activation::gelu_erf,
                      problem.rows() * problem.out(),
                      operands.result.data(),
                      nullptr,
                      nullptr};
  const bool early = device_.launches_early();
  lt_.prepare(parts, workspace, stream);
  const double apart_us = time_us(stream, weights.count(), [&](int number) {
    parts.weights = weights.of(number);
    lt_.run(parts, workspace, stream);
    if (with_erf(problem)) {
      launch_kernel(gelu, {.stream = stream, .early = early});
    }
  });
  const double whole_us = time_us(stream, weights.count(), [&](int number) {
    whole.weights = weights.of(number);
    if (other == Route::skinny) {
      // Its neighbours are kernels of ours as well, behind which it may start early.
      launch_kernel(*skinny_args(whole), {.stream = stream, .early = early && number > 0});
    } else {
      fused(problem)->run(whole, workspace, stream);
    }
  });
  best_us = std::min(apart_us, whole_us);
  return whole_us < apart_us ? other : Route::lt;
}

void ProductEngine::prepare(const ProductArgs& args, void* workspace, cudaStream_t stream) {
  switch (route_of(args.problem, workspace, stream)) {
    case Route::skinny:
      launch_kernel(*skinny_args(args), {.stream = stream, .load_only = true});
      return;
    case Route::cudnn:
      fused(args.problem)->run(args, workspace, stream);  // brings its code to the device
      return;
    case Route::lt:
      if (with_erf(args.problem)) {
        throw Unavailable(fmt::format("cuda: expected a kernel that does {} as one, found none",
                                      bucket_name(args.problem)));
      }
      lt_.prepare(args, workspace, stream);
      return;
  }
}

void ProductEngine::run(const ProductArgs& args, void* workspace, const LaunchPlace& place) {
  switch (route_of(args.problem, workspace, place.stream)) {
    case Route::skinny:
      launch_kernel(*skinny_args(args), place);
      return;
    case Route::cudnn:
      fused(args.problem)->run(args, workspace, place.stream);
      return;
    case Route::lt:
      lt_.run(args, workspace, place.stream);
      return;
  }
}

std::string ProductEngine::describe() const {
  const auto some = [&](Route route) {
    return std::ranges::any_of(routes_, [&](const auto& each) { return each.second == route; });
  };
  std::string text = LtLibrary::describe();
  text += some(Route::cudnn) ? ", " + CudnnAttention::describe() : "";
  text += some(Route::skinny) ? ", own kernel for few rows" : "";
  return refusal_.empty() ? text : fmt::format("{} (another failed: {})", text, refusal_);
}

}  // namespace deformer::cuda
