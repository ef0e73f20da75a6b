#pragma once
/// The device that computes: the first that the process sees (CUDA_VISIBLE_DEVICES chooses).

#include <cstdint>
#include <optional>
#include <string>

#include "model/types.hpp"

namespace deformer::cuda {

struct Device {
  std::string name;    ///< "NVIDIA H100 80GB HBM3"
  std::string bus;     ///< "00000000:01:00.0"
  int capability = 0;  ///< 90 is 9.0
  std::int64_t free_bytes = 0;
  std::int64_t cache_bytes = 0;         ///< L2
  std::int64_t shared_bytes_block = 0;  ///< most shared memory a block can ask for
  bool launches_clusters = false;       ///< blocks that reach one another's shared memory
  bool one_by_one = false;              ///< asked for: kOneByOne
  bool own_kernels = false;             ///< asked for: kOwnKernels
  int driver_version = 0;
  int runtime_version = 0;

  /// Kernels may be set up while the one before them still runs (programmatic dependent launch).
  bool launches_early() const { return capability >= 90 && !one_by_one; }
};

/// In the environment, and neither empty nor "0": no kernel is set up before the one in front of it
/// has ended. For tools that watch one kernel at a time; it is slower, and records' engines say so.
inline constexpr const char* kOneByOne = "DEFORMER_BENCH_CUDA_ONE_BY_ONE";
/// Whether this variable of the environment asks for something: anything but nothing and 0 does.
bool is_asked(const char* variable);

/// The same way: where a kernel of ours can do it, it does, unmeasured, and no library is asked or
/// timed; products that ours can't do are still cuBLASLt's. Nothing is remembered or recalled. For
/// tools that a library's kernels don't survive; records' engines say so.
inline constexpr const char* kOwnKernels = "DEFORMER_BENCH_CUDA_OWN_KERNELS";

/// What of these was asked for, as records' engines say it: ", kernels one by one (...)", or "".
std::string asked_text(const Device& device);

/// @throws what check throws.
Device current_device();

/// Why a device of that capability can't compute in this dtype, or nullopt.
std::optional<std::string> dtype_why_not(DType dtype, int capability);

}  // namespace deformer::cuda
