#pragma once
/// Weights and packed models, kept while consecutive groups use the same ones.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "backends/backend.hpp"
#include "harness/group.hpp"
#include "profilers/machine.hpp"
#include "profilers/machine_store.hpp"

namespace deformer {

/// What a choice made by measuring depends on: the machine and the code.
MachineStore::Identity choices_identity(const Machine& machine, const std::string& build);

class ModelShelf {
 public:
  /// `spec` and its checkpoints must outlive the shelf. A model is loaded with positions for the
  /// longest sequence that any of `groups` asks of it; `store` keeps what backends measure.
  ModelShelf(const SweepSpec& spec, const std::vector<PlannedGroup>& groups, MachineStore store);

  /// The group's weights: its checkpoint, or seeded ones. Valid until other weights are asked for.
  const WeightSource& weights(const PlannedGroup& group);
  /// The group's model, packed for its backend, dtype and threads. Same validity.
  /// @throws what Backend::load throws.
  Model& model(const PlannedGroup& group);

 private:
  const SweepSpec& spec_;
  MachineStore store_;
  std::map<std::size_t, std::int64_t> positions_;
  std::optional<std::tuple<std::size_t, HeadKind, std::int64_t>> weights_key_;
  std::unique_ptr<WeightSource> seeded_;
  std::map<std::pair<std::string, DType>, std::unique_ptr<Model>> models_;
};

}  // namespace deformer
