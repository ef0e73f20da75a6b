#include "backends/ranges.hpp"

namespace deformer {

RangeTree range_tree(const std::vector<PlanRange>& ranges) {
  RangeTree tree;
  for (const PlanRange& range : ranges) {
    tree.add(range.parent, range.name);
  }
  return tree;
}

std::vector<int> phase_ranges(const std::vector<PlanRange>& ranges) {
  std::vector<int> found;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].level == Detail::phase) {
      found.push_back(static_cast<int>(i));
    }
  }
  return found;
}

}  // namespace deformer
