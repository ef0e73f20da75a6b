// The module's one entry point.

#include "backends/cuda/cuda.hpp"
#include "backends/plugin/export.hpp"

const deformer_backend* deformer_bench_backend(uint32_t /*program_abi*/) {
  return deformer::plugin::entry_of(deformer::make_cuda_backend);
}
