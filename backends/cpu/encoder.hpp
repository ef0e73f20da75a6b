#pragma once
/// Encoder layers over the packed rows of one segment, for one fixed shape. The hidden states are
/// updated in place: the products that end a block add onto the residual and one pass then
/// normalises.
///
/// In reduced precision the hidden states stay f32. Products read rows that are narrowed ahead of
/// them: the hidden states as they are normalised, the context and the feed-forward layer, where
/// they are not written narrow in the first place, by the workers of the product that reads them.
/// Softmax, LayerNorm and sums are f32 (int32 in 8-bit products).

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "backends/cpu/arena.hpp"
#include "backends/cpu/attention.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/narrow_attention.hpp"
#include "backends/cpu/narrow_source.hpp"
#include "backends/cpu/packed_model.hpp"
#include "backends/cpu/team.hpp"
#include "profilers/range_tree.hpp"

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
  /// Parallel regions of run_layer: a step is one.
  std::int64_t regions_a_layer() const { return static_cast<std::int64_t>(steps_.size()); }
  /// What has to be done before the first layer of a phase. Called by every worker; ends with a
  /// barrier where there is anything to do.
  void enter(const Worker& worker) const;
  /// Called by every worker; ends with a barrier. `cursor`, unless null, stands at the layer's
  /// first operation and is led past its last. `following` is the layer after it, whose weights
  /// are asked for at its end; -1 when there is none.
  void work_layer(std::int64_t layer, std::int64_t following, const Worker& worker,
                  RangeCursor* cursor) const;
  /// Called outside any region; `cursor` is thread 0's.
  void run_layer(std::int64_t layer, Team& team, RangeCursor* cursor) const;
  /// Bytes of all results of one layer, as if each had a buffer of its own.
  std::int64_t requested_bytes_per_layer() const;

 private:
  /// One operation of a layer (model/layer_cost.hpp): a product with its weights, or something else
  /// that the workers do together.
  struct Step {
    std::string_view name;
    std::unique_ptr<Linear> Encoder::*product = nullptr;
    std::unique_ptr<LinearWeights> LayerWeights::*weights = nullptr;
    void (Encoder::*work)(const LayerWeights&, const Worker&) const = nullptr;
    /// Narrows the source of a narrow product; a barrier follows. Null where nothing is to be done.
    void (Encoder::*narrow)(const Worker&) const = nullptr;
  };
  static std::span<const Step> known_steps();
  void plan_steps(Family family);
  void plan_rows(ArenaPlan& plan, std::int64_t first_tick);
  void plan_narrow_rows(ArenaPlan& plan, std::int64_t first_tick);
  void bind_narrow(std::byte* base, const ArenaPlan& plan);
  std::int64_t attention_scratch_bytes() const;
  bool narrow() const { return dtype_ != DType::f32; }

  /// `then`: what the worker reads from memory after the step, if known.
  void work(const Step& step, const LayerWeights& weights, const Worker& worker,
            const float* then) const {
    if (step.narrow != nullptr) {
      (this->*step.narrow)(worker);
      worker.barrier();
    }
    if (step.product != nullptr) {
      (this->*step.product)->work_then(*(weights.*step.weights), worker, then);
    } else {
      (this->*step.work)(weights, worker);
    }
  }
  const float* read_after(const Step& step, std::int64_t layer, std::int64_t following,
                          const Worker& worker) const;
  void attend(const LayerWeights& weights, const Worker& worker) const;
  void attention_norm(const LayerWeights& weights, const Worker& worker) const;
  void ffn_norm(const LayerWeights& weights, const Worker& worker) const;
  void normalise(const NormWeights& norm, const Worker& worker) const;
  void narrow_context(const Worker& worker) const;
  void narrow_ffn(const Worker& worker) const;

  const PackedModel& model_;
  std::int64_t rows_;
  int threads_;
  DType dtype_;  ///< of the products
  std::unique_ptr<Linear> qkv_;
  std::unique_ptr<Linear> attention_out_;
  std::unique_ptr<Linear> ffn1_;
  std::unique_ptr<Linear> ffn2_;
  std::vector<Step> steps_;  ///< of a layer, in the order of layer_operations
  std::optional<Attention> attention_;
  std::optional<NarrowAttention> narrow_attention_;  ///< in its place
  int hidden_slot_;
  int qkv_slot_ = -1;  ///< f32 rows; this and the next two -1 where only narrow ones are needed
  int context_slot_ = -1;
  int ffn_slot_ = -1;
  int attention_scratch_slot_ = -1;
  int product_scratch_slot_ = -1;
  float* hidden_ = nullptr;
  float* qkv_rows_ = nullptr;
  float* context_ = nullptr;
  float* ffn_ = nullptr;
  std::byte* attention_scratch_ = nullptr;
  std::optional<NarrowSource> hidden_source_;  ///< what narrow products read
  std::optional<NarrowSource> context_source_;
  std::optional<NarrowSource> ffn_source_;
  std::optional<NarrowSource> qkv_bf16_;      ///< what narrow attention reads
  std::optional<NarrowSource> context_bf16_;  ///< what it writes, where 8-bit products read it
  std::optional<NarrowSource> ffn_bf16_;      ///< likewise of GELU
};

}  // namespace deformer
