#pragma once
/// Turns an implementation of `Backend` into the table of plugin.h: what a module of this project
/// writes its entry point with.
///
///   const deformer_backend* deformer_bench_backend(uint32_t) {
///     return deformer::plugin::entry_of(make_cuda_backend);
///   }

#include <memory>

#include "backends/backend.hpp"
#include "backends/plugin/plugin.h"

namespace deformer::plugin {

/// The table of the backend that `make` returns, made at the first call and kept for ever. It says
/// which ABI it is; a program of another one refuses it. Null when `make` throws.
const deformer_backend* entry_of(std::unique_ptr<Backend> (*make)()) noexcept;

/// The table of `backend`, which must outlive it. For tests; no more than one at a time.
deformer_backend table_of(Backend& backend);

}  // namespace deformer::plugin
