#pragma once
/// The plan: a forward pass as a short list of phases over two segments. Everything reads it: the
/// cost model, the reference, the backends, the range tree, the rows of a report.
///
///   full        embed(joint) encode(joint,0..n) head
///   decomposed  embed(q) encode(q,0..k) embed(p) encode(p,0..k) join encode(joint,k..n) head
///   cached      embed(q) encode(q,0..k) load(p) join encode(joint,k..n) head
///   prefill     embed(p) encode(p,0..k)            (fills the cache; never a measured variant)
///
/// With k = 0 the encode phases below the join are absent. The head phase is absent when the model
/// has no head.

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.hpp"
#include "model/types.hpp"

namespace deformer {

enum class PhaseKind { embed, encode, load, join, head };
std::string_view to_string(PhaseKind);

struct Phase {
  PhaseKind kind;
  Segment segment;
  std::int64_t first_layer = 0;  ///< encode only: layers [first_layer, last_layer)
  std::int64_t last_layer = 0;
  bool operator==(const Phase&) const = default;
};

/// "embed(question)", "encode(joint,9..12)", "load(passage)", "join", "head".
std::string phase_name(const Phase& phase);

struct Plan {
  std::int64_t split = 0;  ///< k; 0 for full
  Order order = Order::question_first;
  /// Positions of the second text run on after the first (full) or restart at 0 (all others).
  bool positions_run_on = false;
  std::vector<Phase> phases;

  bool loads_passages() const;     ///< has a load phase
  bool reads_passage_ids() const;  ///< embeds passages or joint
  /// Segment of the rows that the last phase before the head leaves: joint, or passage for prefill.
  Segment output_segment() const;
};

/// @throws BadInput when split is outside 0..layers (ignored for full).
Plan make_plan(const ModelConfig& config, Variant variant, std::int64_t split, Order order);

/// Passages alone through layers [0, split): what fills a cache. `order` decides the token type.
Plan make_prefill_plan(const ModelConfig& config, std::int64_t split, Order order);

}  // namespace deformer
