#include "backends/cuda/product_engine.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>

#include <fmt/format.h>

#include "backends/cuda/cudnn_attention.hpp"
#include "backends/cuda/host/product_check.hpp"
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

bool with_erf(const LtProblem& problem) {
  return problem.finish == Finish::bias_gelu_erf;
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
  for (const CutlassTile* tile : cutlass_tiles_for(problem, device_.capability)) {
    found.push_back({Route::cutlass, tile, nullptr});
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

/// The one of them that was remembered; none where it is not among them.
std::optional<ProductEngine::Choice> ProductEngine::recalled(
    const KernelChoice& known, const std::vector<Choice>& candidates) {
  const auto found = std::ranges::find_if(candidates, [&](const Choice& each) {
    return each.route == known.route && (each.tile == nullptr || each.tile->name == known.tile);
  });
  return found == candidates.end() ? std::nullopt : std::optional(*found);
}

ProductEngine::Choice ProductEngine::find_choice(const LtProblem& problem, void* workspace,
                                                 cudaStream_t stream) {
  const bool skinny = skinny_fits(problem);
  if (const auto route = unmeasured_route(device_.own_kernels, skinny)) {
    return {*route, nullptr, nullptr};
  }
  const std::string bucket = choice_bucket(problem, skinny);
  if (const std::optional<Algorithm> remembered_one = memory_.find(bucket)) {
    const KernelChoice known = choice_in(*remembered_one);
    if (known.route == Route::lt) {
      return {};
    }
    const auto choice = recalled(known, candidates(problem, skinny, known.route == Route::cudnn));
    if (choice) {
      const TimingOperands operands(problem);  // tried, because a program will be built upon it
      queue(*choice, operands.args(problem), workspace, {.stream = stream});
      check(cudaStreamSynchronize(stream), "trying a product");
      return *choice;
    }
  }
  const std::vector<Choice> all = candidates(problem, skinny, true);
  if (all.empty()) {
    return {};
  }
  double best_us = 0;
  Choice best = measure(problem, all, workspace, stream, best_us);
  const std::string tile = best.tile == nullptr ? "" : std::string(best.tile->name);
  memory_.remember(bucket, remembered({best.route, tile}, best_us));
  return best;
}

/// The quickest of those that work, if it is quicker than cuBLASLt and what stands after it. What
/// does not leave the result that cuBLASLt leaves is not timed.
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
  const auto by_lt = [&](int number) {
    parts.weights = weights.of(number);
    lt_.run(parts, workspace, stream);
    if (with_erf(problem)) {
      launch_kernel(gelu, {.stream = stream, .early = early});
    }
  };
  const std::vector<float> expected = operands.result_of(stream, "cuBLASLt" + asked, by_lt);
  best_us = time_us(stream, weights.count(), "cuBLASLt" + asked, by_lt);
  const auto us_of = [&](const Choice& each) {
    const auto by_it = [&](int number) {
      whole.weights = weights.of(number);
      // Its neighbours are kernels as well, behind which it may start early.
      queue(each, whole, workspace, {.stream = stream, .early = early && number > 0});
    };
    const std::string tried = name_of(each) + asked;
    const std::vector<float> found = operands.result_of(stream, tried, by_it);
    if (const auto wrong = difference(problem.d.element, expected, found)) {
      throw std::runtime_error(fmt::format("cuda: {} {}", tried, *wrong));
    }
    return time_us(stream, weights.count(), tried, by_it);
  };
  return quickest(candidates, us_of, best_us);
}

/// Of those that `us_of` can tell the time of, where it is less than best_us, which it then is.
ProductEngine::Choice ProductEngine::quickest(const std::vector<Choice>& candidates,
                                              const std::function<double(const Choice&)>& us_of,
                                              double& best_us) {
  Choice best;
  for (const Choice& each : candidates) {
    try {
      const double us = us_of(each);
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

/// Nothing is looked for here, since it may be captured: what `prepare` could not find out is
/// cuBLASLt's.
void ProductEngine::run(const ProductArgs& args, void* workspace, const LaunchPlace& place) {
  static const Choice by_lt;
  const auto found = choices_.find(key_of(args.problem));
  const Choice& choice = found == choices_.end() ? by_lt : found->second;
  if (choice.route == Route::lt) {
    lt_.run(args, workspace, place.stream);
  } else {
    queue(choice, args, workspace, place);
  }
}

/// "onto 64x48x128 pingpong 2x2 for 2 shapes, ...": of products, exact rows each.
std::string ProductEngine::chosen_tiles() const {
  std::map<std::string_view, int> shapes;
  for (const auto& [key, choice] : choices_) {
    if (choice.route == Route::cutlass) {
      ++shapes[choice.tile->name];
    }
  }
  std::string text;
  for (const auto& [name, count] : shapes) {
    text += fmt::format("{}{} for {} shape{}", text.empty() ? "" : ", ", name, count,
                        count == 1 ? "" : "s");
  }
  return text;
}

std::string ProductEngine::describe() const {
  const auto some = [&](Route route) {
    return std::ranges::any_of(choices_,
                               [&](const auto& each) { return each.second.route == route; });
  };
  std::string text = LtLibrary::describe();
  text += some(Route::cudnn) ? ", " + CudnnAttention::describe() : "";
  if (some(Route::cutlass)) {
    text += fmt::format(", {} chosen: {}", describe_cutlass(), chosen_tiles());
  }
  text += some(Route::skinny) ? ", own kernel for few rows" : "";
  text += asked_text(device_);
  return refusal_.empty() ? text : fmt::format("{} (another failed: {})", text, refusal_);
}

}  // namespace deformer::cuda
