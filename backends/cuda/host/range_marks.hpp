#pragma once
/// Marks between steps, so that every range that is recorded can be timed on the device.

#include "backends/cuda/host/program.hpp"

namespace deformer::cuda {

/// Adds mark 0 before the first step and one after the last step of every leaf of
/// plan_ranges(config, plan, detail), on the leaf's branch; where a leaf begins by waiting (for the
/// side branch, for copied passages) one more behind that wait. Fills `ranges` and `marks`. Nothing
/// with Detail::none.
void add_range_marks(const ModelConfig& config, const Plan& plan, Detail detail, Program& program);

}  // namespace deformer::cuda
