#pragma once
/// A plan at a fixed shape, ready to run.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backends/backend.hpp"
#include "backends/cpu/arena.hpp"
#include "backends/cpu/encoder.hpp"
#include "backends/cpu/packed_model.hpp"
#include "backends/cpu/rows.hpp"

namespace deformer {

class CpuSession final : public Session {
 public:
  /// Model and arena are shared with the other sessions of the model and outlive it.
  CpuSession(std::shared_ptr<const PackedModel> model, std::shared_ptr<Arena> arena, Plan plan,
             Shape shape, SessionOptions options);

  void run(const Inputs& inputs) override;
  std::span<const float> output() const override;
  std::span<const float> head_output() const override;
  std::span<const float> layer_output(Segment segment, std::int64_t layers) const override;
  std::span<const std::int64_t> phase_ns() const override { return phase_ns_; }
  SessionMemory memory() const override;

 private:
  /// A segment that this plan has: its rows, and its encoder if it has layers of its own.
  struct Part {
    std::vector<std::int64_t> cumulative;
    int hidden = -1;  ///< slot
    float* rows = nullptr;
    std::vector<EmbeddedToken> tokens;
    std::optional<Encoder> encoder;
  };
  struct KeptState {
    Segment segment;
    std::int64_t layers;
    int slot;
  };

  void check_positions() const;
  void plan_parts();
  void plan_phase(std::size_t phase);
  void plan_kept_states();
  void plan_head();
  bool has_part(Segment segment) const { return part(segment).hidden >= 0; }
  void add_kept(Segment segment, std::int64_t layers, std::int64_t first_tick);

  void bind(std::byte* base);
  void run_phase(const Phase& phase, const Inputs& inputs);
  void embed(const Part& part, const Inputs& inputs) const;
  void encode(const Phase& phase);
  void load(const Inputs& inputs) const;
  void join() const;
  void head() const;
  void span_head() const;
  void classes_head() const;
  void keep(Segment segment, std::int64_t layers) const;

  Part& part(Segment segment) { return parts_[static_cast<std::size_t>(segment)]; }
  const Part& part(Segment segment) const { return parts_[static_cast<std::size_t>(segment)]; }
  std::int64_t last_tick() const;
  float* floats(int slot) const;

  std::shared_ptr<const PackedModel> model_;
  std::shared_ptr<Arena> arena_;
  Plan plan_;
  Shape shape_;
  SessionOptions options_;
  ArenaPlan memory_;
  Part parts_[3];
  std::vector<RowCopy> load_copies_;
  std::vector<RowCopy> join_copies_;
  std::vector<KeptState> kept_;
  int pooled_ = -1;  ///< slot, classes head
  int head_ = -1;    ///< slot
  std::int64_t head_floats_ = 0;
  std::int64_t requested_bytes_ = 0;
  std::byte* base_ = nullptr;
  std::vector<std::int64_t> phase_ns_;
};

}  // namespace deformer
