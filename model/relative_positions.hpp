#pragma once
/// XLNet's table of relative positions: one row a signed distance between a query and a key, the
/// same row at every length and in every layer (Dai et al., "Transformer-XL", ACL 2019, 3.3).

#include <cstdint>
#include <span>

namespace deformer {

/// Row of distance = query's position - key's position, [sin | cos] of distance / 10000^(2i/d) with
/// d = out.size(). In f32 throughout, as Hugging Face builds it: angles of a few hundred rounded to
/// f32 differ from exact ones by more (2.4e-5) than a whole encoder may.
void relative_position(std::int64_t distance, std::span<float> out);

}  // namespace deformer
