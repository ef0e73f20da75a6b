#pragma once
/// Man page and shell completions, made of what the verbs say of themselves.

#include <span>
#include <string>

#include "cli/verbs.hpp"

namespace deformer::cli {

/// `form`: man (roff), bash or zsh. @throws BadInput for another.
std::string describe_program(std::span<const Verb> verbs, const std::string& form);

}  // namespace deformer::cli
