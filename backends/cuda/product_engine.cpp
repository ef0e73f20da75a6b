#include "backends/cuda/product_engine.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>

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

/// Multiply-adds below which cuDNN is not asked: it compiles a kernel for each shape,
/// and what that could save of so small a one is lost in the launch.
constexpr std::int64_t kSmallestCudnn = std::int64_t{1} << 25;

/// Rows from which on a product's time is its arithmetic's, wherever its weights come from.
constexpr std::int64_t kManyRows = 4096;
constexpr std::int64_t kMostCopies = 64;

/// How a choice is remembered: which kind in the first byte, the tile's name after it.
enum class Kind : std::uint8_t { apart, cudnn, cutlass };

void name_tile(Algorithm& found, std::string_view name) {
  const std::size_t length = std::min(name.size(), found.bytes.size() - 2);
  std::memcpy(found.bytes.data() + 1, name.data(), length);
}

std::string named_tile(const Algorithm& known) {
  std::string name(known.bytes.size() - 1, '\0');
  std::memcpy(name.data(), known.bytes.data() + 1, name.size());
  return name.substr(0, name.find('\0'));
}

std::string key_of(const LtProblem& problem) {
  return fmt::format("{} exactly {}", bucket_name(problem), problem.rows());
}

/// Operands of a product that is timed: whatever lies in them. Few rows get several weights,
/// together larger than the device's L2: in a forward every layer has its own.
class Operands {
 public:
  Operands(const LtProblem& problem, std::int64_t cache_bytes)
      : weight_bytes_(bytes_of_matrix(problem.a)),
        count_(copies(problem.rows(), weight_bytes_, cache_bytes)),
        weights_(Memory::device(count_ * weight_bytes_, "timing a product")),
        source_(Memory::device(bytes_of_matrix(problem.b), "timing a product")),
        result_(Memory::device(bytes_of_matrix(problem.d), "timing a product")),
        bias_(Memory::device(problem.out() * bytes_of(problem.d.element), "timing a product")) {
    for (const Memory* memory : {&weights_, &source_, &result_, &bias_}) {
      check(cudaMemset(memory->data(), 0, static_cast<std::size_t>(memory->bytes())),
            "timing a product");
    }
    check(cudaDeviceSynchronize(), "timing a product");  // other streams follow
  }

  /// Of the number-th time.
  ProductArgs args(const LtProblem& problem, int number) const {
    const void* weights = weights_.data() + number % count_ * weight_bytes_;
    return {problem, weights, source_.data(), result_.data(), bias_.data(), nullptr, nullptr};
  }
  /// How often it is timed in a row, so that each of the weights is used.
  int in_a_row() const { return std::max(kInARow, static_cast<int>(count_)); }
  void* result() const { return result_.data(); }

 private:
  static std::int64_t copies(std::int64_t rows, std::int64_t bytes, std::int64_t cache_bytes) {
    return rows >= kManyRows
               ? 1
               : std::clamp<std::int64_t>(3 * cache_bytes / 2 / bytes + 1, kInARow, kMostCopies);
  }

  std::int64_t weight_bytes_;
  std::int64_t count_;
  Memory weights_, source_, result_, bias_;
};

}  // namespace

std::vector<ProductEngine::Whole> ProductEngine::candidates(const LtProblem& problem) {
  std::vector<Whole> found;
  if (!cutlass_why_not(problem, device_.capability)) {
    for (const CutlassTile& tile : cutlass_tiles()) {
      found.push_back({&tile, nullptr});
    }
  }
  if (problem.rows() * problem.in() * problem.out() >= kSmallestCudnn) {
    try {
      auto made = CudnnProduct::make(problem, device_.capability, kLtWorkspaceBytes);
      if (made != nullptr) {
        found.push_back({nullptr, std::move(made)});
      }
    } catch (const std::exception& error) {
      forget(cudaGetLastError());
      refusal_ = error.what();
    }
  }
  return found;
}

/// What was remembered, if it still serves this problem; else none.
ProductEngine::Whole ProductEngine::recall(const LtProblem& problem, const Algorithm& known,
                                           void* workspace, cudaStream_t stream) {
  Whole whole;
  if (static_cast<Kind>(known.bytes[0]) == Kind::cudnn) {
    whole.cudnn = CudnnProduct::make(problem, device_.capability, kLtWorkspaceBytes);
  } else if (!cutlass_why_not(problem, device_.capability)) {
    whole.tile = cutlass_tile(named_tile(known));
  }
  if (whole) {
    const Operands operands(problem, 0);
    queue(whole, operands.args(problem, 0), workspace, {.stream = stream});
    check(cudaStreamSynchronize(stream), "trying a product");
  }
  return whole;
}

bool ProductEngine::gelu_erf_pays(LtProblem problem, void* workspace, cudaStream_t stream) {
  problem.finish = Finish::bias_gelu_erf;
  const std::string key = key_of(problem);
  if (const auto chosen = wholes_.find(key); chosen != wholes_.end()) {
    return static_cast<bool>(chosen->second);
  }
  const std::string bucket = bucket_name(problem);
  try {
    const std::optional<Algorithm> known = memory_.find(bucket);
    Whole whole;
    if (!known || static_cast<Kind>(known->bytes[0]) != Kind::apart) {
      whole = known ? recall(problem, *known, workspace, stream) : Whole{};
      whole = whole ? whole : choose(problem, bucket, workspace, stream);
    }
    return static_cast<bool>(wholes_[key] = std::move(whole));
  } catch (const Unavailable&) {
    return false;  // no memory to find out, or no algorithm to compare with: not remembered
  } catch (const std::exception& error) {
    forget(cudaGetLastError());
    refusal_ = error.what();
    return false;
  }
}

/// The quickest of those that work, if it is quicker than the product and its GELU apart.
ProductEngine::Whole ProductEngine::choose(const LtProblem& problem, const std::string& bucket,
                                           void* workspace, cudaStream_t stream) {
  const std::vector<Whole> all = candidates(problem);
  if (all.empty()) {
    return {};
  }
  const Operands operands(problem, device_.cache_bytes);
  const LaunchPlace place{.stream = stream, .early = device_.launches_early()};
  LtProblem product = problem;
  product.finish = Finish::bias;
  const GeluArgs gelu{problem.d.element,
                      Activation::gelu_erf,
                      problem.rows() * problem.out(),
                      operands.result(),
                      nullptr,
                      nullptr};
  lt_.prepare(operands.args(product, 0), workspace, stream);
  Algorithm best;
  best.time_us = time_us(stream, operands.in_a_row(), [&](int number) {
    lt_.run(operands.args(product, number), workspace, stream);
    launch_kernel(gelu, place);
  });
  Whole quickest;
  for (const Whole& one : all) {
    try {
      const double time = time_us(stream, operands.in_a_row(), [&](int number) {
        queue(one, operands.args(problem, number), workspace, place);
      });
      if (time < best.time_us) {
        best.time_us = time;
        quickest = one;
      }
    } catch (const std::exception& error) {  // another one may do
      forget(cudaGetLastError());
      refusal_ = error.what();
    }
  }
  if (quickest) {
    best.bytes[0] = static_cast<std::byte>(quickest.tile != nullptr ? Kind::cutlass : Kind::cudnn);
  }
  if (quickest.tile != nullptr) {
    name_tile(best, quickest.tile->name);
  }
  memory_.remember(bucket, best);
  return quickest;
}

/// @throws std::runtime_error when it is refused.
void ProductEngine::queue(const Whole& whole, const ProductArgs& args, void* workspace,
                          const LaunchPlace& place) {
  if (whole.tile == nullptr) {
    whole.cudnn->run(args, workspace, place.stream);
    return;
  }
  const std::string refused = whole.tile->queue(args, workspace, kLtWorkspaceBytes, place);
  if (!refused.empty()) {
    throw std::runtime_error(fmt::format("cuda: CUTLASS, tile {}, {}: {}", whole.tile->name,
                                         bucket_name(args.problem), refused));
  }
}

const ProductEngine::Whole& ProductEngine::chosen(const LtProblem& problem) const {
  const auto found = wholes_.find(key_of(problem));
  if (found == wholes_.end() || !found->second) {
    throw Unavailable(fmt::format("cuda: expected {} to be served as one kernel, found none for it",
                                  bucket_name(problem)));
  }
  return found->second;
}

void ProductEngine::prepare(const ProductArgs& args, void* workspace, cudaStream_t stream) {
  if (args.problem.finish == Finish::bias_gelu_erf) {
    // Brings its code to the device.
    queue(chosen(args.problem), args, workspace, {.stream = stream});
  } else {
    lt_.prepare(args, workspace, stream);
  }
}

void ProductEngine::run(const ProductArgs& args, void* workspace, const LaunchPlace& place) {
  if (args.problem.finish == Finish::bias_gelu_erf) {
    queue(chosen(args.problem), args, workspace, place);
  } else {
    lt_.run(args, workspace, place.stream);
  }
}

std::string ProductEngine::describe() const {
  std::string text = LtLibrary::describe();
  const auto any = [&](const auto& is) {
    return std::ranges::any_of(wholes_, [&](const auto& each) { return is(each.second); });
  };
  if (any([](const Whole& whole) { return whole.tile != nullptr; })) {
    text += ", " + describe_cutlass();
  }
  if (any([](const Whole& whole) { return whole.cudnn != nullptr; })) {
    text += ", " + CudnnAttention::describe();
  }
  return refusal_.empty() ? text : fmt::format("{} ({})", text, refusal_);
}

}  // namespace deformer::cuda
