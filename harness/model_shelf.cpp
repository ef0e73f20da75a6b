#include "harness/model_shelf.hpp"

#include <algorithm>

#include "backends/registry.hpp"

namespace deformer {

MachineStore::Identity choices_identity(const Machine& machine, const std::string& build) {
  MachineStore::Identity identity = deciding_fields(machine);
  identity.emplace_back("build", build);
  return identity;
}

ModelShelf::ModelShelf(const SweepSpec& spec, const std::vector<PlannedGroup>& groups,
                       MachineStore store)
    : spec_(spec), store_(std::move(store)) {
  for (const PlannedGroup& group : groups) {
    std::int64_t& positions = positions_[group.model];
    positions = std::max(
        {positions, std::int64_t{512}, longest(group.points.front().point.shape, Segment::joint)});
  }
}

const WeightSource& ModelShelf::weights(const PlannedGroup& group) {
  const auto key = std::tuple{group.model, group.config.head, group.config.classes};
  if (weights_key_ != key) {
    models_.clear();  // they may refer to the weights
    seeded_.reset();
    if (!spec_.models[group.model].checkpoint) {
      seeded_ = random_weights(group.config, spec_.seed);
    }
    weights_key_ = key;
  }
  return seeded_ ? *seeded_ : *spec_.models[group.model].checkpoint;
}

Model& ModelShelf::model(const PlannedGroup& group) {
  const WeightSource& source = weights(group);
  const Point& point = group.points.front().point;
  std::unique_ptr<Model>& model = models_[{point.backend, point.dtype}];
  if (!model) {
    model = require_backend(point.backend)
                .load(source, {.dtype = point.dtype,
                               .threads = point.threads,
                               .positions = positions_[group.model],
                               .store = &store_});
  }
  return *model;
}

}  // namespace deformer
