#pragma once
/// A plan at a shape as a list of steps with every address in them: what is captured into a CUDA
/// graph. Made from the plan's phases alone; a variant is never asked for.
///
///   [upload] · [fork] · embed(q) encode(q) · embed(p) encode(p) | load(p) · [meet] · join · ... ·
///   head
///
/// What does not need the questions (the passages' own layers, decoding) is on the side branch.
/// Passages that come from host memory are copied by a stream outside of the graph while the
/// questions' layers run; the steps that need them are the program's second part, a graph of its
/// own that starts when they have come.
///
/// A program is made twice: with null bases to learn what it needs, and with the real ones.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "backends/backend.hpp"
#include "backends/cuda/host/launcher.hpp"
#include "backends/cuda/host/rows_left.hpp"
#include "backends/cuda/host/weight_places.hpp"

namespace deformer::cuda {

/// Of device buffers: what cuBLASLt wants of an address, and a whole number of vectors.
inline constexpr std::int64_t kMemoryAlignment = 256;

struct ProgramRequest {
  const ModelConfig& config;
  const WeightPlaces& places;
  Numbers numbers;
  const Plan& plan;
  const Shape& shape;
  const SessionOptions& options;
  /// Whether erf GELU is to be the finish of this product (FFN1, as it would be with its bias
  /// alone); empty: never.
  std::function<bool(const LtProblem&)> gelu_erf_in_product = {};
};

/// Where the blocks begin that a program's addresses lie in.
struct Bases {
  std::byte* weights = nullptr;
  std::byte* activations = nullptr;
  std::byte* session = nullptr;  ///< tables, staged inputs, landed passages, the head's results
  std::byte* staging = nullptr;  ///< pinned host memory: inputs, then the head's results
};

struct KeptRows {
  Segment segment;
  std::int64_t layers;
  RowsLeft rows;  ///< f32
};

/// A leaf of plan_ranges(config, plan, detail): between which marks it ran.
struct RangeMarks {
  int range;
  std::size_t phase;
  int begin;
  int end;
};

struct Program {
  std::vector<Step> steps;
  std::size_t second_part = 0;  ///< first step that needs copied passages; steps.size(): none does
  MemoryPlan memory{kMemoryAlignment};
  std::vector<std::int64_t> phase_bytes;  ///< alive while each phase runs
  std::int64_t requested_bytes = 0;       ///< sum of all results

  std::int64_t session_bytes = 0;
  std::int64_t staging_bytes = 0;
  std::vector<std::byte> tables;  ///< to be written at `tables_at` of the session block, once
  std::int64_t tables_at = 0;
  // Staged inputs, offsets in the staging block.
  std::int64_t question_ids_at = 0;
  std::int64_t passage_ids_at = 0;
  std::int64_t pointers_at = 0;     ///< of cached passages
  std::int64_t head_at = 0;         ///< results
  std::vector<std::byte*> landing;  ///< device: where each cached passage is copied; may be empty
  std::vector<std::int64_t> passage_bytes;

  RowsLeft output;
  std::vector<KeptRows> kept;
  std::int64_t head_floats = 0;

  int marks = 0;
  std::vector<RangeMarks> ranges;  ///< in plan order; empty with Detail::none
};

/// @throws BadInput when the shape exceeds the position table; Unavailable when it exceeds what
/// kernels count with.
Program make_program(const ProgramRequest& request, const Bases& bases);

}  // namespace deformer::cuda
