#pragma once
/// Turns the table of plugin.h back into a `Backend`. What a module says is checked before it is
/// used: names, sizes, missing functions; a module that lies about memory can't be helped.

#include <memory>
#include <string>

#include "backends/backend.hpp"
#include "backends/plugin/plugin.h"

namespace deformer::plugin {

/// What is wrong with a table, or empty: no table, another ABI, a function that is missing, no
/// name.
std::string fault_of(const deformer_backend* table);

/// `table` must be without fault and outlive all that comes of it.
std::unique_ptr<Backend> import_backend(const deformer_backend& table);

}  // namespace deformer::plugin
