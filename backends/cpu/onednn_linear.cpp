// Products through oneDNN's matmul, with packed weights and fused epilogues.

#include <algorithm>
#include <array>
#include <stdexcept>

#include <fmt/format.h>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/onednn_compat.hpp"

namespace deformer {
namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
constexpr auto kF32 = dnnl::memory::data_type::f32;
constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));

/// Rows at which the layout is asked for: the joint sequence of the squad task.
constexpr std::int64_t kTypicalRows = 320;
/// Rows at which an optimised implementation must take that layout: a word, a question, short
/// texts, a joint sequence, a batch of eight.
constexpr std::array<std::int64_t, 5> kProbedRows{1, 27, 128, 320, 2560};

/// The engine and stream. Made at the first use, so that starting the program stays quick.
const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

const dnnl::stream& cpu_stream() {
  static const dnnl::stream stream(cpu_engine());
  return stream;
}

/// [in, out] as the model has it: rows of `in` for each output.
Desc plain_layout(const LinearKind& kind) {
  return {{kind.in, kind.out}, kF32, Tag::ba};
}
Desc free_layout(const LinearKind& kind) {
  return {{kind.in, kind.out}, kF32, Tag::any};
}

dnnl::matmul::primitive_desc describe(const LinearKind& kind, const Desc& weights,
                                      std::int64_t rows) {
  const onednn::LinearDescs descs{{{rows, kind.in}, kF32, {row_stride(kind.in), 1}},
                                  weights,
                                  {{1, kind.out}, kF32, Tag::ab},
                                  {{rows, kind.out}, kF32, {row_stride(kind.out), 1}}};
  return onednn::linear_primitive(cpu_engine(), descs, kind.epilogue);
}

bool optimised(const LinearKind& kind, const Desc& weights, std::int64_t rows) {
  const std::string implementation = describe(kind, weights, rows).impl_info_str();
  return implementation.find("ref") == std::string::npos;
}

[[noreturn]] void rethrow(const char* doing, const LinearKind& kind, const dnnl::error& error) {
  throw std::runtime_error(fmt::format("oneDNN {} failed {} a product [rows,{}] x [{},{}]: {}",
                                       onednn::version(), doing, kind.in, kind.in, kind.out,
                                       error.what()));
}

/// What oneDNN prefers at a typical number of rows, if an optimised implementation then exists for
/// few and for many rows alike; else plain rows.
Desc packed_layout(const LinearKind& kind) {
  try {
    const Desc preferred = describe(kind, free_layout(kind), kTypicalRows).weights_desc();
    const bool serves_all = std::ranges::all_of(
        kProbedRows, [&](std::int64_t rows) { return optimised(kind, preferred, rows); });
    return serves_all ? preferred : plain_layout(kind);
  } catch (const dnnl::error& error) {
    rethrow("choosing a layout for", kind, error);
  }
}

class OneDnnWeights final : public LinearWeights {
 public:
  OneDnnWeights(const LinearKind& kind, const Desc& layout, const Fill& fill_weights,
                const Fill& fill_bias, Slab& slab)
      : bytes_(static_cast<std::int64_t>(layout.get_size()) + kind.out * kFloatBytes) {
    std::byte* weights = slab.take(static_cast<std::int64_t>(layout.get_size()));
    float* bias = slab.take_floats(kind.out);
    const auto elements = static_cast<std::size_t>(kind.in * kind.out);
    try {
      weights_ = dnnl::memory(layout, cpu_engine(), weights);
      bias_ = dnnl::memory({{1, kind.out}, kF32, Tag::ab}, cpu_engine(), bias);
      if (layout == plain_layout(kind)) {
        fill_weights({reinterpret_cast<float*>(weights), elements});
      } else {
        const AlignedBuffer plain(static_cast<std::int64_t>(elements) * kFloatBytes);
        fill_weights({plain.floats(), elements});
        dnnl::memory from(plain_layout(kind), cpu_engine(), plain.data());
        dnnl::stream stream(cpu_engine());  // of its own: several threads pack at once
        dnnl::reorder(from, weights_).execute(stream, from, weights_);
        stream.wait();
      }
    } catch (const dnnl::error& error) {
      rethrow("packing the weights of", kind, error);
    }
    fill_bias({bias, static_cast<std::size_t>(kind.out)});
  }

  std::int64_t bytes() const override { return bytes_; }
  const dnnl::memory& weights() const { return weights_; }
  const dnnl::memory& bias() const { return bias_; }

 private:
  std::int64_t bytes_;
  dnnl::memory weights_;
  dnnl::memory bias_;
};

class OneDnnLinear final : public Linear {
 public:
  OneDnnLinear(const LinearKind& kind, const Desc& layout, std::int64_t rows) {
    try {
      const auto description = describe(kind, layout, rows);
      primitive_ = dnnl::matmul(description);
      source_ = dnnl::memory(description.src_desc(), cpu_engine(), nullptr);
      result_ = dnnl::memory(description.dst_desc(), cpu_engine(), nullptr);
      scratchpad_ = dnnl::memory(description.scratchpad_desc(), cpu_engine(), nullptr);
      scratchpad_bytes_ = static_cast<std::int64_t>(description.scratchpad_desc().get_size());
    } catch (const dnnl::error& error) {
      rethrow("preparing", kind, error);
    }
  }

  std::int64_t scratchpad_bytes(int /*threads*/) const override { return scratchpad_bytes_; }
  bool shared() const override { return false; }
  void work(const LinearWeights&, const Worker&) const override {}

  void bind(const LinearOperands& operands) override {
    source_.set_data_handle(const_cast<float*>(operands.source));  // oneDNN has no const handle
    result_.set_data_handle(operands.result);
    if (scratchpad_bytes_ > 0) {
      scratchpad_.set_data_handle(operands.scratchpad);
    }
  }

  void run_alone(const LinearWeights& weights) const override {
    const auto& packed = static_cast<const OneDnnWeights&>(weights);
    const std::array<dnnl_exec_arg_t, 5> arguments{{{DNNL_ARG_SRC, source_.get()},
                                                    {DNNL_ARG_WEIGHTS, packed.weights().get()},
                                                    {DNNL_ARG_DST, result_.get()},
                                                    {DNNL_ARG_SCRATCHPAD, scratchpad_.get()},
                                                    {DNNL_ARG_BIAS, packed.bias().get()}}};
    // The C call: the C++ one builds a vector of the arguments on the heap each time.
    const dnnl_status_t status = dnnl_primitive_execute(
        primitive_.get(), cpu_stream().get(), static_cast<int>(arguments.size()), arguments.data());
    if (status != dnnl_success) {
      throw std::runtime_error(fmt::format("oneDNN {} failed running a product: status {}",
                                           onednn::version(), static_cast<int>(status)));
    }
  }

 private:
  dnnl::matmul primitive_;
  dnnl::memory source_;
  dnnl::memory result_;
  dnnl::memory scratchpad_;
  std::int64_t scratchpad_bytes_ = 0;
};

class OneDnnEngine final : public LinearEngine {
 public:
  explicit OneDnnEngine(const LinearKind& kind) : kind_(kind), layout_(packed_layout(kind)) {}

  std::string_view name() const override { return "onednn"; }
  const LinearKind& kind() const override { return kind_; }
  std::unique_ptr<LinearWeights> pack(const Fill& fill_weights, const Fill& fill_bias,
                                      Slab& slab) const override {
    return std::make_unique<OneDnnWeights>(kind_, layout_, fill_weights, fill_bias, slab);
  }
  std::unique_ptr<Linear> prepare(std::int64_t rows) const override {
    return std::make_unique<OneDnnLinear>(kind_, layout_, rows);
  }

 private:
  LinearKind kind_;
  Desc layout_;
};

}  // namespace

std::unique_ptr<LinearEngine> make_onednn_engine(const LinearKind& kind) {
  return std::make_unique<OneDnnEngine>(kind);
}

}  // namespace deformer
