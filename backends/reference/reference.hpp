#pragma once
/// The float64 oracle: plain loops around a BLAS dgemm, in the order of the published formulas. One
/// layer's weights are widened at a time. Also a Backend, so that everything can be run on it.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.hpp"

namespace deformer {

/// A loaded model keeps no weights of its own: it reads from the WeightSource given to `load`,
/// layer by layer in every run, so that source must outlive the model and its sessions. Any dtype
/// is accepted and computed in float64. `phase_ns` includes the widening.
std::unique_ptr<Backend> make_reference_backend();

/// One thing to compute: a variant at a split. (decomposed and cached are the same function of the
/// ids; the reference computes them alike and never rounds the passage.)
struct ReferenceRequest {
  Variant variant;
  std::int64_t split = 0;
};

/// Final hidden states in float64, [rows, d_model] with rows of the joint segment, one vector per
/// request, for one batch of ids. Layers are walked once: each layer's weights are widened once and
/// applied to everything that needs them, and requests share the lower layers of both texts.
std::vector<std::vector<double>> reference_outputs(const WeightSource& weights, Order order,
                                                   const Shape& shape, const Inputs& inputs,
                                                   std::span<const ReferenceRequest> requests);

}  // namespace deformer
