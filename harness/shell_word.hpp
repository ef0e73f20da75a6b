#pragma once
/// Words of commands that a person copies into a shell.

#include <string>

namespace deformer {

/// As a shell reads it back.
std::string shell_word(const std::string& word);

}  // namespace deformer
