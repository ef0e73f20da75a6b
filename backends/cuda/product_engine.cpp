#include "backends/cuda/product_engine.hpp"

#include <algorithm>
#include <exception>

#include <fmt/format.h>

#include "backends/cuda/cudnn_attention.hpp"
#include "backends/cuda/kernel_launch.hpp"
#include "backends/cuda/lt_library.hpp"
#include "backends/cuda/stopwatch.hpp"
#include "model/error.hpp"

namespace deformer::cuda {
namespace {

std::int64_t bytes_of_matrix(const MatrixLayout& layout) {
  return layout.leading * layout.columns * bytes_of(layout.element);
}

/// Multiply-adds below which no fused product is asked for: cuDNN compiles a kernel for each shape,
/// and what that could save of so small a one is lost in the launch.
constexpr std::int64_t kSmallestFused = std::int64_t{1} << 25;

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
  const std::string key = fmt::format("{} exactly {}", bucket_name(problem), problem.rows());
  const auto [entry, fresh] = fused_.try_emplace(key);
  if (fresh) {
    entry->second = CudnnProduct::make(problem, device_.capability, kLtWorkspaceBytes);
  }
  return entry->second;
}

bool ProductEngine::gelu_erf_pays(LtProblem problem, void* workspace, cudaStream_t stream) {
  problem.finish = Finish::bias_gelu_erf;
  if (problem.rows() * problem.in() * problem.out() < kSmallestFused) {
    return false;
  }
  const std::string bucket = bucket_name(problem);
  const std::optional<Algorithm> known = memory_.find(bucket);
  if (known && known->bytes[0] == std::byte{0}) {
    return false;
  }
  try {
    const std::shared_ptr<CudnnProduct> whole = fused(problem);
    if (known || whole == nullptr) {
      return whole != nullptr;
    }
    Algorithm found;
    const bool pays = measure(problem, *whole, workspace, stream, found.time_us);
    found.bytes[0] = pays ? std::byte{1} : std::byte{0};
    memory_.remember(bucket, found);
    return pays;
  } catch (const Unavailable&) {
    return false;  // no memory to find out, or no algorithm to compare with: not remembered
  } catch (const std::exception& error) {
    forget(cudaGetLastError());
    refusal_ = error.what();
    return false;
  }
}

bool ProductEngine::measure(const LtProblem& problem, CudnnProduct& whole, void* workspace,
                            cudaStream_t stream, double& best_us) {
  const Operands operands(problem);
  LtProblem product = problem;
  product.finish = Finish::bias;
  const ProductArgs parts = operands.args(product);
  const GeluArgs gelu{problem.d.element,
                      Activation::gelu_erf,
                      problem.rows() * problem.out(),
                      operands.result.data(),
                      nullptr,
                      nullptr};
  lt_.prepare(parts, workspace, stream);
  const double apart_us = time_us(stream, kInARow, [&](int) {
    lt_.run(parts, workspace, stream);
    launch_kernel(gelu, {.stream = stream, .early = device_.launches_early()});
  });
  const ProductArgs all = operands.args(problem);
  const double whole_us = time_us(stream, kInARow, [&](int) { whole.run(all, workspace, stream); });
  best_us = std::min(apart_us, whole_us);
  return whole_us < apart_us;
}

void ProductEngine::prepare(const ProductArgs& args, void* workspace, cudaStream_t stream) {
  if (args.problem.finish != Finish::bias_gelu_erf) {
    lt_.prepare(args, workspace, stream);
    return;
  }
  const std::shared_ptr<CudnnProduct> whole = fused(args.problem);
  if (whole == nullptr) {
    throw Unavailable(fmt::format("cuda: expected cuDNN to have a plan for {}, found none",
                                  bucket_name(args.problem)));
  }
  whole->run(args, workspace, stream);  // brings its code to the device
}

void ProductEngine::run(const ProductArgs& args, void* workspace, cudaStream_t stream) {
  if (args.problem.finish == Finish::bias_gelu_erf) {
    fused(args.problem)->run(args, workspace, stream);
  } else {
    lt_.run(args, workspace, stream);
  }
}

std::string ProductEngine::describe() const {
  const bool cudnn =
      std::ranges::any_of(fused_, [](const auto& each) { return each.second != nullptr; });
  std::string text = LtLibrary::describe() + (cudnn ? ", " + CudnnAttention::describe() : "");
  return refusal_.empty() ? text : fmt::format("{} (cuDNN failed: {})", text, refusal_);
}

}  // namespace deformer::cuda
