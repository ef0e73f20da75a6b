#pragma once
/// Which phase, layer or operation a change comes from, as one name. Internal to the gate.

#include <string>

#include "reports/attribution.hpp"

namespace deformer {

struct Origin {
  std::string where;  ///< empty: everywhere alike, or nothing stands out
  std::string level;  ///< "op", "layer", "phase"
};

/// The narrowest that holds most of the change: one range ("encode(joint,1..2)/layer 1/ffn1"), an
/// operation in every layer ("ffn1"), a layer, a phase.
Origin origin_of(const Attribution& attribution);

}  // namespace deformer
