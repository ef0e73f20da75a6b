// f32 products by AMX (amx_f32.hpp). A job is one panel times a block of rows in one pass over the
// inner dimension. A thread splits its block into parts once for all panels of a pass; the parts
// stay in its second-level cache.

#include <algorithm>

#include "backends/cpu/amx_f32.hpp"
#include "backends/cpu/amx_f32_few.hpp"
#include "backends/cpu/caches.hpp"
#include "backends/cpu/epilogue.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/pages.hpp"
#include "backends/cpu/panel_weights.hpp"
#include "backends/cpu/pass_order.hpp"

namespace deformer {
namespace {

using amx_f32::kColumns;
using amx_f32::kStepInner;

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
/// Steps of the inner dimension in one pass, at most (1024 numbers).
constexpr std::int64_t kPassSteps = 32;
/// The parts of a block of rows may fill this part of the second-level cache in one pass.
constexpr std::int64_t kBlockPart = 2;
/// Fewer rows, where they are too many for make_few_rows_linear, are left to multiply-adds over the
/// same weights: what splitting costs is the same for any number of rows. Bert-base's products, 2
/// threads, weights from memory, Sapphire Rapids: 40 rows 21.3 ms by this, 19.5 by multiply-adds;
/// 48 rows 22.6 and 22.8; 64 rows 24.5 and 30.4.
constexpr std::int64_t kAmxRows = 48;
/// Where there are at least so many rows for each thread, blocks are as many as threads or a
/// multiple, and each thread keeps its rows through all products; fewer rows are one block whose
/// panels are dealt out.
constexpr std::int64_t kLeastRows = 80;

class AmxLinear final : public Linear {
 public:
  AmxLinear(const LinearKind& kind, const Panels& panels, std::int64_t rows)
      : kind_(kind),
        panels_(panels),
        steps_(kind.in / kStepInner),
        rows_(rows),
        passes_(divide_up(steps_, kPassSteps)),
        pass_steps_(divide_up(steps_, passes_)),
        most_rows_(std::max<std::int64_t>(
            amx_f32::kGroupRows,
            second_level_cache_bytes() / kBlockPart / (pass_steps_ * amx_f32::kRowStepBytes))),
        source_stride_(row_stride(kind.in)),
        result_stride_(row_stride(kind.out)),
        order_(most_blocks() * panels.count, passes_) {}

  std::int64_t scratchpad_bytes(int threads) const override {
    return threads * thread_bytes(deal(threads));
  }
  void bind(const LinearOperands& operands) override { operands_ = operands; }
  bool shared() const override { return true; }
  void run_alone(const LinearWeights&) const override {}

  void work(const LinearWeights& weights, const Worker& worker) const override {
    const Deal deal = this->deal(worker.count());
    Thread thread = scratch_of(deal, worker.index());
    const auto& packed = static_cast<const PanelWeights&>(weights);
    amx_f32::begin();
    for (std::int64_t ticket; (ticket = worker.next_near(deal.jobs)) < deal.jobs;) {
      const Job job = job_of(deal, ticket);
      if (job.panel < panels_.count) {
        run_job(packed, deal, job, thread);
      }
    }
    amx_f32::end();
  }

 private:
  /// How a product is cut for a team: blocks of rows, and ranges of panels of each.
  struct Deal {
    std::int64_t blocks;
    std::int64_t block_rows;    ///< of the largest
    std::int64_t ranges;        ///< of panels
    std::int64_t range_panels;  ///< of the largest
    std::int64_t jobs;
  };
  struct Job {
    std::int64_t block;
    std::int64_t pass;
    std::int64_t panel;
    bool last_of_range;
  };
  /// What one thread has of the scratchpad, and what lies in it.
  struct Thread {
    std::byte* parts;
    std::byte* chunks;
    float* sums;
    amx_f32::Ahead ahead;
    std::int64_t block = -1;  ///< whose parts these are
    std::int64_t pass = -1;
  };

  Deal deal(int threads) const {
    Deal deal{};
    deal.blocks = divide_up(rows_, most_rows_);
    if (rows_ >= kLeastRows * threads) {
      deal.blocks = round_up(deal.blocks, threads);
    }
    deal.block_rows = divide_up(rows_, deal.blocks);
    deal.ranges = std::min(panels_.count, divide_up(threads, deal.blocks));
    deal.range_panels = divide_up(panels_.count, deal.ranges);
    deal.jobs = deal.blocks * deal.ranges * passes_ * deal.range_panels;
    return deal;
  }

  /// Workers draw ranges one after the other, and in each of them pass after pass.
  Job job_of(const Deal& deal, std::int64_t ticket) const {
    const std::int64_t index = ticket % deal.range_panels;
    const std::int64_t pass = ticket / deal.range_panels % passes_;
    const std::int64_t range = ticket / deal.range_panels / passes_;
    const std::int64_t panel = range % deal.ranges * deal.range_panels + index;
    return {range / deal.ranges, pass, panel,
            index + 1 == deal.range_panels || panel + 1 == panels_.count};
  }

  static std::int64_t sum_bytes(const Deal& deal) {
    return deal.block_rows * kColumns * kFloatBytes;
  }
  std::int64_t part_bytes(const Deal& deal) const {
    return deal.block_rows * pass_steps_ * amx_f32::kRowStepBytes;
  }
  std::int64_t thread_bytes(const Deal& deal) const {
    return amx_f32::kChunksBytes + sum_bytes(deal) + part_bytes(deal);
  }
  Thread scratch_of(const Deal& deal, int index) const {
    std::byte* chunks = operands_.scratchpad + index * thread_bytes(deal);
    std::byte* sums = chunks + amx_f32::kChunksBytes;
    return {.parts = sums + sum_bytes(deal),
            .chunks = chunks,
            .sums = reinterpret_cast<float*>(sums),
            .ahead = {}};
  }

  std::int64_t first_step(std::int64_t pass) const { return steps_ * pass / passes_; }

  void run_job(const PanelWeights& weights, const Deal& deal, const Job& job,
               Thread& thread) const {
    const std::int64_t first = rows_ * job.block / deal.blocks;
    const std::int64_t step = first_step(job.pass);
    const amx_f32::Rows rows{.count = rows_ * (job.block + 1) / deal.blocks - first,
                             .steps = first_step(job.pass + 1) - step,
                             .parts = thread.parts};
    if (thread.block != job.block || thread.pass != job.pass) {
      amx_f32::split_rows(operands_.source + first * source_stride_ + step * kStepInner,
                          source_stride_, rows);
      thread.block = job.block;
      thread.pass = job.pass;
    }
    amx_f32::Product product;
    product.rows = rows;
    product.panel =
        weights.weights() + job.panel * panels_.full * kind_.in + step * kStepInner * kColumns;
    product.chunks = thread.chunks;
    product.sums = thread.sums;
    product.next = job.last_of_range ? nullptr : product.panel + panels_.full * kind_.in;
    amx_f32::multiply(product, thread.ahead);
    order_.wait_before(job.block * panels_.count + job.panel, job.pass);
    finish(weights, job, first, rows.count, thread.sums);
    order_.done(job.block * panels_.count + job.panel, job.pass);
  }

  /// For a team of any size: `deal` rounds up to it only where each thread has kLeastRows.
  std::int64_t most_blocks() const { return divide_up(rows_, most_rows_) + rows_ / kLeastRows; }

  void finish(const PanelWeights& weights, const Job& job, std::int64_t row, std::int64_t rows,
              float* sums) const {
    const bool last = job.pass + 1 == passes_;
    amx_f32::Finish finish;
    finish.sums = sums;
    finish.rows = rows;
    finish.bias = last ? weights.bias() + job.panel * kColumns : nullptr;
    finish.add = job.pass > 0 || kind_.epilogue == Epilogue::residual;
    finish.result = operands_.result + row * result_stride_ + job.panel * kColumns;
    finish.stride = result_stride_;
    amx_f32::finish(finish);
    if (last) {
      activate(kind_.epilogue, finish.result, rows, kColumns, result_stride_);
    }
  }

  LinearKind kind_;
  Panels panels_;
  std::int64_t steps_;  ///< of the inner dimension
  std::int64_t rows_;
  std::int64_t passes_;
  std::int64_t pass_steps_;  ///< of the largest
  std::int64_t most_rows_;   ///< of a block
  std::int64_t source_stride_;
  std::int64_t result_stride_;
  LinearOperands operands_;
  PassOrder order_;  ///< by block and panel
};

class AmxEngine final : public LinearEngine {
 public:
  explicit AmxEngine(const LinearKind& kind) : kind_(kind), panels_(kind, kColumns / 2, kColumns) {}

  std::string_view name() const override { return "amx_f32"; }
  const LinearKind& kind() const override { return kind_; }
  std::unique_ptr<LinearWeights> pack(const Fill& fill_weights, const Fill& fill_bias,
                                      Slab& slab) const override {
    return std::make_unique<PanelWeights>(kind_, panels_, fill_weights, fill_bias, slab);
  }
  std::unique_ptr<Linear> prepare(std::int64_t rows) const override {
    if (auto few = make_few_rows_linear(kind_, panels_, rows)) {
      return few;
    }
    return rows < kAmxRows ? make_panel_linear(kind_, panels_, rows)
                           : std::make_unique<AmxLinear>(kind_, panels_, rows);
  }

 private:
  LinearKind kind_;
  Panels panels_;
};

}  // namespace

std::unique_ptr<LinearEngine> make_amx_engine(const LinearKind& kind) {
  const bool whole = kind.in % kStepInner == 0 && kind.out % kColumns == 0;
  return whole && amx_f32::use() ? std::make_unique<AmxEngine>(kind) : nullptr;
}

}  // namespace deformer
