#pragma once
/// Which engine serves a kind of product on this machine: measured once, remembered.

#include <memory>
#include <string>

#include "backends/cpu/linear.hpp"
#include "profilers/machine_store.hpp"

namespace deformer {

/// Engines that can be asked for: "automatic" measures.
enum class EngineChoice { automatic, panels, amx, onednn };

/// The engine for `kind`. `automatic` times our own, which is AMX where the processor has it and
/// panels elsewhere, and oneDNN's at the rows of a question and of a joint sequence on `threads`
/// threads and keeps the better one, for all rows since the weights are packed once; the result is
/// remembered for the process and, where `store` is not null, for the machine. Products of fewer
/// than 384 x 384 weights are ours without a measurement, which noise would decide.
/// @throws Unavailable when `amx` is asked for and the processor has none.
std::shared_ptr<const LinearEngine> choose_engine(const LinearKind& kind, int threads,
                                                  EngineChoice choice = EngineChoice::automatic,
                                                  const MachineStore* store = nullptr);

}  // namespace deformer
