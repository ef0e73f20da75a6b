// Products of narrow rows and panels of narrow weights (narrow_tiles.hpp). A job is one panel times
// a block of rows; a pass over part of the inner dimension keeps that part of the panel in the
// first-level cache while all rows of the block meet it.

#include <algorithm>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

#include "backends/cpu/linear.hpp"
#include "backends/cpu/narrow_weights.hpp"
#include "backends/cpu/pages.hpp"

namespace deformer {
namespace {

/// Cache lines of a panel that kLineGroups groups have.
constexpr std::int64_t kLinesAStep = kLineGroups * kPanelRowBytes / 64;
/// Groups of one pass, at most: 24 KiB of a panel, which stay in the first-level cache.
constexpr std::int64_t kInnerGroups = 192;
/// Rows of one job, at most: of ffn2's, 1 MiB, they stay in the second-level cache (of 2 MiB) while
/// all panels go by, and their sums wait there between passes.
constexpr std::int64_t kBlockRows = 160;
/// Rows that are one job where results are written and not added to: side by side, two blocks would
/// have every panel read from memory twice, which costs more than rows that change their core.
constexpr std::int64_t kFewRows = 320;
/// The sums of 8-bit products must fit 32 bits.
constexpr std::int64_t kMostInner = std::numeric_limits<std::int32_t>::max() / (255 * 127);

class NarrowLinear final : public Linear {
 public:
  NarrowLinear(const LinearKind& kind, const NarrowLayout& layout, const NarrowTiles& set,
               std::int64_t rows)
      : kind_(kind),
        layout_(layout),
        set_(set),
        rows_(rows),
        blocks_(kind.epilogue != Epilogue::residual && rows <= kFewRows
                    ? 1
                    : divide_up(rows, kBlockRows)),
        source_row_bytes_(layout.source_row_bytes(kind)),
        result_row_bytes_(narrow_row_bytes(kind.out, 2)),
        result_stride_(row_stride(kind.out)) {}

  void bind(const LinearOperands& operands) override { operands_ = operands; }
  bool shared() const override { return true; }
  void run_alone(const LinearWeights&) const override {}

  /// As many blocks of rows as there are workers go through the panels side by side: each worker
  /// then mostly stays with its own rows, whose results it wrote last time and will write next
  /// time, and a panel that comes from memory serves all. (One block after the other had every
  /// worker touch every row; fetching them back from the other core cost 30 % of ffn2.)
  void work(const LinearWeights& weights, const Worker& worker) const override {
    alignas(64) std::byte sums[kFewRows * kPanelRowBytes];
    Pending pending{this, static_cast<const NarrowWeights*>(&weights)};
    const std::int64_t jobs = blocks_ * layout_.panels;
    set_.begin();
    for (std::int64_t ticket = worker.next(); ticket < jobs; ticket = worker.next()) {
      run_job(job_of(ticket, worker.count()), job_of(ticket + worker.count(), worker.count()), sums,
              pending);
    }
    pending.finish(0, pending.rows);
    set_.end();
  }

 private:
  struct Job {
    std::int64_t block;
    std::int64_t panel;
  };
  Job job_of(std::int64_t ticket, std::int64_t workers) const {
    const std::int64_t group = ticket / (workers * layout_.panels);
    const std::int64_t first = group * workers;
    if (first >= blocks_) {
      return {blocks_, layout_.panels};  // none
    }
    const std::int64_t blocks = std::min(workers, blocks_ - first);
    const std::int64_t within = ticket - first * layout_.panels;
    return {first + within % blocks, within / blocks};
  }
  struct Groups {
    std::int64_t first;
    std::int64_t count;
  };
  /// A block whose sums are complete and still to be turned into results, which happens while the
  /// next block is multiplied: both then have the processor at the same time (AMX and vectors are
  /// different units).
  struct Pending {
    const NarrowLinear* self;
    const NarrowWeights* weights;
    Job job{};
    std::int64_t row = 0;  ///< of the matrix
    std::int64_t rows = 0;
    const std::byte* sums = nullptr;
    std::int64_t rows_a_step = 0;

    void finish(std::int64_t first, std::int64_t last) const {
      if (first < last) {
        self->finish(*weights, job, row + first, last - first, sums + first * kPanelRowBytes);
      }
    }
    static void step(void* context, std::int64_t index) {
      const Pending& self = *static_cast<const Pending*>(context);
      self.finish(index * self.rows_a_step, std::min(self.rows, (index + 1) * self.rows_a_step));
    }
  };
  /// Part `index` of `parts` even ones, by whole lines.
  static Groups part_of(const Groups& whole, std::int64_t index, std::int64_t parts) {
    const std::int64_t lines = whole.count / kLineGroups;
    const std::int64_t first = lines * index / parts;
    const std::int64_t last = lines * (index + 1) / parts;
    return {whole.first + first * kLineGroups, (last - first) * kLineGroups};
  }

  /// `next` is what this thread will probably draw next: while all keep pace, the ticket as many on
  /// as there are workers.
  void run_job(const Job& job, const Job& next, std::byte* sums, Pending& pending) const {
    const NarrowWeights& weights = *pending.weights;
    const Groups all{0, layout_.groups};
    const std::int64_t first = rows_ * job.block / blocks_;
    const std::int64_t rows = rows_ * (job.block + 1) / blocks_ - first;
    const std::int64_t tiles = divide_up(rows, kNarrowRows);
    const std::int64_t passes = divide_up(all.count, kInnerGroups);
    const std::byte* panel = weights.panel(job.panel);
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const Groups groups = part_of(all, pass, passes);
      const bool last = pass + 1 == passes;
      const Groups next_groups = part_of(all, last ? 0 : pass + 1, passes);
      NarrowArgs args;
      args.a_row_bytes = source_row_bytes_;
      args.b = panel + groups.first * kPanelRowBytes;
      args.groups = groups.count;
      args.add = pass > 0;
      const std::byte* prefetch = last ? panel_of(weights, next) : panel;
      prefetch = prefetch == nullptr ? nullptr : prefetch + next_groups.first * kPanelRowBytes;
      args.prefetch_lines = divide_up(kLinesAStep, tiles);
      for (std::int64_t tile = 0; tile < tiles; ++tile) {
        const std::int64_t row = rows * tile / tiles;
        args.rows = rows * (tile + 1) / tiles - row;
        args.a = operands_.narrow_source + (first + row) * source_row_bytes_ +
                 groups.first * kGroupBytes;
        args.sums = sums + row * kPanelRowBytes;
        share_prefetch(args, prefetch, tile);
        multiply(args, pending);
        if (last) {
          pending.job = job;
          pending.row = first + row;
          pending.rows = args.rows;
          pending.sums = sums + row * kPanelRowBytes;
        }
      }
    }
  }

  /// `args` is changed where it lies: to copy it right after it was written would wait until all
  /// stores before it, tiles of sums among them, have reached the cache (18 % of a product's time).
  void multiply(NarrowArgs& args, Pending& pending) const {
    args.meanwhile = pending.rows > 0 ? Pending::step : nullptr;
    args.context = &pending;
    pending.rows_a_step = divide_up(pending.rows, args.steps());
    set_.multiply(args);
    pending.rows = 0;
  }

  const std::byte* panel_of(const NarrowWeights& weights, const Job& job) const {
    return job.block < blocks_ && job.panel < layout_.panels ? weights.panel(job.panel) : nullptr;
  }

  /// The tiles of a block fetch what comes next between them.
  static void share_prefetch(NarrowArgs& args, const std::byte* all, std::int64_t tile) {
    args.prefetch = all != nullptr && tile * args.prefetch_lines < kLinesAStep
                        ? all + tile * args.steps() * args.prefetch_lines * 64
                        : nullptr;
  }

  void finish(const NarrowWeights& weights, const Job& job, std::int64_t row, std::int64_t rows,
              const std::byte* done) const {
    const std::int64_t column = job.panel * kNarrowColumns;
    kernels::NarrowSums sums;
    sums.sums = done;
    sums.rows = rows;
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
    const bool wrong_result =
        kind.epilogue == Epilogue::residual ? kind.narrow_result : gelu && !kind.narrow_result;
    if (kind.in > kMostInner || set.dtype != kind.dtype || wrong_result) {
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
