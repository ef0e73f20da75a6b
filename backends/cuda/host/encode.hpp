#pragma once
/// Floats as they are stored on the device, and back: for packing weights and for tests.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backends/cuda/host/element.hpp"

namespace deformer::cuda {

/// Every value divided by `scale` and rounded.
std::vector<std::byte> encode(Element element, std::span<const float> values, float scale = 1.0F);

/// `count` elements from `from`, times `scale`.
std::vector<float> decode(Element element, const std::byte* from, std::int64_t count,
                          float scale = 1.0F);

/// The same into `to`, whose values stay where they are if there are as many of them already: views
/// of what was decoded before see what is decoded now.
void decode_into(std::vector<float>& to, Element element, const std::byte* from, std::int64_t count,
                 float scale = 1.0F);

}  // namespace deformer::cuda
