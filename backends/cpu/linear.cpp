#include "backends/cpu/linear.hpp"

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

namespace deformer {
namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
constexpr auto kF32 = dnnl::memory::data_type::f32;

/// Rows at which the layout is asked for: the joint sequence of the squad task.
constexpr std::int64_t kTypicalRows = 320;
/// Rows at which an optimised implementation must take that layout: a word, a question, short
/// texts, a joint sequence, a batch of eight.
constexpr std::array<std::int64_t, 5> kProbedRows{1, 27, 128, 320, 2560};

Desc plain_layout(const LinearKind& kind) {
  return {{kind.out, kind.in}, kF32, Tag::ab};
}
Desc free_layout(const LinearKind& kind) {
  return {{kind.out, kind.in}, kF32, Tag::any};
}

dnnl::inner_product_forward::primitive_desc describe(const LinearKind& kind, const Desc& weights,
                                                     std::int64_t rows) {
  const onednn::LinearDescs descs{{{rows, kind.in}, kF32, Tag::ab},
                                  weights,
                                  {{kind.out}, kF32, Tag::a},
                                  {{rows, kind.out}, kF32, Tag::ab}};
  return onednn::linear_primitive(cpu_engine(), descs, kind.epilogue);
}

bool optimised(const LinearKind& kind, const Desc& weights, std::int64_t rows) {
  const std::string implementation = describe(kind, weights, rows).impl_info_str();
  return implementation.find("ref") == std::string::npos;
}

bool serves_every_shape(const LinearKind& kind, const Desc& weights) {
  return std::ranges::all_of(kProbedRows,
                             [&](std::int64_t rows) { return optimised(kind, weights, rows); });
}

[[noreturn]] void rethrow(const char* doing, const LinearKind& kind, const dnnl::error& error) {
  throw std::runtime_error(fmt::format("oneDNN {} failed {} a product [rows,{}] x [{},{}]: {}",
                                       onednn::version(), doing, kind.in, kind.in, kind.out,
                                       error.what()));
}

void execute(const dnnl::primitive& primitive, std::span<const dnnl_exec_arg_t> arguments) {
  // The C call: the C++ one builds a vector of the arguments on the heap each time.
  const dnnl_status_t status = dnnl_primitive_execute(
      primitive.get(), cpu_stream().get(), static_cast<int>(arguments.size()), arguments.data());
  if (status != dnnl_success) {
    throw std::runtime_error(fmt::format("oneDNN {} failed running a product: status {}",
                                         onednn::version(), static_cast<int>(status)));
  }
}

}  // namespace

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

const dnnl::stream& cpu_stream() {
  static const dnnl::stream stream(cpu_engine());
  return stream;
}

Desc packed_layout(const LinearKind& kind) {
  try {
    const Desc preferred = describe(kind, free_layout(kind), kTypicalRows).weights_desc();
    return serves_every_shape(kind, preferred) ? preferred : plain_layout(kind);
  } catch (const dnnl::error& error) {
    rethrow("choosing a layout for", kind, error);
  }
}

LinearWeights::LinearWeights(const LinearKind& kind, const Desc& layout,
                             const std::function<void(std::span<float>)>& fill_weights,
                             const std::function<void(std::span<float>)>& fill_bias)
    : weights_buffer_(static_cast<std::int64_t>(layout.get_size())),
      bias_buffer_(kind.out * static_cast<std::int64_t>(sizeof(float))) {
  const auto elements = static_cast<std::size_t>(kind.in * kind.out);
  try {
    weights_ = dnnl::memory(layout, cpu_engine(), weights_buffer_.data());
    bias_ = dnnl::memory({{kind.out}, kF32, Tag::a}, cpu_engine(), bias_buffer_.data());
    if (layout == plain_layout(kind)) {
      fill_weights({weights_buffer_.floats(), elements});
    } else {
      const AlignedBuffer plain(static_cast<std::int64_t>(elements * sizeof(float)));
      fill_weights({plain.floats(), elements});
      dnnl::memory from(plain_layout(kind), cpu_engine(), plain.data());
      dnnl::stream stream(cpu_engine());  // of its own: several threads pack at once
      dnnl::reorder(from, weights_).execute(stream, from, weights_);
      stream.wait();
    }
  } catch (const dnnl::error& error) {
    rethrow("packing the weights of", kind, error);
  }
  fill_bias({bias_buffer_.floats(), static_cast<std::size_t>(kind.out)});
}

Linear::Linear(const LinearKind& kind, const Desc& layout, std::int64_t rows)
    : epilogue_(kind.epilogue) {
  try {
    const auto description = describe(kind, layout, rows);
    primitive_ = dnnl::inner_product_forward(description);
    source_ = dnnl::memory(description.src_desc(), cpu_engine(), nullptr);
    result_ = dnnl::memory(description.dst_desc(), cpu_engine(), nullptr);
    scratchpad_ = dnnl::memory(description.scratchpad_desc(), cpu_engine(), nullptr);
    scratchpad_bytes_ = static_cast<std::int64_t>(description.scratchpad_desc().get_size());
  } catch (const dnnl::error& error) {
    rethrow("preparing", kind, error);
  }
}

void Linear::bind(float* source, float* result, std::byte* scratchpad) {
  source_.set_data_handle(source);
  result_.set_data_handle(result);
  if (scratchpad_bytes_ > 0) {
    scratchpad_.set_data_handle(scratchpad);
  }
}

void Linear::run(const LinearWeights& weights) const {
  const std::array<dnnl_exec_arg_t, 5> arguments{{{DNNL_ARG_SRC, source_.get()},
                                                  {DNNL_ARG_WEIGHTS, weights.weights().get()},
                                                  {DNNL_ARG_DST, result_.get()},
                                                  {DNNL_ARG_SCRATCHPAD, scratchpad_.get()},
                                                  {DNNL_ARG_BIAS, weights.bias().get()}}};
  const bool has_bias = epilogue_ != onednn::Epilogue::accumulate;
  execute(primitive_, std::span(arguments).first(has_bias ? 5 : 4));
}

}  // namespace deformer
