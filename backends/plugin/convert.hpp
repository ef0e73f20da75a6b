#pragma once
/// Between the words of plugin.h and those of the project, in both directions.

#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.hpp"
#include "backends/plugin/plugin.h"

namespace deformer::plugin {

/// Writes a message, cut to what fits at a whole UTF-8 character.
void put_message(deformer_error* error, std::string_view text);
/// Reads it back; never past its end, whatever a module left there.
std::string message_of(const deformer_error& error);

/// Runs `body` and turns what it throws into a code and a message: nothing passes.
template <typename Body>
int guarded(deformer_error* error, Body body) noexcept;

/// Throws what the code stands for: BadInput, Unavailable, or std::runtime_error for the rest.
void throw_on_error(int code, const deformer_error& error, std::string_view who);

/// Views for a call: what they point to must outlive it.
deformer_config config_view(const ModelConfig& config);
deformer_shape shape_view(const Shape& shape);
std::vector<deformer_phase> phases_of(const Plan& plan);
deformer_plan plan_view(const Plan& plan, const std::vector<deformer_phase>& phases);

/// Owned copies. @throws BadInput for a value that is none of its kind, or sizes that make no
/// sense.
ModelConfig config_of(const deformer_config& view);
Shape shape_of(const deformer_shape& view);
Plan plan_of(const deformer_plan& view);
SessionOptions session_options_of(const deformer_session_options& view);

/// The enumeration's value of that number. @throws BadInput naming `what`.
template <typename Enumeration>
Enumeration value_of(std::int32_t number, Enumeration last, std::string_view what);

void refuse_value(std::int32_t number, std::string_view what);

// Implementation of the templates.

int code_of_current_exception(deformer_error* error) noexcept;

template <typename Body>
int guarded(deformer_error* error, Body body) noexcept {
  try {
    body();
    return DEFORMER_OK;
  } catch (...) {
    return code_of_current_exception(error);
  }
}

template <typename Enumeration>
Enumeration value_of(std::int32_t number, Enumeration last, std::string_view what) {
  if (number < 0 || number > static_cast<std::int32_t>(last)) {
    refuse_value(number, what);
  }
  return static_cast<Enumeration>(number);
}

}  // namespace deformer::plugin
