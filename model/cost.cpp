#include "model/cost.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "model/error.hpp"
#include "model/layer_cost.hpp"

namespace deformer {
namespace {

using std::int64_t;

constexpr int64_t kTanhFlops = 8;
constexpr int64_t kScaleBytes = 4;  // one f32 scale a row of int8 or bit1

using Rows = SegmentRows;

int64_t head_weight_elements(const ModelConfig& config) {
  const int64_t d = config.d_model;
  switch (config.head) {
    case HeadKind::none:
      return 0;
    case HeadKind::span:
      return 2 * d + 2;
    case HeadKind::classes:
      return d * d + d + config.classes * d + config.classes;
  }
  return 0;
}

Cost embed_cost(const ModelConfig& config, const Rows& rows, int64_t element) {
  const int64_t d = config.d_model;
  Cost cost;
  const bool sums = config.family == Family::bert;  // XLNet adds neither positions nor types
  cost.flops_elementwise = sums ? (2 + kLayerNormFlops) * rows.tokens * d : 0;
  const int64_t table_rows = rows.tokens + (sums ? rows.longest + config.type_vocab_size + 2 : 0);
  cost.bytes_weights = table_rows * d * element;
  cost.bytes_activations = rows.tokens * d * element;
  cost.bytes_requested = (sums ? 4 : 1) * rows.tokens * d * element;
  return cost;
}

Cost head_cost(const ModelConfig& config, const Rows& joint, int64_t element) {
  const int64_t d = config.d_model;
  Cost cost;
  const bool span = config.head == HeadKind::span;
  const int64_t rows = span ? joint.tokens : joint.sequences;
  const int64_t outputs = span ? 2 : config.classes;
  cost.flops_gemm = 2 * rows * d * outputs;
  cost.bytes_activations = rows * (d + outputs) * element;
  cost.bytes_requested = rows * outputs * element;
  cost.flops_elementwise = rows * outputs;
  if (!span) {
    cost.flops_gemm += 2 * rows * d * d;
    cost.flops_elementwise += (kTanhFlops + 1) * rows * d;
    cost.bytes_activations += 2 * rows * d * element;
    cost.bytes_requested += rows * d * element;
  }
  count_alike(cost);
  cost.bytes_weights = head_weight_elements(config) * element;
  return cost;
}

/// Counts are 64-bit; a shape whose figures would not fit is refused before they are formed.
void check_countable(const ModelConfig& config, const Shape& shape) {
  constexpr double kLargestCount = 4e18;
  const Rows joint = segment_rows(shape, Segment::joint);
  const auto d = static_cast<double>(config.d_model);
  const auto wide = static_cast<double>(config.d_ff);
  const double largest =
      static_cast<double>(config.layers) *
      (static_cast<double>(joint.tokens) * (8 * d * d + 4 * d * wide + 200 * (d + wide)) +
       static_cast<double>(joint.tokens_squared) *
           (8 * d + 16 * static_cast<double>(config.heads)));
  if (largest > kLargestCount) {
    throw BadInput(fmt::format(
        "batch x length x model: expected a forward pass below {:.0e} FLOPs, found about {:.1e}; "
        "ask for a smaller batch or shorter texts",
        kLargestCount, largest));
  }
}

/// Everything the phases of one plan have in common while they are costed.
class PlanCoster {
 public:
  PlanCoster(const ModelConfig& config, const Plan& plan, const Shape& shape,
             const CostOptions& options)
      : config_(config),
        plan_(plan),
        options_(options),
        element_(element_bytes(options.dtype)),
        question_(segment_rows(shape, Segment::question)),
        passage_(segment_rows(shape, Segment::passage)),
        joint_(segment_rows(shape, Segment::joint)) {
    for (const int64_t tokens : shape.passage_tokens) {
      cache_bytes_batch_ += cached_passage_bytes(config, tokens, options.cache_dtype);
    }
  }

  PlanCost run() {
    PlanCost result;
    for (const Phase& phase : plan_.phases) {
      result.phases.push_back(phase_cost(phase));
      result.total += result.phases.back().total;
      result.activation_peak_bytes =
          std::max(result.activation_peak_bytes, alive_bytes(phase) + layer_scratch_bytes(phase));
    }
    result.weights_bytes = total_weight_bytes(config_, options_.dtype);
    if (plan_.loads_passages()) {
      result.cache_bytes_passage =
          cached_passage_bytes(config_, passage_.longest, options_.cache_dtype);
      result.cache_bytes_batch = cache_bytes_batch_;
    }
    return result;
  }

 private:
  const Rows& rows(Segment segment) const {
    switch (segment) {
      case Segment::question:
        return question_;
      case Segment::passage:
        return passage_;
      case Segment::joint:
        return joint_;
    }
    return joint_;
  }

  int64_t state_bytes(Segment segment) const {
    return rows(segment).tokens * config_.d_model * element_;
  }

  PhaseCost phase_cost(const Phase& phase) const {
    PhaseCost cost;
    cost.phase = phase;
    switch (phase.kind) {
      case PhaseKind::embed:
        cost.total = embed_cost(config_, rows(phase.segment), element_);
        break;
      case PhaseKind::encode:
        cost.layers.assign(static_cast<std::size_t>(phase.last_layer - phase.first_layer),
                           layer_cost(config_, rows(phase.segment), element_));
        cost.total = std::accumulate(cost.layers.begin(), cost.layers.end(), Cost{},
                                     [](Cost sum, const Cost& layer) { return sum += layer; });
        cost.operations = layer_operation_costs(config_, rows(phase.segment), element_);
        break;
      case PhaseKind::load:
        cost.total.bytes_activations = cache_bytes_batch_ + state_bytes(Segment::passage);
        cost.total.bytes_requested = state_bytes(Segment::passage);
        break;
      case PhaseKind::join:
        cost.total.bytes_activations = 2 * state_bytes(Segment::joint);
        cost.total.bytes_requested = state_bytes(Segment::joint);
        break;
      case PhaseKind::head:
        cost.total = head_cost(config_, joint_, element_);
        break;
    }
    if (phase.kind != PhaseKind::encode) {
      cost.operations = {{to_string(phase.kind), cost.total}};
    }
    return cost;
  }

  /// States of segments that must stay alive while a phase runs, its own result included.
  int64_t alive_bytes(const Phase& phase) const {
    const bool joint_only = plan_.phases.front().segment == Segment::joint;
    if (joint_only || phase.kind == PhaseKind::head) {
      return state_bytes(Segment::joint);
    }
    if (phase.kind == PhaseKind::join) {
      const int64_t passages = plan_.loads_passages() ? 0 : state_bytes(Segment::passage);
      return state_bytes(Segment::question) + passages + state_bytes(Segment::joint);
    }
    if (phase.kind == PhaseKind::load) {  // decoded straight into the joint rows
      return state_bytes(Segment::question) + state_bytes(Segment::joint);
    }
    const bool questions_wait =
        phase.segment == Segment::passage && plan_.phases.front().segment == Segment::question;
    return state_bytes(phase.segment) + (questions_wait ? state_bytes(Segment::question) : 0);
  }

  /// Buffers of one layer beside the hidden state: the fused QKV and the context, or the second
  /// hidden state and the wide one.
  int64_t layer_scratch_bytes(const Phase& phase) const {
    if (phase.kind != PhaseKind::encode) {
      return 0;
    }
    const int64_t d = config_.d_model;
    return rows(phase.segment).tokens * std::max(4 * d, d + config_.d_ff) * element_;
  }

  const ModelConfig& config_;
  const Plan& plan_;
  const CostOptions& options_;
  int64_t element_;
  Rows question_;
  Rows passage_;
  Rows joint_;
  int64_t cache_bytes_batch_ = 0;
};

}  // namespace

Cost& Cost::operator+=(const Cost& other) {
  flops_gemm += other.flops_gemm;
  flops_attention += other.flops_attention;
  flops_elementwise += other.flops_elementwise;
  flops_nominal += other.flops_nominal;
  flops_precomputed += other.flops_precomputed;
  flops_issued += other.flops_issued;
  bytes_weights += other.bytes_weights;
  bytes_activations += other.bytes_activations;
  bytes_requested += other.bytes_requested;
  return *this;
}

PlanCost cost_of(const ModelConfig& config, const Plan& plan, const Shape& shape,
                 const CostOptions& options) {
  check_countable(config, shape);
  return PlanCoster(config, plan, shape, options).run();
}

int64_t layer_flops(const ModelConfig& config, int64_t tokens) {
  const Rows rows{
      .sequences = 1, .tokens = tokens, .tokens_squared = tokens * tokens, .longest = tokens};
  return layer_cost(config, rows, 1).flops();
}

int64_t cached_passage_bytes(const ModelConfig& config, int64_t tokens, DType cache_dtype) {
  const int64_t d = config.d_model;
  switch (cache_dtype) {
    case DType::bit1:
      return tokens * ((d + 7) / 8 + kScaleBytes);
    case DType::int8:
      return tokens * (d + kScaleBytes);
    default:
      return tokens * d * element_bytes(cache_dtype);
  }
}

int64_t saved_flops_per_pair(const ModelConfig& config, int64_t split, int64_t question,
                             int64_t passage) {
  return split * (layer_flops(config, question + passage) - layer_flops(config, question));
}

double critical_bandwidth(double flops_per_s, int64_t passage_bytes, int64_t saved_flops) {
  if (saved_flops <= 0) {
    return std::numeric_limits<double>::infinity();
  }
  return flops_per_s * static_cast<double>(passage_bytes) / static_cast<double>(saved_flops);
}

int64_t total_weight_bytes(const ModelConfig& config, DType dtype) {
  const int64_t d = config.d_model;
  int64_t elements = config.vocab_size * d +
                     config.layers * layer_cost(config, {}, 1).bytes_weights +
                     head_weight_elements(config);
  if (config.family == Family::bert) {
    elements += (config.max_positions + config.type_vocab_size + 2) * d;
  } else {
    elements += config.layers * d * d;  // what projects the position table
  }
  return elements * element_bytes(dtype);
}

int64_t position_key_bytes(const ModelConfig& config, int64_t longest, DType dtype) {
  if (config.family != Family::xlnet) {
    return 0;
  }
  return config.layers * (2 * longest - 1) * config.d_model * element_bytes(dtype);
}

}  // namespace deformer
