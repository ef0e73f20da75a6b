#include "reports/name_match.hpp"

#include <algorithm>

namespace deformer {

bool name_matches(const std::string& name, const std::regex& wanted) {
  constexpr std::size_t kLongest = 1000;
  const auto end = name.begin() + static_cast<std::ptrdiff_t>(std::min(name.size(), kLongest));
  return std::regex_search(name.begin(), end, wanted);
}

}  // namespace deformer
