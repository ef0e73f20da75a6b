#pragma once
/// Which engine serves a kind of product on this machine: measured once, remembered.

#include <memory>
#include <string>

#include "backends/cpu/linear.hpp"
#include "profilers/machine_store.hpp"

namespace deformer {

/// Engines that can be asked for: "auto" measures.
enum class EngineChoice { automatic, panels, onednn };

/// The engine for `kind`. `automatic` times both at the rows of a question and of a joint sequence
/// on `threads` threads and keeps the better one, for all rows since the weights are packed once;
/// the result is remembered for the process and, where `store` is not null, for the machine.
std::shared_ptr<const LinearEngine> choose_engine(const LinearKind& kind, int threads,
                                                  EngineChoice choice = EngineChoice::automatic,
                                                  const MachineStore* store = nullptr);

}  // namespace deformer
