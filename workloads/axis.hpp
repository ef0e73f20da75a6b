#pragma once
/// The grammar of sweep axes: `9` | `1,4,16` | `1:12` (inclusive) | `1:12:2` | `1:64:x2`; mixtures
/// by comma.

#include <cstdint>
#include <string_view>
#include <vector>

namespace deformer {

/// Values in the order written, without repetitions. `name` ("--split") and the bounds are for
/// messages.
/// @throws BadInput for an empty axis, a word that is not a number, a number outside
/// [lowest, highest], a reversed range, a step below 1 (or a factor below 2), or over 100 000
/// values.
std::vector<std::int64_t> parse_axis(std::string_view name, std::string_view text,
                                     std::int64_t lowest, std::int64_t highest);

}  // namespace deformer
