#pragma once
/// Encoder layers over the packed rows of one segment, for one fixed shape. The hidden states are
/// updated in place: the products that end a block add onto the residual and one pass then
/// normalises.

#include <cstdint>
#include <memory>
#include <span>

#include "backends/cpu/arena.hpp"
#include "backends/cpu/attention.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/packed_model.hpp"
#include "backends/cpu/team.hpp"

namespace deformer {

class Encoder {
 public:
  /// `hidden` is the slot of the segment's rows, row_stride(d_model) floats apart; `cumulative` its
  /// sequences, `first_texts` the tokens of each one's first text. Asks `plan` for scratch alive
  /// during ticks [first_tick, first_tick + kTicks).
  Encoder(const PackedModel& model, std::span<const std::int64_t> cumulative,
          std::span<const std::int64_t> first_texts, int threads, ArenaPlan& plan, int hidden,
          std::int64_t first_tick);

  static constexpr std::int64_t kTicks = 4;

  void bind(std::byte* base, const ArenaPlan& plan);
  /// Whether a team can walk whole layers (`work_layer`); else only `run_layer` will do.
  bool shared() const;
  /// Called by every worker; ends with a barrier.
  void work_layer(std::int64_t layer, const Worker& worker) const;
  /// Called outside any region.
  void run_layer(std::int64_t layer, Team& team) const;
  /// Bytes of all results of one layer, as if each had a buffer of its own.
  std::int64_t requested_bytes_per_layer() const;

 private:
  void normalise(const NormWeights& norm, const Worker& worker) const;

  const PackedModel& model_;
  std::int64_t rows_;
  std::unique_ptr<Linear> qkv_;
  std::unique_ptr<Linear> attention_out_;
  std::unique_ptr<Linear> ffn1_;
  std::unique_ptr<Linear> ffn2_;
  Attention attention_;
  int hidden_slot_;
  int qkv_slot_;
  int context_slot_;
  int attention_scratch_slot_;
  int ffn_slot_;
  int product_scratch_slot_;
  float* hidden_ = nullptr;
  float* qkv_rows_ = nullptr;
  float* context_ = nullptr;
  float* attention_scratch_ = nullptr;
};

}  // namespace deformer
