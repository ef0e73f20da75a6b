#pragma once
/// A module's session as a `Session`.

#include <memory>
#include <string>

#include "backends/backend.hpp"
#include "backends/plugin/plugin.h"

namespace deformer::plugin {

/// Options as the module sees them; points into `options`.
deformer_session_options session_options_view(const SessionOptions& options);

/// Takes `session` over. What it returns is held to the sizes that plan and shape imply.
/// @throws std::bad_alloc, having released it.
std::unique_ptr<Session> import_session(const deformer_backend& table, const std::string& name,
                                        const ModelConfig& config, const Plan& plan,
                                        const Shape& shape, const SessionOptions& options,
                                        deformer_session* session);

}  // namespace deformer::plugin
