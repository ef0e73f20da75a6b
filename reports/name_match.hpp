#pragma once
/// Names of points against `--filter`.

#include <regex>
#include <string>

namespace deformer {

/// Whether the expression is found in a name. Names come from files too: of one that is longer than
/// any of ours only the first 1000 characters are looked at, since the standard library's matcher
/// recurses a few times for each.
bool name_matches(const std::string& name, const std::regex& wanted);

}  // namespace deformer
