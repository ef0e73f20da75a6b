#pragma once
/// The one place that knows oneDNN 2.x from 3.x.

#include <cstdint>
#include <string>

#include <oneapi/dnnl/dnnl.hpp>

#include "backends/cpu/linear.hpp"

namespace deformer::onednn {

struct LinearDescs {
  dnnl::memory::desc source;   ///< [rows, in]
  dnnl::memory::desc weights;  ///< [in, out]
  dnnl::memory::desc bias;     ///< [1, out]
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
  } else if (epilogue == Epilogue::residual) {
    ops.append_sum(1.0F);
  }
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops);
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

inline dnnl::matmul::primitive_desc linear_primitive(const dnnl::engine& engine,
                                                     const LinearDescs& descs, Epilogue epilogue) {
  const auto attributes = linear_attributes(epilogue);
#if DNNL_VERSION_MAJOR >= 3
  return {engine, descs.source, descs.weights, descs.bias, descs.result, attributes};
#else
  return {dnnl::matmul::desc(descs.source, descs.weights, descs.bias, descs.result), attributes,
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
