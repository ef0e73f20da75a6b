#pragma once
/// A backend whose name is known and which this build does not have: it says why.

#include <memory>
#include <string>

#include "backends/backend.hpp"

namespace deformer {

/// `why_not` returns `reason` for everything, `load` throws it as Unavailable.
std::unique_ptr<Backend> make_absent_backend(std::string name, std::string description,
                                             std::string reason);

}  // namespace deformer
