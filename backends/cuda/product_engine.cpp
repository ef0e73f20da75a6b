#include "backends/cuda/product_engine.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>

#include <fmt/format.h>

#include "backends/cuda/cudnn_attention.hpp"
#include "backends/cuda/kernels/skinny.cuh"
#include "backends/cuda/lt_library.hpp"
#include "backends/cuda/stopwatch.hpp"
#include "backends/cuda/timing_operands.hpp"
#include "backends/cuda/timing_weights.hpp"
#include "model/error.hpp"

namespace deformer::cuda {
namespace {

/// Multiply-adds below which cuDNN is not asked: it compiles a kernel for each shape, and what that
/// could save of so small a one is lost in the launch.
constexpr std::int64_t kSmallestCudnn = std::int64_t{1} << 25;

/// Raised with every change of kernels/skinny.cuh or of CUTLASS's tiles that changes their speed:
/// what was measured before is measured again.
constexpr int kKernelsVersion = 3;

bool with_erf(const LtProblem& problem) {
  return problem.finish == Finish::bias_gelu_erf;
}

/// The name of a tile is remembered behind the route, which is the first byte.
void name_tile(Algorithm& found, std::string_view name) {
  std::memcpy(found.bytes.data() + 1, name.data(), std::min(name.size(), found.bytes.size() - 2));
}

std::string named_tile(const Algorithm& known) {
  std::string name(known.bytes.size() - 1, '\0');
  std::memcpy(name.data(), known.bytes.data() + 1, name.size());
  return name.substr(0, name.find('\0'));
}

std::string key_of(const LtProblem& problem) {
  return fmt::format("{} exactly {}", bucket_name(problem), problem.rows());
}

}  // namespace

std::optional<SkinnyArgs> ProductEngine::skinny(const ProductArgs& args) const {
  return skinny_args(args, device_.launches_clusters);
}

bool ProductEngine::skinny_fits(const LtProblem& problem) const {
  const auto args = skinny({problem, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr});
  return args && prepare_skinny_kernel(*args, device_.shared_bytes_block);
}

bool ProductEngine::gelu_erf_pays(LtProblem problem, void* workspace, cudaStream_t stream) {
  problem.finish = Finish::bias_gelu_erf;
  return choice_of(problem, workspace, stream).route != Route::lt;
}

const ProductEngine::Choice& ProductEngine::choice_of(const LtProblem& problem, void* workspace,
                                                      cudaStream_t stream) {
  static const Choice by_lt;
  const std::string key = key_of(problem);
  if (const auto found = choices_.find(key); found != choices_.end()) {
    return found->second;
  }
  Choice choice;
  try {
    choice = find_choice(problem, workspace, stream);
  } catch (const Unavailable&) {
    return by_lt;  // no memory to find out, or no algorithm to compare with: not remembered
  } catch (const DeviceFault&) {
    throw;
  } catch (const std::exception& error) {
    forget(cudaGetLastError());
    refusal_ = error.what();
  }
  return choices_[key] = std::move(choice);
}

/// All that could do it but cuBLASLt; of them our kernel for few rows where it fits (`skinny`), and
/// cuDNN, which compiles for long, where it is asked for.
std::vector<ProductEngine::Choice> ProductEngine::candidates(const LtProblem& problem, bool skinny,
                                                             bool cudnn) {
  std::vector<Choice> found;
  if (skinny) {
    found.push_back({Route::skinny, nullptr, nullptr});
  }
  if (!cutlass_why_not(problem, device_.capability)) {
    for (const CutlassTile& tile : cutlass_tiles()) {
      found.push_back({Route::cutlass, &tile, nullptr});
    }
  }
  if (cudnn && !skinny && with_erf(problem) &&
      problem.rows() * problem.in() * problem.out() >= kSmallestCudnn) {
    try {
      auto plan = CudnnProduct::make(problem, device_.capability, kLtWorkspaceBytes);
      if (plan != nullptr) {
        found.push_back({Route::cudnn, nullptr, std::move(plan)});
      }
    } catch (const DeviceFault&) {
      throw;
    } catch (const std::exception& error) {  // others may do
      forget(cudaGetLastError());
      refusal_ = error.what();
    }
  }
  return found;
}

/// The one of them that was remembered, or cuBLASLt.
ProductEngine::Choice ProductEngine::recalled(const Algorithm& known,
                                              const std::vector<Choice>& candidates) {
  const auto route = static_cast<Route>(known.bytes[0]);
  const std::string tile = named_tile(known);
  const auto found = std::ranges::find_if(candidates, [&](const Choice& each) {
    return each.route == route && (each.tile == nullptr || each.tile->name == tile);
  });
  return found == candidates.end() ? Choice{} : *found;
}

ProductEngine::Choice ProductEngine::find_choice(const LtProblem& problem, void* workspace,
                                                 cudaStream_t stream) {
  const bool skinny = skinny_fits(problem);
  if (!with_erf(problem) && !skinny) {
    return {};
  }
  const std::string bucket = fmt::format("{} {}: {}", skinny ? "few rows" : "kernels",
                                         kKernelsVersion, bucket_name(problem));
  const std::optional<Algorithm> known = memory_.find(bucket);
  if (known && static_cast<Route>(known->bytes[0]) == Route::lt) {
    return {};
  }
  const bool cudnn = !known || static_cast<Route>(known->bytes[0]) == Route::cudnn;
  const std::vector<Choice> all = candidates(problem, skinny, cudnn);
  if (known) {
    Choice choice = recalled(*known, all);
    if (choice.route != Route::lt) {
      const TimingOperands operands(problem);  // tried, because a program will be built upon it
      queue(choice, operands.args(problem), workspace, {.stream = stream});
      check(cudaStreamSynchronize(stream), "trying a product");
    }
    return choice;
  }
  if (all.empty()) {
    return {};
  }
  Algorithm found;
  Choice best = measure(problem, all, workspace, stream, found.time_us);
  found.bytes[0] = static_cast<std::byte>(best.route);
  if (best.tile != nullptr) {
    name_tile(found, best.tile->name);
  }
  memory_.remember(bucket, found);
  return best;
}

/// The quickest of those that work, if it is quicker than cuBLASLt and what stands after it.
ProductEngine::Choice ProductEngine::measure(const LtProblem& problem,
                                             const std::vector<Choice>& candidates, void* workspace,
                                             cudaStream_t stream, double& best_us) {
  const TimingOperands operands(problem);
  LtProblem product = problem;
  product.finish = with_erf(problem) ? Finish::bias : problem.finish;
  ProductArgs parts = operands.args(product);
  ProductArgs whole = operands.args(problem);
  const TimingWeights weights(whole, device_.cache_bytes, stream);
  const GeluArgs gelu{problem.d.element,
                      Activation::gelu_erf,
                      problem.rows() * problem.out(),
                      operands.result(),
                      nullptr,
                      nullptr};
  const bool early = device_.launches_early();
  lt_.prepare(parts, workspace, stream);
  const std::string asked = " for " + key_of(problem);
  best_us = time_us(stream, weights.count(), "cuBLASLt" + asked, [&](int number) {
    parts.weights = weights.of(number);
    lt_.run(parts, workspace, stream);
    if (with_erf(problem)) {
      launch_kernel(gelu, {.stream = stream, .early = early});
    }
  });
  Choice best;
  for (const Choice& each : candidates) {
    try {
      const double us = time_us(stream, weights.count(), name_of(each) + asked, [&](int number) {
        whole.weights = weights.of(number);
        // Its neighbours are kernels as well, behind which it may start early.
        queue(each, whole, workspace, {.stream = stream, .early = early && number > 0});
      });
      if (us < best_us) {
        best_us = us;
        best = each;
      }
    } catch (const DeviceFault&) {
      throw;
    } catch (const std::exception& error) {  // others may do
      forget(cudaGetLastError());
      refusal_ = error.what();
    }
  }
  return best;
}

std::string ProductEngine::name_of(const Choice& choice) {
  switch (choice.route) {
    case Route::lt:
      return "cuBLASLt";
    case Route::cudnn:
      return "cuDNN";
    case Route::skinny:
      return "our kernel for few rows";
    case Route::cutlass:
      return fmt::format("CUTLASS's tile {}", choice.tile->name);
  }
  return "";
}

void ProductEngine::queue(const Choice& choice, const ProductArgs& args, void* workspace,
                          const LaunchPlace& place) const {
  if (choice.route == Route::skinny) {
    launch_kernel(*skinny(args), place);
  } else if (choice.route == Route::cudnn) {
    choice.cudnn->run(args, workspace, place.stream);
  } else {
    const std::string refused = choice.tile->queue(args, workspace, kLtWorkspaceBytes, place);
    if (!refused.empty()) {
      throw std::runtime_error(fmt::format("cuda: CUTLASS, tile {}, {}: {}", choice.tile->name,
                                           bucket_name(args.problem), refused));
    }
  }
}

void ProductEngine::prepare(const ProductArgs& args, void* workspace, cudaStream_t stream) {
  const Choice& choice = choice_of(args.problem, workspace, stream);
  if (choice.route == Route::skinny) {
    launch_kernel(*skinny(args), {.stream = stream, .load_only = true});
  } else if (choice.route != Route::lt) {
    queue(choice, args, workspace, {.stream = stream});  // brings its code to the device
  } else if (with_erf(args.problem)) {
    throw Unavailable(fmt::format("cuda: expected a kernel that does {} as one, found none",
                                  bucket_name(args.problem)));
  } else {
    lt_.prepare(args, workspace, stream);
  }
}

void ProductEngine::run(const ProductArgs& args, void* workspace, const LaunchPlace& place) {
  const Choice& choice = choice_of(args.problem, workspace, place.stream);
  if (choice.route == Route::lt) {
    lt_.run(args, workspace, place.stream);
  } else {
    queue(choice, args, workspace, place);
  }
}

std::string ProductEngine::describe() const {
  const auto some = [&](Route route) {
    return std::ranges::any_of(choices_,
                               [&](const auto& each) { return each.second.route == route; });
  };
  std::string text = LtLibrary::describe();
  text += some(Route::cudnn) ? ", " + CudnnAttention::describe() : "";
  text += some(Route::cutlass) ? ", " + describe_cutlass() : "";
  text += some(Route::skinny) ? ", own kernel for few rows" : "";
  text += device_.one_by_one ? fmt::format(", kernels one by one ({})", kOneByOne) : "";
  return refusal_.empty() ? text : fmt::format("{} (another failed: {})", text, refusal_);
}

}  // namespace deformer::cuda
