#pragma once
/// The backends this build knows, compiled in or not.

#include <string_view>
#include <vector>

#include "backends/backend.hpp"

namespace deformer {

/// Every backend, usable or not: `reference`, `cpu`, and `cuda` (with the reason it is missing).
const std::vector<Backend*>& all_backends();

/// nullptr when the name is unknown.
Backend* find_backend(std::string_view name);

/// The backend of that name, usable or not. @throws BadInput naming the choices.
Backend& require_backend(std::string_view name);

}  // namespace deformer
