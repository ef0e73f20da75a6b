#include <cblas.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "backends/ranges.hpp"
#include "backends/reference/encoder.hpp"
#include "backends/reference/reference.hpp"
#include "cache/codec.hpp"
#include "model/error.hpp"
#include "profilers/clock.hpp"

namespace deformer {
namespace {

using reference::Encoder;
using reference::States;

std::vector<float> to_f32(const std::vector<double>& values) {
  std::vector<float> result(values.size());
  std::ranges::transform(values, result.begin(), [](double x) { return static_cast<float>(x); });
  return result;
}

class ReferenceSession final : public Session {
 public:
  ReferenceSession(const WeightSource& weights, Plan plan, Shape shape, SessionOptions options)
      : encoder_(weights),
        plan_(std::move(plan)),
        shape_(std::move(shape)),
        options_(std::move(options)),
        phase_ns_(plan_.phases.size()),
        ranges_(plan_ranges(encoder_.config(), plan_, options_.detail)),
        phase_ranges_(phase_ranges(ranges_)),
        log_(range_tree(ranges_), 1),
        times_(encoder_.config().family) {
    measure_memory();
  }

  /// Checks its inputs, unlike other backends: the oracle is never what is timed.
  void run(const Inputs& inputs) override {
    check_inputs(encoder_.config(), plan_, shape_, inputs);
    kept_.clear();
    log_.open(0);
    for (std::size_t i = 0; i < plan_.phases.size(); ++i) {
      const int range = phase_ranges_.empty() ? 0 : phase_ranges_[i];
      at_ = range;
      const std::int64_t start = now_ns();
      log_.open(range);
      run_phase(plan_.phases[i], inputs);
      if (options_.detail == Detail::op && plan_.phases[i].kind != PhaseKind::encode) {
        record(log_.start_ns(range), now_ns());
      }
      log_.close(range);
      phase_ns_[i] = now_ns() - start;
    }
    log_.close(0);
    output_ = to_f32(states(plan_.output_segment()).rows);
  }

  std::span<const float> output() const override { return output_; }
  std::span<const float> head_output() const override { return head_output_; }
  std::span<const float> layer_output(Segment segment, std::int64_t layers) const override {
    const auto found = kept_.find({segment, layers});
    return found == kept_.end() ? std::span<const float>() : found->second;
  }
  std::span<const std::int64_t> phase_ns() const override { return phase_ns_; }
  RangeLog* ranges() override { return &log_; }
  SessionMemory memory() const override { return memory_; }

 private:
  States& states(Segment segment) { return states_[static_cast<std::size_t>(segment)]; }

  void run_phase(const Phase& phase, const Inputs& inputs) {
    switch (phase.kind) {
      case PhaseKind::embed:
        states(phase.segment) = encoder_.embed(phase.segment, plan_.order, shape_, inputs);
        return keep(phase.segment, 0);
      case PhaseKind::encode:
        return encode(phase);
      case PhaseKind::load:
        load(inputs);
        return keep(Segment::passage, plan_.split);
      case PhaseKind::join:
        states(Segment::joint) =
            encoder_.join(plan_.order, shape_, states(Segment::question), states(Segment::passage));
        return keep(Segment::joint, plan_.split);
      case PhaseKind::head:
        head_output_ = to_f32(encoder_.head(states(Segment::joint)));
        return;
    }
  }

  void encode(const Phase& phase) {
    for (std::int64_t layer = phase.first_layer; layer < phase.last_layer; ++layer) {
      const reference::LayerWeights weights = encoder_.read_layer(layer);
      times_.clear();
      const std::int64_t start = now_ns();
      encoder_.apply_layer(weights, states(phase.segment), &times_);
      record_layer(start);
      keep(phase.segment, layer + 1);
    }
  }

  /// Stamps of the layer that follows at_, its operations laid end to end.
  void record_layer(std::int64_t start) {
    if (options_.detail < Detail::layer) {
      return;
    }
    if (options_.detail == Detail::layer) {
      record(start, now_ns());
      return;
    }
    ++at_;
    for (const std::int64_t ns : times_.ns()) {
      start = record(start, start + ns);
    }
  }

  /// The next range, a leaf, ran from start to end. Returns when it really ended.
  std::int64_t record(std::int64_t start, std::int64_t end) {
    end += log_.lose_in(++at_);
    log_.put(0, at_, {start, end, end});
    return end;
  }

  void load(const Inputs& inputs) {
    States& passages = states(Segment::passage);
    const std::int64_t d = encoder_.config().d_model;
    passages.offsets = cumulative_tokens(shape_, Segment::passage);
    passages.first_texts = shape_.passage_tokens;
    passages.rows.clear();
    std::vector<float> decoded;
    for (std::size_t i = 0; i < inputs.cached_passages.size(); ++i) {
      const std::int64_t tokens = shape_.passage_tokens[i];
      decoded.resize(static_cast<std::size_t>(tokens * d));
      decode_rows(options_.cache_dtype, inputs.cached_passages[i], tokens, d, decoded.data());
      passages.rows.insert(passages.rows.end(), decoded.begin(), decoded.end());
    }
  }

  void keep(Segment segment, std::int64_t layers) {
    if (std::ranges::find(options_.keep_layers, layers) != options_.keep_layers.end()) {
      kept_[{segment, layers}] = to_f32(states(segment).rows);
    }
  }

  /// Everything a session has stays allocated: its states, and the scratch of the largest phase
  /// with one widened layer.
  void measure_memory() {
    const std::int64_t row_bytes =
        encoder_.config().d_model * static_cast<std::int64_t>(sizeof(double));
    std::int64_t scratch = 0;
    for (const Phase& phase : plan_.phases) {
      const std::int64_t tokens = cumulative_tokens(shape_, phase.segment).back();
      if (phase.kind == PhaseKind::encode) {
        const std::int64_t needed = encoder_.scratch_bytes(tokens, longest(shape_, phase.segment));
        scratch = std::max(scratch, needed);
        memory_.requested_bytes += needed * (phase.last_layer - phase.first_layer);
      } else if (phase.kind != PhaseKind::head) {
        memory_.peak_bytes += tokens * row_bytes;
      }
    }
    memory_.requested_bytes += memory_.peak_bytes;
    memory_.peak_bytes += scratch;
  }

  Encoder encoder_;
  Plan plan_;
  Shape shape_;
  SessionOptions options_;
  std::array<States, 3> states_;  ///< by segment
  std::map<std::pair<Segment, std::int64_t>, std::vector<float>> kept_;
  std::vector<float> output_, head_output_;
  std::vector<std::int64_t> phase_ns_;
  std::vector<PlanRange> ranges_;
  std::vector<int> phase_ranges_;
  RangeLog log_;
  reference::OperationTimes times_;
  int at_ = 0;  ///< the range being recorded
  SessionMemory memory_;
};

class ReferenceModel final : public Model {
 public:
  explicit ReferenceModel(const WeightSource& weights) : weights_(weights) {}

  const ModelConfig& config() const override { return weights_.config(); }
  /// Nothing is packed: what is held while a session runs is one widened layer.
  std::int64_t weight_bytes() const override { return Encoder(weights_).layer_bytes(); }
  std::unique_ptr<Session> prepare(const Plan& plan, const Shape& shape,
                                   const SessionOptions& options) override {
    if (const auto reason = codec_why_not(options.cache_dtype); reason && plan.loads_passages()) {
      throw Unavailable(fmt::format("reference: {}", *reason));
    }
    reference::check_positions(config(), plan, shape);
    return std::make_unique<ReferenceSession>(weights_, plan, shape, options);
  }

 private:
  const WeightSource& weights_;
};

class ReferenceBackend final : public Backend {
 public:
  BackendInfo info() const override {
    return {"reference", fmt::format("float64 oracle ({})", openblas_get_config()), ""};
  }
  std::optional<std::string> why_not(const ModelConfig& config, DType /*dtype*/,
                                     DType cache_dtype) const override {
    if (auto reason = reference::encoder_why_not(config)) {
      return reason;
    }
    return codec_why_not(cache_dtype);
  }
  std::unique_ptr<Model> load(const WeightSource& weights, const LoadOptions&) override {
    if (const auto reason = reference::encoder_why_not(weights.config())) {
      throw Unavailable(fmt::format("reference: {}", *reason));
    }
    return std::make_unique<ReferenceModel>(weights);
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace deformer
