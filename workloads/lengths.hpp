#pragma once
/// Lengths of ragged batches: `fixed`, `uniform:LO-HI`, or a file of `q p` pairs.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/shape.hpp"

namespace deformer {

struct Lengths {
  enum class Kind { fixed, uniform, file };
  Kind kind = Kind::fixed;
  std::int64_t low = 0;                                      ///< uniform: smallest q + p
  std::int64_t high = 0;                                     ///< uniform: largest q + p
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;  ///< file
  std::string source;                                        ///< as given: "uniform:32-320", a path
  std::string spelling;  ///< as in points: "" for fixed, "uniform:32-320", "file:8hex"
};

/// @throws BadInput for a malformed specification or file (naming line).
Lengths parse_lengths(std::string_view text);

/// Draws the lengths of one batch. `uniform` draws q + p with q fixed; a file gives pairs (with
/// several questions or candidates an item, each text takes its half of a pair of its own).
/// @throws BadInput when uniform's LO leaves no passage token (LO <= question).
Shape draw_shape(const Lengths& lengths, std::int64_t batch, std::int64_t question,
                 std::int64_t passage, std::int64_t r, std::int64_t c, std::uint64_t seed);

}  // namespace deformer
