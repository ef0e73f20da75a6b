#pragma once
/// The cost model at the paper's shapes. Internal to reports/.

#include <cstdint>
#include <optional>
#include <string_view>

#include "model/cost.hpp"
#include "model/types.hpp"
#include "workloads/tasks.hpp"

namespace deformer {

struct PaperShape {
  std::string_view model, task;
  std::int64_t split = 0;
  std::int64_t batch = 1;
};

/// nullopt where this build has no cost model of the architecture.
std::optional<PlanCost> paper_cost(const PaperShape& shape, Variant variant);

/// FLOPs of full over those of the variant.
std::optional<double> paper_flop_ratio(const PaperShape& shape, Variant variant = Variant::cached);

/// Share, in percent, of the bytes requested by operations that the cached variant saves: what the
/// paper calls memory reduction.
std::optional<double> paper_memory_reduction(const PaperShape& shape);

/// Which text comes first: XLNet reads the passage first whatever the task.
Order paper_order(std::string_view model, const Task& task);

/// The split the paper uses for a model.
std::int64_t paper_split(std::string_view model);

}  // namespace deformer
