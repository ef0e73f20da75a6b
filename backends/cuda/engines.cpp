#include "backends/cuda/engines.hpp"

#include <fmt/format.h>

#include "backends/cuda/lt_library.hpp"

namespace deformer::cuda {

Engines::Engines(const MachineStore* store)
    : device(current_device()),
      memory(fmt::format("{} {} driver {}{}", device.name, device.capability, device.driver_version,
                         device.one_by_one ? " one by one" : ""),
             fmt::format("{}, {}, {}", LtLibrary::describe(), CudnnAttention::describe(),
                         describe_cutlass()),
             device.own_kernels ? nullptr : store),
      products(memory, device),
      attention(memory, device) {}

}  // namespace deformer::cuda
