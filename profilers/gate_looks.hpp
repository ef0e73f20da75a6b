#pragma once
/// When a gate that measures in pairs of processes is looked at: `gate measure` does, and
/// `gate replay` judges recorded pairs in the same way.

#include <cstdint>
#include <vector>

namespace deformer {

/// Fewer pairs than this decide nothing: below, one process with an unlucky layout is most of the
/// evidence.
inline constexpr std::int64_t kFewestGatePairs = 8;

/// Looks at K, K/2, K/4 ... pairs, not below `fewest`, where K = `most` fit the time: each look
/// costs certainty, so they are few. Ascending; K alone when K is below `fewest`.
std::vector<std::int64_t> gate_looks(std::int64_t fewest, std::int64_t most);

}  // namespace deformer
