#include "backends/cpu/gemm_candidates.hpp"

#include <cblas.h>
#include <libxsmm.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.hpp>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/amx_f32.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/onednn_compat.hpp"
#include "backends/cpu/tiles.hpp"

namespace deformer {
namespace {

using Run = std::function<void()>;

/// The team of the calling thread while it lives: libraries ask OpenMP how many they may use.
class TeamOf {
 public:
  explicit TeamOf(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~TeamOf() { omp_set_num_threads(before_); }
  TeamOf(const TeamOf&) = delete;
  TeamOf& operator=(const TeamOf&) = delete;

 private:
  int before_;
};

// ---- oneDNN: weights packed once into the layout it prefers

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
constexpr auto kF32 = dnnl::memory::data_type::f32;

dnnl::matmul::primitive_desc matmul_of(const dnnl::engine& engine, const GemmShape& shape) {
  const Desc a({shape.m, shape.k}, kF32, Tag::ab);
  const Desc w({shape.k, shape.n}, kF32, Tag::any);
  const Desc c({shape.m, shape.n}, kF32, Tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  return {engine, a, w, c};
#else
  return {dnnl::matmul::desc(a, w, c), engine};
#endif
}

dnnl::inner_product_forward::primitive_desc inner_product_of(const dnnl::engine& engine,
                                                             const GemmShape& shape) {
  constexpr auto kind = dnnl::prop_kind::forward_inference;
  const Desc a({shape.m, shape.k}, kF32, Tag::ab);
  const Desc w({shape.n, shape.k}, kF32, Tag::any);
  const Desc c({shape.m, shape.n}, kF32, Tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kind, a, w, c};
#else
  return {dnnl::inner_product_forward::desc(kind, a, w, c), engine};
#endif
}

/// `plain`: how w [n, k], row by row, looks to this primitive before it is packed.
template <typename Primitive, typename Description>
Run run_onednn(const dnnl::engine& engine, const Description& description, const Desc& plain,
               int threads, const float* a, const float* w, float* c) {
  struct Prepared {
    dnnl::stream stream;
    Primitive primitive;
    dnnl::memory source, weights, result;
  };
  const auto mutable_floats = [](const float* data) {  // oneDNN's handles are not const
    return const_cast<float*>(data);
  };
  auto prepared = std::make_shared<Prepared>(
      Prepared{dnnl::stream(engine), Primitive(description),
               dnnl::memory(description.src_desc(), engine, mutable_floats(a)),
               dnnl::memory(description.weights_desc(), engine),
               dnnl::memory(description.dst_desc(), engine, c)});
  dnnl::memory rows(plain, engine, mutable_floats(w));
  dnnl::reorder(rows, prepared->weights).execute(prepared->stream, rows, prepared->weights);
  prepared->stream.wait();
  return [prepared, threads] {
    const TeamOf team(threads);
    prepared->primitive.execute(prepared->stream, {{DNNL_ARG_SRC, prepared->source},
                                                   {DNNL_ARG_WEIGHTS, prepared->weights},
                                                   {DNNL_ARG_DST, prepared->result}});
    prepared->stream.wait();
  };
}

Run prepare_matmul(const GemmShape& shape, int threads, const float* a, const float* w, float* c) {
  const TeamOf team(threads);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return run_onednn<dnnl::matmul>(engine, matmul_of(engine, shape),
                                  Desc({shape.k, shape.n}, kF32, Tag::ba), threads, a, w, c);
}

Run prepare_inner_product(const GemmShape& shape, int threads, const float* a, const float* w,
                          float* c) {
  const TeamOf team(threads);
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return run_onednn<dnnl::inner_product_forward>(engine, inner_product_of(engine, shape),
                                                 Desc({shape.n, shape.k}, kF32, Tag::ab), threads,
                                                 a, w, c);
}

// ---- OpenBLAS

blasint blas_int(std::int64_t value) {
  if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
    throw std::length_error("a matrix dimension does not fit BLAS's integers");
  }
  return static_cast<blasint>(value);
}

Run prepare_openblas(const GemmShape& shape, int threads, const float* a, const float* w,
                     float* c) {
  const blasint m = blas_int(shape.m);
  const blasint n = blas_int(shape.n);
  const blasint k = blas_int(shape.k);
  return [=] {
    const int before = openblas_get_num_threads();
    openblas_set_num_threads(threads);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0F, a, k, w, k, 0.0F, c, n);
    openblas_set_num_threads(before);
  };
}

// ---- libxsmm: its batch-reduce kernels over panels of w, packed once

/// Panels of kPanel outputs, [panel][k][kPanel]; c is cut into kPanel x kRows tiles, handed out to
/// the threads. A tile's rows of a and its panel fit L2 for k up to 3072 (64 x 3072 x 4 = 786 kB
/// each, of 1 to 2 MB on current servers), and a panel stays there for all rows. libxsmm's matrices
/// are column by column: its m is our n.
class XsmmProduct {
 public:
  XsmmProduct(const GemmShape& shape, int threads, const float* a, const float* w, float* c)
      : shape_(shape), threads_(threads), a_(a), c_(c), depth_(depth_of(shape.k)) {
    if (shape.n % kPanel != 0) {
      throw std::invalid_argument(
          fmt::format("n: expected a multiple of {}, found {}", kPanel, shape.n));
    }
    tile_ = kernel_for(std::min(kRows, shape.m));
    if (shape.m % kRows != 0) last_tile_ = kernel_for(shape.m % kRows);
    pack(w);
  }

  void run() const {
    const std::int64_t panels = shape_.n / kPanel;
    const std::int64_t blocks = (shape_.m + kRows - 1) / kRows;
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(threads_)
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      for (std::int64_t block = 0; block < blocks; ++block) {
        const std::int64_t row = block * kRows;
        const bool whole = shape_.m - row >= kRows || last_tile_ == nullptr;
        const auto count = static_cast<unsigned long long>(shape_.k / depth_);
        (whole ? tile_ : last_tile_)(packed_.data() + panel * kPanel * shape_.k,
                                     a_ + row * shape_.k, c_ + row * shape_.n + panel * kPanel,
                                     &count);
      }
    }
  }

 private:
  static constexpr std::int64_t kPanel = 64;
  static constexpr std::int64_t kRows = 64;

  /// The deepest block that divides k, of those that keep the kernel's panel in L1.
  static std::int64_t depth_of(std::int64_t k) {
    for (std::int64_t depth = 128; depth > 1; depth /= 2) {
      if (k % depth == 0) return depth;
    }
    return 1;
  }

  libxsmm_smmfunction_reducebatch_strd kernel_for(std::int64_t rows) const {
    const float alpha = 1;
    const float beta = 0;
    const auto leading = [](std::int64_t value) { return static_cast<libxsmm_blasint>(value); };
    const libxsmm_blasint lda = leading(kPanel);
    const libxsmm_blasint ldb = leading(shape_.k);
    const libxsmm_blasint ldc = leading(shape_.n);
    constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
    const auto kernel = libxsmm_smmdispatch_reducebatch_strd(
        leading(kPanel), leading(rows), leading(depth_), leading(depth_ * kPanel * kFloat),
        leading(depth_ * kFloat), &lda, &ldb, &ldc, &alpha, &beta, nullptr, nullptr);
    if (kernel == nullptr) {
      throw std::runtime_error(
          fmt::format("libxsmm has no kernel of {} x {} x {} here", rows, kPanel, depth_));
    }
    return kernel;
  }

  void pack(const float* w) {
    packed_.resize(static_cast<std::size_t>(shape_.n * shape_.k));
    for (std::int64_t output = 0; output < shape_.n; ++output) {
      float* panel = packed_.data() + output / kPanel * kPanel * shape_.k + output % kPanel;
      for (std::int64_t k = 0; k < shape_.k; ++k) panel[k * kPanel] = w[output * shape_.k + k];
    }
  }

  GemmShape shape_;
  int threads_;
  const float* a_;
  float* c_;
  std::int64_t depth_;
  libxsmm_smmfunction_reducebatch_strd tile_ = nullptr;
  libxsmm_smmfunction_reducebatch_strd last_tile_ = nullptr;
  std::vector<float> packed_;
};

Run prepare_xsmm(const GemmShape& shape, int threads, const float* a, const float* w, float* c) {
  const auto product = std::make_shared<const XsmmProduct>(shape, threads, a, w, c);
  return [product] { product->run(); };
}

// ---- our own, which keep rows further apart (row_stride) than the given matrices may

class OwnProduct {
 public:
  OwnProduct(const LinearEngine& engine, const GemmShape& shape, int threads, const float* a,
             const float* w, float* c)
      : shape_(shape),
        c_(c),
        team_(threads, {}),
        source_(shape.m * row_stride(shape.k) * kFloatBytes),
        result_(shape.m * row_stride(shape.n) * kFloatBytes) {
    weights_ = engine.pack([&](std::span<float> out) { std::copy_n(w, out.size(), out.data()); },
                           [](std::span<float> out) { std::ranges::fill(out, 0.0F); }, slab_);
    linear_ = engine.prepare(shape.m);
    scratchpad_ = AlignedBuffer(linear_->scratchpad_bytes(threads));
    linear_->bind({source_.floats(), result_.floats(), scratchpad_.data()});
    for (std::int64_t row = 0; row < shape.m; ++row) {
      std::copy_n(a + row * shape.k, shape.k, source_.floats() + row * row_stride(shape.k));
    }
  }

  /// The first result is copied out, so that it can be checked; a forward pass never copies.
  void run() {
    team_.run([this](const Worker& worker) { linear_->work(*weights_, worker); });
    for (std::int64_t row = 0; !copied_ && row < shape_.m; ++row) {
      std::copy_n(result_.floats() + row * row_stride(shape_.n), shape_.n, c_ + row * shape_.n);
    }
    copied_ = true;
  }

 private:
  static constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
  GemmShape shape_;
  float* c_;
  Team team_;
  AlignedBuffer source_;
  AlignedBuffer result_;
  AlignedBuffer scratchpad_;
  Slab slab_;
  std::unique_ptr<LinearWeights> weights_;
  std::unique_ptr<Linear> linear_;
  bool copied_ = false;
};

Run prepare_panels(const GemmShape& shape, int threads, const float* a, const float* w, float* c) {
  const auto product = std::make_shared<OwnProduct>(
      *make_panel_engine({shape.k, shape.n, Epilogue::bias}), shape, threads, a, w, c);
  return [product] { product->run(); };
}

Run prepare_amx(const GemmShape& shape, int threads, const float* a, const float* w, float* c) {
  const auto engine = make_amx_engine({shape.k, shape.n, Epilogue::bias});
  if (engine == nullptr) {
    throw std::invalid_argument("k and n: expected multiples of 32");
  }
  const auto product = std::make_shared<OwnProduct>(*engine, shape, threads, a, w, c);
  return [product] { product->run(); };
}

/// "OpenBLAS 0.3.21": the version alone, without the options it was built with.
std::string openblas_name() {
  const std::string config = openblas_get_config();
  return config.substr(0, config.find(' ', config.find(' ') + 1));
}

}  // namespace

std::vector<GemmCandidate> gemm_candidates() {
  std::vector<GemmCandidate> candidates{
      {fmt::format("own panels ({})", tiles().isa), prepare_panels},
      {fmt::format("oneDNN {} matmul", onednn::version()), prepare_matmul},
      {fmt::format("oneDNN {} inner product", onednn::version()), prepare_inner_product},
      {fmt::format("libxsmm {}", LIBXSMM_CONFIG_VERSION), prepare_xsmm},
      {openblas_name(), prepare_openblas}};
  if (amx_f32::use()) {
    candidates.insert(candidates.begin(), {"own, AMX, three bf16 parts", prepare_amx});
  }
  return candidates;
}

}  // namespace deformer
