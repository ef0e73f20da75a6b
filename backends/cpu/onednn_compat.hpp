#pragma once
/// The one place that knows oneDNN 2.x from 3.x. A linear layer is an inner product: of the forms
/// oneDNN offers it alone avoids leading dimensions that are multiples of a page (N = 3072), where
/// 2.6's plain matmul halves its rate at few rows.

#include <cstdint>
#include <string>

#include <oneapi/dnnl/dnnl.hpp>

namespace deformer::onednn {

/// What follows the product while its result is at hand.
enum class Epilogue {
  bias,            ///< y = x W^T + b
  bias_gelu_erf,   ///< y = gelu(x W^T + b)
  bias_gelu_tanh,  ///< y = gelu_tanh(x W^T + b)
  accumulate,      ///< y += x W^T
};

struct LinearDescs {
  dnnl::memory::desc source;   ///< [rows, in]
  dnnl::memory::desc weights;  ///< [out, in]
  dnnl::memory::desc bias;     ///< [out]; unused by `accumulate`
  dnnl::memory::desc result;   ///< [rows, out]
};

inline void append_eltwise(dnnl::post_ops& ops, dnnl::algorithm algorithm) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(algorithm, 0.0F, 0.0F);
#else
  ops.append_eltwise(1.0F, algorithm, 0.0F, 0.0F);
#endif
}

inline dnnl::primitive_attr linear_attributes(Epilogue epilogue) {
  dnnl::post_ops ops;
  if (epilogue == Epilogue::bias_gelu_erf) {
    append_eltwise(ops, dnnl::algorithm::eltwise_gelu_erf);
  } else if (epilogue == Epilogue::bias_gelu_tanh) {
    append_eltwise(ops, dnnl::algorithm::eltwise_gelu_tanh);
  } else if (epilogue == Epilogue::accumulate) {
    ops.append_sum(1.0F);
  }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

inline dnnl::inner_product_forward::primitive_desc linear_primitive(const dnnl::engine& engine,
                                                                    const LinearDescs& descs,
                                                                    Epilogue epilogue) {
  constexpr auto kind = dnnl::prop_kind::forward_inference;
  const auto attributes = linear_attributes(epilogue);
#if DNNL_VERSION_MAJOR >= 3
  if (epilogue == Epilogue::accumulate) {
    return {engine, kind, descs.source, descs.weights, descs.result, attributes};
  }
  return {engine, kind, descs.source, descs.weights, descs.bias, descs.result, attributes};
#else
  using Forward = dnnl::inner_product_forward;
  if (epilogue == Epilogue::accumulate) {
    return {Forward::desc(kind, descs.source, descs.weights, descs.result), attributes, engine};
  }
  return {Forward::desc(kind, descs.source, descs.weights, descs.bias, descs.result), attributes,
          engine};
#endif
}

/// "2.6.3", of the library that is loaded (the headers may be older).
inline std::string version() {
  const dnnl_version_t* loaded = dnnl_version();
  return std::to_string(loaded->major) + "." + std::to_string(loaded->minor) + "." +
         std::to_string(loaded->patch);
}

/// The instruction set oneDNN generates code for here, as it names them.
inline std::string effective_isa() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
      return "sse41";
    case dnnl::cpu_isa::avx:
      return "avx";
    case dnnl::cpu_isa::avx2:
      return "avx2";
    case dnnl::cpu_isa::avx2_vnni:
      return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core:
      return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    default:
      return "isa " + std::to_string(static_cast<unsigned>(dnnl::get_effective_cpu_isa()));
  }
}

}  // namespace deformer::onednn
