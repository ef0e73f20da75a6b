#include "backends/cuda/lt_matmul.hpp"

#include <cstring>
#include <exception>
#include <stdexcept>

#include <fmt/format.h>

#include "backends/cuda/lt_library.hpp"
#include "backends/cuda/stopwatch.hpp"
#include "backends/cuda/timing_weights.hpp"
#include "model/error.hpp"

namespace deformer::cuda {
namespace {

/// Heuristics asked for: the first is rarely far off, the best rarely beyond the eighth.
constexpr int kCandidates = 16;

cudaDataType_t data_type(Element element) {
  switch (element) {
    case Element::bf16:
      return CUDA_R_16BF;
    case Element::f16:
      return CUDA_R_16F;
    case Element::e4m3:
      return CUDA_R_8F_E4M3;
    default:
      return CUDA_R_32F;
  }
}

cublasLtEpilogue_t epilogue(Finish finish) {
  switch (finish) {
    case Finish::none:
      return CUBLASLT_EPILOGUE_DEFAULT;
    case Finish::bias:
      return CUBLASLT_EPILOGUE_BIAS;
    case Finish::bias_gelu_tanh:
      return CUBLASLT_EPILOGUE_GELU_BIAS;
    case Finish::bias_gelu_erf:
      break;
  }
  throw Unavailable("cuda: cuBLASLt has no erf GELU; ask for a bias and a kernel after it");
}

/// A map's key: the whole problem, rows and all.
std::string key_of(const LtProblem& problem) {
  return fmt::format("{} exactly {}", bucket_name(problem), problem.rows());
}

}  // namespace

struct LtMatmul::Prepared {
  explicit Prepared(const LtProblem& asked) : problem(asked) {
    try {
      make();
    } catch (...) {
      drop();
      throw;
    }
  }
  ~Prepared() { drop(); }
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    LtLibrary::check(LtLibrary::get().descriptor_set(descriptor, attribute, &value, sizeof value),
                     "describing a product");
  }

  /// What differs from call to call.
  void point(const ProductArgs& args) {
    if (problem.finish != Finish::none) {
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.bias);
    }
    if (problem.scaled) {
      set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, args.weight_scale);
      set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, args.source_scale);
    }
  }

  LtProblem problem;
  cublasLtMatmulDesc_t descriptor = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;  ///< C is D, and described by it
  cublasLtMatmulAlgo_t algorithm{};
  bool chosen = false;

 private:
  void make() {
    const LtLibrary& lt = LtLibrary::get();
    const cublasComputeType_t compute =
        problem.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    LtLibrary::check(lt.descriptor_create(&descriptor, compute, CUDA_R_32F),
                     "describing a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue(problem.finish));
    if (problem.finish != Finish::none) {
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
          static_cast<std::int32_t>(data_type(problem.d.element)));
    }
    if (problem.scaled) {
      set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, std::int8_t{1});
    }
    a = layout(problem.a);
    b = layout(problem.b);
    d = layout(problem.d);
  }

  static cublasLtMatrixLayout_t layout(const MatrixLayout& from) {
    cublasLtMatrixLayout_t made = nullptr;
    LtLibrary::check(LtLibrary::get().layout_create(
                         &made, data_type(from.element), static_cast<std::uint64_t>(from.rows),
                         static_cast<std::uint64_t>(from.columns), from.leading),
                     "describing a matrix");
    return made;
  }

  void drop() {
    const LtLibrary& lt = LtLibrary::get();
    for (const cublasLtMatrixLayout_t each : {a, b, d}) {
      if (each != nullptr) {
        static_cast<void>(lt.layout_destroy(each));
      }
    }
    if (descriptor != nullptr) {
      static_cast<void>(lt.descriptor_destroy(descriptor));
    }
  }
};

LtMatmul::LtMatmul(AlgorithmMemory& memory, std::int64_t cache_bytes)
    : memory_(memory), cache_bytes_(cache_bytes) {
  LtLibrary::check(LtLibrary::get().create(&handle_), "starting the library");
}

LtMatmul::~LtMatmul() {
  prepared_.clear();
  static_cast<void>(LtLibrary::get().destroy(handle_));
}

LtMatmul::Prepared& LtMatmul::prepared(const LtProblem& problem) {
  std::unique_ptr<Prepared>& entry = prepared_[key_of(problem)];
  if (!entry) {
    entry = std::make_unique<Prepared>(problem);
  }
  return *entry;
}

void LtMatmul::prepare(const ProductArgs& args, void* workspace, cudaStream_t stream) {
  Prepared& entry = prepared(args.problem);
  if (!entry.chosen) {
    choose(entry, args, workspace, stream);
    entry.chosen = true;
  }
}

void LtMatmul::run(const ProductArgs& args, void* workspace, cudaStream_t stream) {
  Prepared& entry = prepared(args.problem);
  launch(entry, entry.algorithm, args, workspace, stream);
}

/// Takes what is remembered, if the library still finds that it fits.
bool LtMatmul::recall(Prepared& entry, const std::string& bucket) const {
  const auto found = memory_.find(bucket);
  if (!found) {
    return false;
  }
  static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof found->bytes);
  std::memcpy(&entry.algorithm, found->bytes.data(), sizeof entry.algorithm);
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status = LtLibrary::get().algorithm_check(
      handle_, entry.descriptor, entry.a, entry.b, entry.d, entry.d, &entry.algorithm, &result);
  return status == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= static_cast<std::size_t>(kLtWorkspaceBytes);
}

std::vector<cublasLtMatmulHeuristicResult_t> LtMatmul::candidates(const Prepared& entry) const {
  const LtLibrary& lt = LtLibrary::get();
  cublasLtMatmulPreference_t preference = nullptr;
  LtLibrary::check(lt.preference_create(&preference), "asking for algorithms");
  const std::uint64_t workspace = kLtWorkspaceBytes;
  std::vector<cublasLtMatmulHeuristicResult_t> found(kCandidates);
  int count = 0;
  cublasStatus_t status = lt.preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                            &workspace, sizeof workspace);
  if (status == CUBLAS_STATUS_SUCCESS) {
    status = lt.heuristic(handle_, entry.descriptor, entry.a, entry.b, entry.d, entry.d, preference,
                          kCandidates, found.data(), &count);
  }
  static_cast<void>(lt.preference_destroy(preference));
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) {
    count = 0;
  } else {
    LtLibrary::check(status, "asking for algorithms");
  }
  found.resize(static_cast<std::size_t>(count));
  std::erase_if(found, [](const auto& each) { return each.state != CUBLAS_STATUS_SUCCESS; });
  return found;
}

void LtMatmul::choose(Prepared& entry, const ProductArgs& args, void* workspace,
                      cudaStream_t stream) {
  const std::string bucket = bucket_name(args.problem);
  entry.point(args);
  if (recall(entry, bucket)) {
    launch(entry, entry.algorithm, args, workspace, stream);  // brings its code to the device
    return;
  }
  const auto found = candidates(entry);
  if (found.empty()) {
    throw Unavailable(
        fmt::format("cuda: cuBLASLt has no algorithm for the product {}; use another "
                    "dtype",
                    key_of(args.problem)));
  }
  const TimingWeights weights(args, cache_bytes_, stream);
  Algorithm best;
  best.time_us = -1;
  std::exception_ptr refused;
  for (const cublasLtMatmulHeuristicResult_t& candidate : found) {
    double time = 0;
    try {
      const std::string tried =
          fmt::format("cuBLASLt's algorithm {} of {} for {}", &candidate - found.data() + 1,
                      found.size(), key_of(args.problem));
      time = time_us(stream, weights.count(), tried, [&](int number) {
        ProductArgs one = args;
        one.weights = weights.of(number);
        launch(entry, candidate.algo, one, workspace, stream);
      });
    } catch (const DeviceFault&) {
      throw;
    } catch (const std::runtime_error&) {  // it was only a heuristic: another one may do
      refused = std::current_exception();
      continue;
    }
    if (best.time_us < 0 || time < best.time_us) {
      best.time_us = time;
      best.workspace_bytes = static_cast<std::int64_t>(candidate.workspaceSize);
      std::memcpy(best.bytes.data(), &candidate.algo, best.bytes.size());
    }
  }
  if (best.time_us < 0) {
    std::rethrow_exception(refused);
  }
  std::memcpy(&entry.algorithm, best.bytes.data(), sizeof entry.algorithm);
  memory_.remember(bucket, best);
}

void LtMatmul::launch(Prepared& entry, const cublasLtMatmulAlgo_t& algorithm,
                      const ProductArgs& args, void* workspace, cudaStream_t stream) {
  const float alpha = 1.0F;
  const float beta = entry.problem.beta;
  entry.point(args);
  LtLibrary::check(LtLibrary::get().matmul(handle_, entry.descriptor, &alpha, args.weights, entry.a,
                                           args.source, entry.b, &beta, args.result, entry.d,
                                           args.result, entry.d, &algorithm, workspace,
                                           static_cast<std::size_t>(kLtWorkspaceBytes), stream),
                   bucket_name(args.problem));
}

}  // namespace deformer::cuda
