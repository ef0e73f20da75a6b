#include "backends/cuda/host/range_marks.hpp"

#include <algorithm>
#include <map>
#include <variant>

#include "model/ranges.hpp"

namespace deformer::cuda {
namespace {

bool belongs(const Step& step, const PlanRange& range) {
  return step.phase == range.phase && (range.layer < 0 || step.layer == range.layer) &&
         (range.operation < 0 || step.operation == range.operation);
}

std::vector<int> leaves(const std::vector<PlanRange>& ranges) {
  std::vector<bool> parent(ranges.size(), false);
  for (const PlanRange& range : ranges) {
    if (range.parent >= 0) {
      parent[static_cast<std::size_t>(range.parent)] = true;
    }
  }
  std::vector<int> found;
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (!parent[i]) {
      found.push_back(static_cast<int>(i));
    }
  }
  return found;
}

/// Where marks go, by the step that they stand beside.
class Marker {
 public:
  explicit Marker(Program& program) : program_(program) {}

  void add(int range, const PlanRange& described) {
    std::size_t first = program_.steps.size();
    std::size_t last = 0;
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      if (belongs(program_.steps[i], described)) {
        first = std::min(first, i);
        last = i;
      }
    }
    if (first > last) {
      return;  // nothing is done in it
    }
    const Branch branch = program_.steps[last].branch;
    int& reached = last_mark_[static_cast<std::size_t>(branch)];
    if (std::holds_alternative<Meet>(program_.steps[first].work)) {
      reached = put(after_, first, branch);
    } else if (first == program_.second_part) {
      reached = put(before_, first, branch);
    }
    const int begin = reached;
    reached = put(after_, last, branch);
    program_.ranges.push_back({range, described.phase, begin, reached});
  }

  void insert() {
    std::vector<Step> steps{{Mark{0}}};
    std::size_t second_part = 0;
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      second_part = i == program_.second_part ? steps.size() : second_part;
      append(before_, i, steps);
      steps.push_back(program_.steps[i]);
      append(after_, i, steps);
    }
    program_.second_part =
        program_.second_part == program_.steps.size() ? steps.size() : second_part;
    program_.steps = std::move(steps);
    program_.marks = next_;
  }

 private:
  using Places = std::multimap<std::size_t, Step>;

  int put(Places& places, std::size_t step, Branch branch) {
    places.emplace(step, Step{Mark{next_}, branch, program_.steps[step].phase});
    return next_++;
  }
  static void append(const Places& places, std::size_t step, std::vector<Step>& steps) {
    const auto [from, to] = places.equal_range(step);
    for (auto at = from; at != to; ++at) {
      steps.push_back(at->second);
    }
  }

  Program& program_;
  Places before_;
  Places after_;
  int last_mark_[2] = {0, 0};
  int next_ = 1;  // 0 stands before everything
};

}  // namespace

void add_range_marks(const ModelConfig& config, const Plan& plan, Detail detail, Program& program) {
  if (detail == Detail::none) {
    return;
  }
  const std::vector<PlanRange> ranges = plan_ranges(config, plan, detail);
  Marker marker(program);
  for (const int leaf : leaves(ranges)) {
    marker.add(leaf, ranges[static_cast<std::size_t>(leaf)]);
  }
  marker.insert();
}

}  // namespace deformer::cuda
