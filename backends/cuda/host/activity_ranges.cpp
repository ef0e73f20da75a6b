#include "backends/cuda/host/activity_ranges.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace deformer::cuda {
namespace {

using Span = std::pair<std::int64_t, std::int64_t>;

/// Length of the union of intervals.
std::int64_t covered_ns(std::vector<Span> spans) {
  std::ranges::sort(spans);
  std::int64_t covered = 0;
  std::int64_t end = spans.empty() ? 0 : spans.front().first;
  for (const auto& [from, to] : spans) {
    covered += std::max<std::int64_t>(0, to - std::max(from, end));
    end = std::max(end, to);
  }
  return covered;
}

const std::string& name_of(const Activity& record) {
  static const std::string copy = "copy";
  static const std::string fill = "fill";
  switch (record.kind) {
    case Activity::Kind::copy:
      return copy;
    case Activity::Kind::fill:
      return fill;
    case Activity::Kind::kernel:
      break;
  }
  return record.name;
}

}  // namespace

void ActivityRanges::tie_call(std::uint32_t correlation, int range) {
  if (range < 0 || range >= ranges_) {
    throw std::out_of_range("a range that the plan does not have");
  }
  calls_[correlation] = range;
}

void ActivityRanges::tie_node(std::uint64_t node, int range) {
  if (range < 0 || range >= ranges_) {
    throw std::out_of_range("a range that the plan does not have");
  }
  nodes_[node] = range;
}

void ActivityRanges::add(Activity record) {
  if (record.end_ns < record.start_ns) {
    ++damaged_;
    return;
  }
  records_.push_back(std::move(record));
}

std::optional<int> ActivityRanges::range_of(const Activity& record) const {
  // A graph's nodes share the call that launched it, which was made in whatever range that was.
  if (record.graph_node != 0) {
    const auto node = nodes_.find(record.graph_node);
    return node == nodes_.end() ? std::nullopt : std::optional(node->second);
  }
  const auto call = calls_.find(record.correlation);
  return call == calls_.end() ? std::nullopt : std::optional(call->second);
}

std::vector<RangeActivity> ActivityRanges::by_range() const {
  std::vector<RangeActivity> result(static_cast<std::size_t>(ranges_));
  std::vector<std::vector<Span>> spans(result.size());
  for (const Activity& record : records_) {
    const auto range = range_of(record);
    if (!range) {
      continue;
    }
    RangeActivity& at = result[static_cast<std::size_t>(*range)];
    (record.kind == Activity::Kind::kernel ? at.kernels : at.copies) += 1;
    at.bytes += record.bytes;
    at.sum_ns += record.end_ns - record.start_ns;
    spans[static_cast<std::size_t>(*range)].emplace_back(record.start_ns, record.end_ns);
  }
  for (std::size_t range = 0; range < result.size(); ++range) {
    result[range].busy_ns = covered_ns(std::move(spans[range]));
  }
  return result;
}

std::vector<KernelActivity> ActivityRanges::by_kernel() const {
  std::vector<const Activity*> kernels;
  for (const Activity& record : records_) {
    kernels.push_back(&record);
  }
  std::ranges::stable_sort(kernels, {}, &Activity::start_ns);
  std::vector<KernelActivity> result;
  for (const Activity* record : kernels) {
    const int range = range_of(*record).value_or(-1);
    const std::string& name = name_of(*record);
    auto at = std::ranges::find_if(result, [&](const KernelActivity& known) {
      return known.range == range && known.name == name;
    });
    if (at == result.end()) {
      at = result.insert(result.end(), {name, range, 0, 0});
    }
    ++at->count;
    at->sum_ns += record->end_ns - record->start_ns;
  }
  std::ranges::stable_partition(result, [](const KernelActivity& one) { return one.range >= 0; });
  return result;
}

std::int64_t ActivityRanges::untied() const {
  return std::ranges::count_if(records_,
                               [this](const Activity& record) { return !range_of(record); });
}

}  // namespace deformer::cuda
