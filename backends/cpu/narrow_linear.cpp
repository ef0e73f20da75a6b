// Products of narrow rows and panels of narrow weights (narrow_tiles.hpp). A job is one panel times
// a block of rows; a pass over part of the inner dimension keeps that part of the panel in the
// first-level cache while all rows of the block meet it.

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/linear.hpp"
#include "cache/codec_rows.hpp"

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
constexpr std::int64_t kPanelRowBytes = kNarrowColumns * kGroupBytes;
/// Groups of one pass, at most: 32 KiB of a panel beside the rows that meet it, of 48 KiB.
constexpr std::int64_t kInnerGroups = 256;
/// Rows of one job, at most: their sums, 40 KiB, wait between passes in the second-level cache.
constexpr std::int64_t kBlockRows = 320;
/// The sums of 8-bit products must fit 32 bits.
constexpr std::int64_t kMostInner = std::numeric_limits<std::int32_t>::max() / (255 * 127);

std::int64_t divide_up(std::int64_t value, std::int64_t by) {
  return (value + by - 1) / by;
}

std::int64_t elements_per_group(DType dtype) {
  return dtype == DType::bf16 ? 2 : 4;
}

/// How the weights of one kind lie.
struct NarrowLayout {
  explicit NarrowLayout(const LinearKind& kind)
      : per_group(elements_per_group(kind.dtype)),
        groups(divide_up(kind.in, per_group * kLineGroups) * kLineGroups),
        panels(divide_up(kind.out, kNarrowColumns)) {}

  std::int64_t panel_bytes() const { return groups * kPanelRowBytes; }
  std::int64_t columns() const { return panels * kNarrowColumns; }
  std::int64_t source_row_bytes(const LinearKind& kind) const {
    return narrow_row_bytes(kind.in, kGroupBytes / per_group);
  }

  std::int64_t per_group;
  std::int64_t groups;  ///< of a row, up to whole lines
  std::int64_t panels;
};

class NarrowWeights final : public LinearWeights {
 public:
  NarrowWeights(const LinearKind& kind, const NarrowLayout& layout, int most_weight,
                const Fill& fill_weights, const Fill& fill_bias, Slab& slab)
      : layout_(layout),
        panels_(slab.take(layout.panels * layout.panel_bytes())),
        bias_(slab.take_floats(layout.columns())) {
    const AlignedBuffer plain(kind.in * kind.out * kFloatBytes);
    fill_weights({plain.floats(), static_cast<std::size_t>(kind.in * kind.out)});
    fill_bias({bias_, static_cast<std::size_t>(kind.out)});
    if (kind.dtype == DType::int8) {
      scales_ = slab.take_floats(layout.columns());
      column_sums_ = slab.take_floats(layout.columns());
    }
    for (std::int64_t column = 0; column < kind.out; ++column) {
      const float* row = plain.floats() + column * kind.in;
      kind.dtype == DType::bf16 ? pack_bf16(row, kind.in, column)
                                : pack_int8(row, kind.in, column, most_weight);
    }
  }

  std::int64_t bytes() const override {
    const std::int64_t vectors = scales_ == nullptr ? 1 : 3;
    return layout_.panels * layout_.panel_bytes() + vectors * layout_.columns() * kFloatBytes;
  }
  const std::byte* panel(std::int64_t index) const {
    return panels_ + index * layout_.panel_bytes();
  }
  const float* bias() const { return bias_; }
  const float* scales() const { return scales_; }            ///< null for bf16
  const float* column_sums() const { return column_sums_; }  ///< null for bf16

 private:
  /// The bytes of element k of a column.
  std::byte* element(std::int64_t column, std::int64_t k) const {
    const std::int64_t group = k / layout_.per_group;
    return panels_ + column / kNarrowColumns * layout_.panel_bytes() + group * kPanelRowBytes +
           column % kNarrowColumns * kGroupBytes +
           k % layout_.per_group * (kGroupBytes / layout_.per_group);
  }

  void pack_bf16(const float* row, std::int64_t in, std::int64_t column) {
    for (std::int64_t k = 0; k < in; ++k) {
      codec::encode_bf16(row + k, 1, element(column, k));
    }
  }

  /// One scale a column: that of its largest weight.
  void pack_int8(const float* row, std::int64_t in, std::int64_t column, int most_weight) {
    float largest = 0;
    for (std::int64_t k = 0; k < in; ++k) {
      largest = std::max(largest, std::fabs(row[k]));
    }
    const auto limit = static_cast<float>(most_weight);
    const float scale = largest / limit;
    std::int64_t sum = 0;
    for (std::int64_t k = 0; k < in && scale > 0; ++k) {
      const float step = std::clamp(std::nearbyint(row[k] / scale), -limit, limit);
      const auto weight = static_cast<std::int8_t>(step);
      *element(column, k) = std::bit_cast<std::byte>(weight);
      sum += weight;
    }
    scales_[column] = scale;
    column_sums_[column] = scale * static_cast<float>(sum);
  }

  NarrowLayout layout_;
  std::byte* panels_;
  float* bias_;
  float* scales_ = nullptr;
  float* column_sums_ = nullptr;
};

class NarrowLinear final : public Linear {
 public:
  NarrowLinear(const LinearKind& kind, const NarrowLayout& layout, const NarrowTiles& set,
               std::int64_t rows)
      : kind_(kind),
        layout_(layout),
        set_(set),
        rows_(rows),
        blocks_(divide_up(rows, kBlockRows)),
        source_row_bytes_(layout.source_row_bytes(kind)),
        result_row_bytes_(narrow_row_bytes(kind.out, 2)),
        result_stride_(row_stride(kind.out)) {}

  void bind(const LinearOperands& operands) override { operands_ = operands; }
  bool shared() const override { return true; }
  void run_alone(const LinearWeights&) const override {}

  void work(const LinearWeights& weights, const Worker& worker) const override {
    const auto& packed = static_cast<const NarrowWeights&>(weights);
    const std::int64_t jobs = blocks_ * layout_.panels;
    set_.begin();
    for (std::int64_t job = worker.next(); job < jobs; job = worker.next()) {
      run_job(packed, job / layout_.panels, job % layout_.panels, worker.count());
    }
    set_.end();
  }

 private:
  void run_job(const NarrowWeights& weights, std::int64_t block, std::int64_t panel,
               int threads) const {
    alignas(64) std::byte sums[kBlockRows * kPanelRowBytes];
    const std::int64_t first = rows_ * block / blocks_;
    const std::int64_t rows = rows_ * (block + 1) / blocks_ - first;
    const std::int64_t tiles = divide_up(rows, kNarrowRows);
    const std::int64_t passes = divide_up(layout_.groups, kInnerGroups);
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const std::int64_t lines = layout_.groups / kLineGroups;
      const std::int64_t group = lines * pass / passes * kLineGroups;
      const std::int64_t next_group = lines * (pass + 1) / passes * kLineGroups;
      const bool last = pass + 1 == passes;
      NarrowArgs args;
      args.a_row_bytes = source_row_bytes_;
      args.b = weights.panel(panel) + group * kPanelRowBytes;
      args.groups = next_group - group;
      args.add = pass > 0;
      args.prefetch = last ? next_panel(weights, panel, threads)
                           : weights.panel(panel) + next_group * kPanelRowBytes;
      for (std::int64_t tile = 0; tile < tiles; ++tile) {
        const std::int64_t row = rows * tile / tiles;
        args.rows = rows * (tile + 1) / tiles - row;
        args.a = operands_.narrow_source + (first + row) * source_row_bytes_ + group * kGroupBytes;
        args.sums = sums + row * kPanelRowBytes;
        share_prefetch(args, tile, tiles);
        set_.multiply(args);
        if (last) {
          finish(weights, panel, first + row, args);
        }
      }
    }
  }

  /// The tiles of a block fetch what comes next between them.
  static void share_prefetch(NarrowArgs& args, std::int64_t tile, std::int64_t tiles) {
    constexpr std::int64_t kLinesAStep = kLineGroups * kPanelRowBytes / 64;
    args.prefetch_lines = divide_up(kLinesAStep, tiles);
    if (args.prefetch == nullptr || tile == 0) {
      return;
    }
    args.prefetch = tile * args.prefetch_lines < kLinesAStep
                        ? args.prefetch + args.groups / kLineGroups * args.prefetch_lines * 64
                        : nullptr;
  }

  /// What this thread will probably draw next: while all keep pace, the ticket `threads` on.
  const std::byte* next_panel(const NarrowWeights& weights, std::int64_t panel, int threads) const {
    const std::int64_t next = panel + threads;
    return next < layout_.panels ? weights.panel(next) : nullptr;
  }

  void finish(const NarrowWeights& weights, std::int64_t panel, std::int64_t row,
              const NarrowArgs& done) const {
    const std::int64_t column = panel * kNarrowColumns;
    kernels::NarrowSums sums;
    sums.sums = done.sums;
    sums.rows = done.rows;
    sums.bias = weights.bias() + column;
    if (weights.scales() != nullptr) {
      sums.column_scale = weights.scales() + column;
      sums.column_sum = weights.column_sums() + column;
      sums.ranges = operands_.ranges + row;
    }
    if (kind_.narrow_result) {
      kernels::widen_to_bf16(sums, activation(),
                             operands_.narrow_result + row * result_row_bytes_ + column * 2,
                             result_row_bytes_);
      return;
    }
    sums.columns = std::min(kNarrowColumns, result_stride_ - column);
    float* out = operands_.result + row * result_stride_ + column;
    kind_.epilogue == Epilogue::residual ? kernels::widen_added(sums, out, result_stride_)
                                         : kernels::widen(sums, out, result_stride_);
  }

  NarrowActivation activation() const {
    switch (kind_.epilogue) {
      case Epilogue::bias_gelu_erf:
        return NarrowActivation::gelu_erf;
      case Epilogue::bias_gelu_tanh:
        return NarrowActivation::gelu_tanh;
      default:
        return NarrowActivation::none;
    }
  }

  LinearKind kind_;
  NarrowLayout layout_;
  const NarrowTiles& set_;
  std::int64_t rows_;
  std::int64_t blocks_;
  std::int64_t source_row_bytes_;
  std::int64_t result_row_bytes_;
  std::int64_t result_stride_;
  LinearOperands operands_;
};

class NarrowEngine final : public LinearEngine {
 public:
  NarrowEngine(const LinearKind& kind, const NarrowTiles& set)
      : kind_(kind), layout_(kind), set_(set) {
    const bool gelu = kind.epilogue != Epilogue::bias && kind.epilogue != Epilogue::residual;
    if (kind.in > kMostInner || set.dtype != kind.dtype || gelu > kind.narrow_result ||
        (kind.epilogue == Epilogue::residual && kind.narrow_result)) {
      throw std::logic_error(fmt::format("no {} product [rows,{}] x [{},{}] by {}",
                                         to_string(kind.dtype), kind.in, kind.in, kind.out,
                                         set.isa));
    }
  }

  std::string_view name() const override { return set_.isa; }
  const LinearKind& kind() const override { return kind_; }
  std::unique_ptr<LinearWeights> pack(const Fill& fill_weights, const Fill& fill_bias,
                                      Slab& slab) const override {
    return std::make_unique<NarrowWeights>(kind_, layout_, set_.most_weight, fill_weights,
                                           fill_bias, slab);
  }
  std::unique_ptr<Linear> prepare(std::int64_t rows) const override {
    return std::make_unique<NarrowLinear>(kind_, layout_, set_, rows);
  }

 private:
  LinearKind kind_;
  NarrowLayout layout_;
  const NarrowTiles& set_;
};

}  // namespace

std::unique_ptr<LinearEngine> make_narrow_engine(const LinearKind& kind, const NarrowTiles& set) {
  return std::make_unique<NarrowEngine>(kind, set);
}

}  // namespace deformer
