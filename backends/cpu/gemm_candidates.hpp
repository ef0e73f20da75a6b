#pragma once
/// Everyone linked here who multiplies f32 matrices, for the best GEMM that stands beside the roofs
/// (profilers/roofs.hpp). To add one: a function like those in gemm_candidates.cpp, and a line in
/// gemm_candidates().

#include <vector>

#include "profilers/roofs.hpp"

namespace deformer {

std::vector<GemmCandidate> gemm_candidates();

}  // namespace deformer
