#pragma once
/// What bounds one operation of a forward pass, against the measured roofs (Williams, Waterman,
/// Patterson: Roofline, CACM 2009, with a roof for each unit and each level of memory).
///
/// An operation can't be quicker than the longest of
///
///   products    FLOPs of GEMM and attention, at the measured peak of the dtype: the highest way
///               that the machine has (of f32 with AMX: three bf16 parts, profilers/roofs.hpp),
///               whichever engine serves them here. What vectors alone would take stands beside it
///   elements    FLOPs beside them (model/layer_cost.hpp), at the peak of f32's multiply-adds:
///               whatever the dtype, vectors of f32 do them; an exponential counts as
///               kExponentialFlops
///   bytes       the weights that the last-level cache can't keep, at memory's rate; what is
///               fetched from a store, at the rate of the level that holds the whole store;
///               activations, at the rate of the level that holds those of one run
///
/// Products and elements are done by the same vector units, and take turns, unless the products are
/// AMX's, whose tiles are a unit of its own. All are lower bounds: what an operation takes beyond
/// them, for latency or for work that no model counts, they don't know.

#include <string>
#include <string_view>
#include <vector>

#include "model/config.hpp"
#include "model/cost.hpp"
#include "model/shape.hpp"
#include "profilers/roofs.hpp"

namespace deformer {

/// One exponential on vectors: round, subtract, three multiply-adds and a scaling by a power of two
/// are the fewest that keep the digits of bf16 (backends/cpu/narrow_softmax.cpp; f32 takes more),
/// the multiplication by log2(e) being part of the subtraction before. Six instructions, in each of
/// which the peak has a multiply-add: 12 FLOPs.
inline constexpr double kExponentialFlops = 12;

/// Bytes that are moved, and those among which they lie: who walks through a whole store before he
/// comes back finds nothing of it in a cache that is smaller.
struct Traffic {
  double bytes = 0;
  double among_bytes = 0;
};

/// What all runs of an operation in one forward do together.
struct OperationWork {
  double product_flops = 0;
  double element_flops = 0;  ///< by the conventions of the cost model, an exponential as one
  double exponentials = 0;   ///< of those
  double weight_bytes = 0;
  Traffic store;                     ///< passages of a pool, rows of the embedding tables
  std::vector<Traffic> activations;  ///< phase by phase; among those of one run
};

/// What is larger than what one forward reads of it.
struct Stores {
  double pool_bytes = 0;           ///< of passages, set after set
  double table_element_bytes = 4;  ///< of an element of the embedding tables
};

/// `name`: as in PhaseCost::operations.
OperationWork operation_work(const ModelConfig& config, const Shape& shape, const PlanCost& cost,
                             std::string_view name, const Stores& stores);

struct OperationRoof {
  double bytes_memory = 0;  ///< weights that the last-level cache can't keep; a store beyond it
  double intensity = 0;     ///< FLOPs over all bytes it reads and writes
  double products_ns = 0, elements_ns = 0, bytes_ns = 0;
  std::string products_by;        ///< ArithmeticRoof::by of that peak
  double products_vector_ns = 0;  ///< products at the peak without tiles; 0 where there is none
  double ideal_ns = 0;            ///< the longest, the first two together where they take turns
  bool bandwidth = false;         ///< bytes it is
};

/// `memory_share`: of the weights, what has to come from memory in each forward.
OperationRoof operation_roof(const OperationWork& work, double memory_share, const Roofs& roofs,
                             std::string_view dtype);

}  // namespace deformer
