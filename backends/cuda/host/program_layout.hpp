#pragma once
/// What a program needs and where it lies, before any address is known: buffers and how long each
/// is alive, staged inputs, tables. The steps are made from it (program.cpp).

#include <array>
#include <cstdint>
#include <vector>

#include "backends/cuda/host/block_tables.hpp"
#include "backends/cuda/host/program.hpp"

namespace deformer::cuda {

/// A segment that the plan has.
struct Part {
  int hidden = -1;  ///< slot of its hidden states
  std::int64_t rows = 0;
};

/// Slots of the layers of one phase; those that end in 8 hold e4m3, and are -1 without fp8. Deltas
/// are what a product leaves for the norm behind it to add; -1 where it adds to the hidden states.
struct LayerSlots {
  int qkv, context, ffn;
  int hidden8 = -1, context8 = -1, ffn8 = -1;
  int out_delta = -1, ffn2_delta = -1;
};

/// Hidden states that are kept for whoever asks.
struct KeptSlot {
  Segment segment;
  std::int64_t layers;  ///< after so many
  int slot;
};

/// One of the products of a layer, with this finish where it has a bias, and none where not.
LtProblem layer_problem(const ProgramRequest& request, LayerProduct which, std::int64_t rows,
                        Finish finish, bool residual);

/// Bytes of ids and pointers up to which kernels read them from pinned memory: one trip over the
/// bus that all rows make together, where a copy would be one more node of the graph on another
/// engine. Many rows would have to queue for it.
inline constexpr std::int64_t kReadInPlace = 4096;

/// First moment of a phase in the memory plan; the next phase begins where its last one ends.
std::int64_t first_tick(std::size_t phase);

class ProgramLayout {
 public:
  /// Plans all of it and writes into `program` what can be known: sizes, offsets in the staging
  /// block, the memory plan, placed. Both references must outlive this.
  /// @throws what make_program throws.
  ProgramLayout(const ProgramRequest& request, Program& program);

  const Part& part(Segment segment) const { return parts_[static_cast<std::size_t>(segment)]; }
  /// Of a phase that encodes.
  const LayerSlots& layers(std::size_t phase) const { return layers_[phase]; }
  const std::vector<KeptSlot>& kept() const { return kept_; }
  const BlockTables& tables() const { return tables_; }
  int head() const { return head_; }      ///< slot
  int pooled() const { return pooled_; }  ///< slot; -1 without a pooler

  /// Whether passages run beside the questions, on a branch of their own.
  bool beside() const { return beside_; }
  Branch branch_of(const Phase& phase) const {
    return beside_ && phase.segment == Segment::passage ? Branch::side : Branch::main;
  }
  /// Whether the kernels that need what is staged read it where it was staged, in the host's
  /// memory.
  bool in_place() const { return program_.head_at <= kReadInPlace; }
  /// Whether cached passages are copied from the host's memory.
  bool copies() const;

 private:
  void check_sizes() const;
  void find_branches();
  void plan_staging();
  void plan_parts();
  void plan_phases();
  LayerSlots plan_layers(std::size_t index, const Part& part);
  void plan_kept(std::size_t index);
  void plan_head(std::size_t index);

  std::size_t phases() const { return plan_.phases.size(); }
  std::int64_t last_tick() const { return first_tick(phases()); }
  /// A buffer of a result, alive between two ticks.
  int slot(std::int64_t bytes, std::int64_t first, std::int64_t last);

  const ProgramRequest& request_;
  const ModelConfig& config_;
  const Plan& plan_;
  const Shape& shape_;
  Program& program_;
  const Widths& widths_;
  std::int64_t d_;  ///< of a row as it is stored
  Element element_;
  BlockTables tables_;
  std::array<Part, 3> parts_;
  std::vector<LayerSlots> layers_;  ///< parallel to the plan's phases
  std::vector<KeptSlot> kept_;
  bool beside_ = false;
  int pooled_ = -1;
  int head_ = -1;
  Branch branch_ = Branch::main;  ///< of the phase that is being planned
};

}  // namespace deformer::cuda
