#include "profilers/gate_looks.hpp"

#include <algorithm>

namespace deformer {

std::vector<std::int64_t> gate_looks(std::int64_t fewest, std::int64_t most) {
  std::vector<std::int64_t> looks{most};
  while (looks.back() / 2 >= std::max<std::int64_t>(fewest, 1)) {
    looks.push_back(looks.back() / 2);
  }
  std::ranges::reverse(looks);
  return looks;
}

}  // namespace deformer
