/// reference_outputs: many variants and splits of one batch in one walk over the layers.

#include <fmt/format.h>

#include <map>
#include <optional>

#include "backends/reference/encoder.hpp"
#include "backends/reference/reference.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

using reference::Encoder;
using reference::LayerWeights;
using reference::States;

/// What one walk computes: at most one chain of joined sequences per distinct split (all requests
/// of that split are the same function), one for `full`, and the two texts below the highest split.
class Walk {
 public:
  Walk(const WeightSource& weights, Order order, const Shape& shape, const Inputs& inputs)
      : encoder_(weights), order_(order), shape_(shape), inputs_(inputs) {}

  void want(const ReferenceRequest& request) {
    const Plan plan = make_plan(encoder_.config(), request.variant, request.split, order_);
    reference::check_positions(encoder_.config(), plan, shape_);
    if (request.variant == Variant::full) {
      full_.emplace();
    } else {
      split_.try_emplace(request.split);
    }
  }

  void run() {
    start();
    for (std::int64_t layer = 0; layer <= encoder_.config().layers; ++layer) {
      join_at(layer);
      if (layer < encoder_.config().layers) {
        advance(encoder_.read_layer(layer), layer);
      }
    }
  }

  const std::vector<double>& rows(const ReferenceRequest& request) const {
    return request.variant == Variant::full ? full_->rows : split_.at(request.split).rows;
  }

 private:
  std::int64_t highest_split() const { return split_.empty() ? -1 : split_.rbegin()->first; }

  void start() {
    if (full_) {
      full_ = encoder_.embed(Segment::joint, order_, shape_, inputs_);
    }
    if (!split_.empty()) {
      questions_ = encoder_.embed(Segment::question, order_, shape_, inputs_);
      passages_ = encoder_.embed(Segment::passage, order_, shape_, inputs_);
    }
  }

  void join_at(std::int64_t layers_done) {
    const auto chain = split_.find(layers_done);
    if (chain != split_.end()) {
      chain->second = encoder_.join(order_, shape_, questions_, passages_);
    }
  }

  void advance(const LayerWeights& weights, std::int64_t layer) {
    if (full_) {
      encoder_.apply_layer(weights, *full_);
    }
    if (layer < highest_split()) {
      encoder_.apply_layer(weights, questions_);
      encoder_.apply_layer(weights, passages_);
    }
    for (auto& [split, joint] : split_) {
      if (split <= layer) {
        encoder_.apply_layer(weights, joint);
      }
    }
  }

  Encoder encoder_;
  Order order_;
  const Shape& shape_;
  const Inputs& inputs_;
  std::optional<States> full_;
  std::map<std::int64_t, States> split_;
  States questions_, passages_;
};

}  // namespace

std::vector<std::vector<double>> reference_outputs(const WeightSource& weights, Order order,
                                                   const Shape& shape, const Inputs& inputs,
                                                   std::span<const ReferenceRequest> requests) {
  if (const auto reason = reference::encoder_why_not(weights.config())) {
    throw Unavailable(fmt::format("reference: {}", *reason));
  }
  check_inputs(weights.config(), make_plan(weights.config(), Variant::full, 0, order), shape,
               inputs);
  Walk walk(weights, order, shape, inputs);
  for (const ReferenceRequest& request : requests) {
    walk.want(request);
  }
  if (!requests.empty()) {
    walk.run();
  }
  std::vector<std::vector<double>> outputs;
  for (const ReferenceRequest& request : requests) {
    outputs.push_back(walk.rows(request));
  }
  return outputs;
}

}  // namespace deformer
