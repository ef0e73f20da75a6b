// Products of narrow rows and panels of narrow weights (narrow_tiles.hpp). A job is one panel times
// a block of rows; a pass over part of the inner dimension keeps that part of the panel in the
// first-level cache while all rows of the block meet it.

#include <algorithm>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

#include "backends/cpu/caches.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/narrow_results.hpp"
#include "backends/cpu/narrow_weights.hpp"
#include "backends/cpu/pages.hpp"
#include "backends/cpu/pass_order.hpp"

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
/// Cache lines of a panel that kLineGroups groups have, for each of the streams it is fetched in.
constexpr std::int64_t kStreamLines =
    kLineGroups * kPanelRowBytes / kLineBytes / NarrowArgs::kPrefetchStreams;
/// What a block of rows has in one pass may fill this part of the second-level cache; panels,
/// results and what is fetched ahead need the rest.
constexpr std::int64_t kBlockPart = 3;
/// Rows of a block, at most.
constexpr std::int64_t kBlockRows = 640;
/// Rows that are one block where results are written and not added to: side by side, two would
/// have every panel read from memory twice, which costs more than rows that change their core.
constexpr std::int64_t kFewRows = 320;
/// Where there are at least so many rows for each thread, blocks are as many as threads or a
/// multiple, and each thread keeps its rows through all products.
constexpr std::int64_t kLeastRows = 80;
/// Blocks of at least so many rows begin at whole tiles. Even shares of 2560 rows are tiles of 30
/// and 31 in turn, and setting up the tiles anew for each cost a tenth of the products' time. The
/// share of fewer rows would grow by over an eighth.
constexpr std::int64_t kManyRows = 256;
/// Rows of a product that is added to what is there: up to here they are one block, as long as each
/// worker has kPanelsAWorker panels of it, and meet a whole panel at once. More are a block or some
/// for each thread, and meet it in chunks where it is bf16. Bert-base, two cores of a Sapphire
/// Rapids: ffn2 at 27 rows 2.6 ms in chunks, 1.9 without; a whole forward in bf16, two blocks and
/// one: 128 rows 11.4 and 11.1 ms, 160 rows 14.0 and 13.3, 192 rows 14.8 and 14.9 (in 8 bits 9.3
/// and 9.7).
constexpr std::int64_t kAddedRows = 160;
constexpr std::int64_t kPanelsAWorker = 8;
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
        passes_(divide_up(layout.groups, set.most_groups)),
        chunks_(in_chunks(kind, rows) ? passes_ : 1),
        source_row_bytes_(layout.source_row_bytes(kind)),
        result_row_bytes_(narrow_row_bytes(kind.out, 2)),
        result_stride_(row_stride(kind.out)),
        order_(most_blocks() * layout.panels, chunks_) {}

  void bind(const LinearOperands& operands) override { operands_ = operands; }
  bool shared() const override { return true; }
  void run_alone(const LinearWeights&) const override {}

  void work(const LinearWeights& weights, const Worker& worker) const override {
    alignas(64) std::byte sums[kFewRows * kPanelRowBytes];
    Pending pending{this, static_cast<const NarrowWeights*>(&weights)};
    const std::int64_t blocks = block_count(worker.count());
    const std::int64_t jobs = blocks * chunks_ * layout_.panels;
    set_.begin();
    for (std::int64_t ticket; (ticket = worker.next_near(jobs)) < jobs;) {
      run_job(job_of(ticket, blocks), sums, pending);
    }
    pending.finish_all();
    set_.end();
  }

 private:
  static bool in_chunks(const LinearKind& kind, std::int64_t rows) {
    return kind.epilogue == Epilogue::residual && kind.dtype == DType::bf16 && rows > kAddedRows;
  }

  /// Part `chunk` of the inner dimension of one panel, times block `index` of `blocks`.
  struct Job {
    std::int64_t blocks;
    std::int64_t block;
    std::int64_t chunk;
    std::int64_t panel;
  };
  Job job_of(std::int64_t ticket, std::int64_t blocks) const {
    const std::int64_t part = ticket / layout_.panels;
    return {blocks, part / chunks_, part % chunks_, ticket % layout_.panels};
  }

  /// Workers draw blocks one after the other, so that each keeps its rows: its results are what it
  /// reads next.
  std::int64_t block_count(int workers) const {
    const bool added = kind_.epilogue == Epilogue::residual;
    if (rows_ <= (added ? kAddedRows : kFewRows) &&
        (!added || layout_.panels >= kPanelsAWorker * workers)) {
      return 1;
    }
    const std::int64_t bytes = layout_.groups * kGroupBytes / chunks_;
    const std::int64_t most = passes_ == chunks_ ? kBlockRows : kFewRows;
    const std::int64_t fit = std::clamp<std::int64_t>(
        second_level_cache_bytes() / kBlockPart / bytes, kNarrowRows, most);
    const std::int64_t blocks = divide_up(rows_, fit);
    return rows_ >= kLeastRows * workers ? round_up(blocks, workers) : blocks;
  }

  /// Of a block; of `blocks`, where the last one ends. Rounded up, so that no block is larger than
  /// an even share of whole tiles, the last one included.
  std::int64_t first_row(std::int64_t block, std::int64_t blocks) const {
    const std::int64_t even = rows_ * block / blocks;
    return rows_ >= kManyRows * blocks ? std::min(rows_, round_up(even, kNarrowRows)) : even;
  }

  /// Of any number of workers: block_count rounds up to them only where each has kLeastRows.
  std::int64_t most_blocks() const { return divide_up(rows_, kNarrowRows) + rows_ / kLeastRows; }

  struct Groups {
    std::int64_t first;
    std::int64_t count;
  };
  /// A block whose sums are complete: its results are written while the next block is multiplied.
  struct Pending {
    const NarrowLinear* self;
    const NarrowWeights* weights;
    Job job{};
    NarrowResults results{};  ///< of no rows: nothing pending
    bool last = false;        ///< of the job's

    void finish_all() {
      kernels::write(results, 0, results.sums.rows);
      finished();
    }
    void finished() {
      if (results.sums.rows > 0 && last) {
        self->order_.done(self->tile_of(job), job.chunk);
      }
      results.sums.rows = 0;
    }
  };
  /// Part `index` of `parts` even ones, by whole lines.
  static Groups part_of(const Groups& whole, std::int64_t index, std::int64_t parts) {
    const std::int64_t lines = whole.count / kLineGroups;
    const std::int64_t first = lines * index / parts;
    const std::int64_t last = lines * (index + 1) / parts;
    return {whole.first + first * kLineGroups, (last - first) * kLineGroups};
  }

  void run_job(const Job& job, std::byte* sums, Pending& pending) const {
    const NarrowWeights& weights = *pending.weights;
    const Groups all = part_of({0, layout_.groups}, job.chunk, chunks_);
    const std::int64_t first = first_row(job.block, job.blocks);
    const std::int64_t rows = first_row(job.block + 1, job.blocks) - first;
    const std::int64_t tiles = divide_up(rows, kNarrowRows);
    const std::int64_t tile_rows = divide_up(rows, tiles);
    const std::int64_t passes = passes_ / chunks_;
    const std::byte* panel = weights.panel(job.panel);
    if (!order_.ready(tile_of(job), job.chunk)) {
      pending.finish_all();  // another may wait for this one's
      order_.wait_before(tile_of(job), job.chunk);
    }
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const Groups groups = part_of(all, pass, passes);
      const bool last = pass + 1 == passes;
      NarrowArgs args;
      args.a_row_bytes = source_row_bytes_;
      args.b = panel + groups.first * kPanelRowBytes;
      args.groups = groups.count;
      args.add = pass > 0;
      const std::byte* prefetch =
          last ? next_of(weights, job) : args.b + groups.count * kPanelRowBytes;
      args.prefetch_lines = divide_up(kStreamLines, tiles);
      args.prefetch_stride =
          set_.fetches_in_order ? kLineBytes : args.steps() * kStreamLines * kLineBytes;
      args.prefetch_step =
          set_.fetches_in_order ? NarrowArgs::kPrefetchStreams * kLineBytes : kLineBytes;
      args.result_row_bytes =
          kind_.narrow_result ? result_row_bytes_ : result_stride_ * kFloatBytes;
      args.result_lines = kind_.narrow_result ? 1 : 2;
      for (std::int64_t tile = 0; tile < tiles; ++tile) {
        const std::int64_t row = tile * tile_rows;
        args.rows = std::min(tile_rows, rows - row);
        args.a = operands_.narrow_source + (first + row) * source_row_bytes_ +
                 groups.first * kGroupBytes;
        args.sums = passes > 1 ? sums + row * kPanelRowBytes : sums;
        args.results = last ? results_of(job, first + row) : nullptr;
        share_prefetch(args, prefetch, tile);
        multiply(args, pending);
        if (last) {
          pending.job = job;
          pending.last = tile + 1 == tiles;
          set_results(weights, job, first + row, args, pending.results);
        }
      }
    }
  }

  /// `args` is changed where it lies: to copy it right after it was written would wait until all
  /// stores before it, tiles of sums among them, have reached the cache (18 % of a product's time).
  void multiply(NarrowArgs& args, Pending& pending) const {
    args.due = pending.results.sums.rows > 0 ? &pending.results : nullptr;
    set_.multiply(args);
    pending.finished();
  }

  /// Of a job's results, for order_.
  std::int64_t tile_of(const Job& job) const { return job.block * layout_.panels + job.panel; }

  const std::byte* results_of(const Job& job, std::int64_t row) const {
    const std::int64_t column = job.panel * kNarrowColumns;
    return kind_.narrow_result ? operands_.narrow_result + row * result_row_bytes_ + column * 2
                               : reinterpret_cast<const std::byte*>(operands_.result +
                                                                    row * result_stride_ + column);
  }

  /// The weights this thread will probably read next.
  const std::byte* next_of(const NarrowWeights& weights, const Job& job) const {
    const std::int64_t next = job.panel + 1;
    const bool wraps = next == layout_.panels;
    const std::int64_t chunk = wraps ? (job.chunk + 1) % chunks_ : job.chunk;
    const Groups groups = part_of({0, layout_.groups}, chunk, chunks_);
    return weights.panel(wraps ? 0 : next) + groups.first * kPanelRowBytes;
  }

  /// The tiles of a block fetch what comes next between them.
  static void share_prefetch(NarrowArgs& args, const std::byte* all, std::int64_t tile) {
    args.prefetch = all != nullptr && tile * args.prefetch_lines < kStreamLines
                        ? all + tile * args.steps() * args.prefetch_lines * args.prefetch_step
                        : nullptr;
  }

  /// Where the sums of a block go that begins with `row` of the matrix.
  void set_results(const NarrowWeights& weights, const Job& job, std::int64_t row,
                   const NarrowArgs& done, NarrowResults& to) const {
    alignas(64) static constexpr float kNothing[kNarrowColumns] = {};
    const std::int64_t column = job.panel * kNarrowColumns;
    const bool whole = job.chunk + 1 == chunks_;  // else what is added once waits
    kernels::NarrowSums& sums = to.sums;
    sums.sums = done.sums;
    sums.rows = done.rows;
    sums.bias = whole ? weights.bias() + column : kNothing;
    if (weights.scales() != nullptr) {
      sums.column_scale = weights.scales() + column;
      sums.column_sum = whole ? weights.column_sums() + column : kNothing;
      sums.ranges = operands_.ranges + row;
    }
    to.activation = activation();
    if (kind_.narrow_result) {
      to.as = NarrowResults::As::bf16;
      to.out = operands_.narrow_result + row * result_row_bytes_ + column * 2;
      to.out_row_bytes = result_row_bytes_;
      return;
    }
    sums.columns = std::min(kNarrowColumns, result_stride_ - column);
    to.as =
        kind_.epilogue == Epilogue::residual ? NarrowResults::As::added : NarrowResults::As::f32;
    to.out = reinterpret_cast<std::byte*>(operands_.result + row * result_stride_ + column);
    to.out_row_bytes = result_stride_ * kFloatBytes;
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
  std::int64_t passes_;  ///< over the inner dimension
  /// Parts of it that add to the results on their own; 1 for integers, whose sums stay exact.
  std::int64_t chunks_;
  std::int64_t source_row_bytes_;
  std::int64_t result_row_bytes_;
  std::int64_t result_stride_;
  LinearOperands operands_;
  PassOrder order_;  ///< of chunks, by block and panel
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
