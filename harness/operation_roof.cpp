#include "harness/operation_roof.hpp"

#include <algorithm>

#include "model/layer_cost.hpp"

namespace deformer {
namespace {

/// The working set of a cache's bandwidth is half of what it holds (profilers/roofs.cpp).
constexpr double kHeldInSets = 2;

struct Level {
  double gb_per_s = 0;
  bool memory = true;
};

/// The cache that holds so many bytes, all threads together; memory where none does or none was
/// measured. A cache is never slower than what lies behind it: where it measured so, something
/// disturbed it.
Level level_holding(double bytes, const Roofs& roofs) {
  const double memory = roofs.memory_read_gb_per_s().value_or(0);
  for (const BandwidthRoof& level : roofs.bandwidth) {
    const bool usable = level.missing.empty() && level.threads == roofs.threads;
    if (usable && level.level != "memory" &&
        bytes <= kHeldInSets * static_cast<double>(level.working_set_bytes)) {
      return {std::max({level.rate.copy_gb_per_s, level.rate.read_gb_per_s, memory}), false};
    }
  }
  return {memory, true};
}

double time_ns(double amount, double per_ns) {
  return per_ns > 0 ? amount / per_ns : 0;
}

/// All rows of the tables of which `embed` fetches some, as wide as those it fetches.
double table_bytes(const ModelConfig& config, double element) {
  const auto rows = config.vocab_size + config.max_positions + config.type_vocab_size;
  return static_cast<double>(rows * config.d_model) * element;
}

/// Exponentials of a phase's softmax: one a score.
double exponentials(const ModelConfig& config, const Shape& shape, const Phase& phase) {
  return static_cast<double>(config.heads * segment_rows(shape, phase.segment).tokens_squared *
                             (phase.last_layer - phase.first_layer));
}

}  // namespace

OperationWork operation_work(const ModelConfig& config, const Shape& shape, const PlanCost& cost,
                             std::string_view name, const Stores& stores) {
  OperationWork work;
  for (const PhaseCost& phase : cost.phases) {
    for (const OperationCost& operation : phase.operations) {
      if (operation.name != name) {
        continue;
      }
      const auto runs = static_cast<double>(std::max<std::size_t>(phase.layers.size(), 1));
      auto activations = static_cast<double>(operation.cost.bytes_activations);
      const auto weights = static_cast<double>(operation.cost.bytes_weights);
      work.product_flops += runs * static_cast<double>(operation.cost.flops());
      work.element_flops += runs * static_cast<double>(operation.cost.flops_elementwise);
      work.exponentials += name == "attention" ? exponentials(config, shape, phase.phase) : 0;
      if (phase.phase.kind == PhaseKind::load) {
        const auto stored = static_cast<double>(cost.cache_bytes_batch);
        work.store = {stored, stores.pool_bytes};
        activations -= std::min(stored, activations);
      } else if (phase.phase.kind == PhaseKind::embed) {
        work.store.bytes += weights;
        work.store.among_bytes = table_bytes(config, stores.table_element_bytes);
      } else {
        work.weight_bytes += runs * weights;
      }
      work.activations.push_back({runs * activations, activations});
    }
  }
  return work;
}

OperationRoof operation_roof(const OperationWork& work, double memory_share, const Roofs& roofs,
                             std::string_view dtype) {
  OperationRoof roof;
  // GFLOP/s are FLOPs a nanosecond, GB/s bytes a nanosecond.
  const double elements = work.element_flops + work.exponentials * (kExponentialFlops - 1);
  const ArithmeticRoof* products = roofs.peak(dtype);
  const ArithmeticRoof* vectors = roofs.vector_peak("f32");
  const ArithmeticRoof* by_vectors = roofs.vector_peak(dtype);
  roof.products_ns = time_ns(work.product_flops, products ? products->best_gflops : 0);
  roof.products_by = products ? products->by() : "";
  roof.products_vector_ns = time_ns(work.product_flops, by_vectors ? by_vectors->best_gflops : 0);
  roof.elements_ns = time_ns(elements, vectors ? vectors->best_gflops : 0);

  const Level store = level_holding(work.store.among_bytes, roofs);
  const double weights_from_memory = work.weight_bytes * memory_share;
  roof.bytes_memory = weights_from_memory + (store.memory ? work.store.bytes : 0);
  double bytes = work.weight_bytes + work.store.bytes;
  double near_ns = 0;
  for (const Traffic& activations : work.activations) {
    bytes += activations.bytes;
    near_ns += time_ns(activations.bytes, level_holding(activations.among_bytes, roofs).gb_per_s);
  }
  roof.bytes_ns = std::max({time_ns(weights_from_memory, roofs.memory_read_gb_per_s().value_or(0)),
                            time_ns(work.store.bytes, store.gb_per_s), near_ns});
  const double flops = work.product_flops > 0 ? work.product_flops : work.element_flops;
  roof.intensity = bytes > 0 ? flops / bytes : 0;

  // The vector units are free where tiles do the products.
  const double arithmetic_ns = products != nullptr && products != by_vectors
                                   ? std::max(roof.products_ns, roof.elements_ns)
                                   : roof.products_ns + roof.elements_ns;
  roof.ideal_ns = std::max(arithmetic_ns, roof.bytes_ns);
  roof.bandwidth = arithmetic_ns < roof.bytes_ns;
  return roof;
}

}  // namespace deformer
