// Products over weights packed in panels (panel_weights.hpp), so that the tile reads one contiguous
// stream. Activations are read where they lie.
//
// The scheme (panels, blocks of rows that stay in the second-level cache, register tiles) is that
// of Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3),
// 2008, without their packing of the left operand: our rows are few and padded against conflicts.

#include <algorithm>

#include "backends/cpu/caches.hpp"
#include "backends/cpu/epilogue.hpp"
#include "backends/cpu/linear.hpp"
#include "backends/cpu/pages.hpp"
#include "backends/cpu/panel_weights.hpp"
#include "backends/cpu/tiles.hpp"

namespace deformer {
namespace {

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
constexpr std::int64_t kLineFloats = 16;
/// Inner dimension of one pass over a panel, at most: a tile's rows and the panel then stay in the
/// second-level cache. 384, 768 and 1024 measured alike on Zen 4, 768 and 1024 on Sapphire Rapids.
constexpr std::int64_t kInner = 1024;
/// A block of rows, which is multiplied with one panel after the other, may fill this part of the
/// second-level cache in one pass; panels, results and what is fetched ahead need the rest. With
/// 2 MiB (Sapphire Rapids) 107 rows ran at 353, 160 at 361 and 320 at 354 GFLOP/s. It gives about
/// the 40 and 90 rows that were fixed for Zen 3 and 4 (512 kB and 1 MiB) before.
constexpr std::int64_t kBlockPart = 3;
/// Where there are at least so many rows for each thread, blocks are as many as threads or a
/// multiple, and each thread keeps its rows through all products: what one core wrote the other
/// need not fetch. Bert-base's products at 320 rows, 2 threads, Sapphire Rapids: panels dealt out
/// in turns 170 ms, rows kept 160 ms. At 64 rows a thread both took alike, and each thread reads
/// all weights.
constexpr std::int64_t kLeastRows = 80;

class PanelLinear final : public Linear {
 public:
  PanelLinear(const LinearKind& kind, const Panels& panels, const TileSet& set, std::int64_t rows)
      : kind_(kind), panels_(panels), set_(set), rows_(rows) {}

  void bind(const LinearOperands& operands) override { operands_ = operands; }
  bool shared() const override { return true; }
  void run_alone(const LinearWeights&) const override {}

  void work(const LinearWeights& weights, const Worker& worker) const override {
    const auto& packed = static_cast<const PanelWeights&>(weights);
    const std::int64_t blocks = block_count(worker.count());
    const std::int64_t jobs = blocks * panels_.count;
    for (std::int64_t job; (job = worker.next_near(jobs)) < jobs;) {
      run_job(packed, {blocks, job / panels_.count}, job % panels_.count);
    }
  }

 private:
  /// The index-th of `count` blocks of rows.
  struct Block {
    std::int64_t count;
    std::int64_t index;
  };

  std::int64_t block_count(int threads) const {
    const std::int64_t inner = std::min(kind_.in, kInner);
    const std::int64_t fit =
        std::max<std::int64_t>(1, second_level_cache_bytes() / kBlockPart / (inner * kFloatBytes));
    const std::int64_t blocks = divide_up(rows_, fit);
    return rows_ >= kLeastRows * threads ? round_up(blocks, threads) : blocks;
  }

  /// One panel times one block of rows.
  void run_job(const PanelWeights& weights, const Block& block, std::int64_t panel) const {
    const std::int64_t first = rows_ * block.index / block.count;
    const std::int64_t rows = rows_ * (block.index + 1) / block.count - first;
    const std::int64_t width = panels_.width(panel);
    TileArgs args;
    args.a_row = row_stride(kind_.in);
    args.b_k = width;
    args.c_row = row_stride(kind_.out);
    float* result = operands_.result + first * args.c_row + panel * panels_.full;
    const std::int64_t passes = divide_up(kind_.in, kInner);
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const std::int64_t inner = kind_.in * pass / passes;
      args.k = kind_.in * (pass + 1) / passes - inner;
      args.a = operands_.source + first * args.a_row + inner;
      args.b = weights.weights() + panels_.offset(panel) + inner * width;
      args.c = result;
      const bool last = pass + 1 == passes;
      args.add = pass > 0 || kind_.epilogue == Epilogue::residual;
      args.bias = last ? weights.bias() + panel * panels_.full : nullptr;
      const float* next = last ? next_panel(weights, panel) : args.b + args.k * width;
      run_rows(args, rows, width, next);
    }
  }

  /// What this thread will probably draw next.
  const float* next_panel(const PanelWeights& weights, std::int64_t panel) const {
    const std::int64_t next = panel + 1;
    return next < panels_.count ? weights.weights() + panels_.offset(next) : nullptr;
  }

  /// All tiles of the block. Each fetches its part of what comes next, spread over its steps: in
  /// the first tiles alone, a line a step, they hold up the tile's own loads (183 instead of 197
  /// GFLOP/s a core, Sapphire Rapids, 160 rows).
  void run_rows(const TileArgs& shared, std::int64_t rows, std::int64_t width,
                const float* next) const {
    const auto vectors = static_cast<std::size_t>(width / panels_.lanes);
    const std::int64_t tiles = divide_up(rows, set_.most_rows[vectors]);
    const std::int64_t lines =
        divide_up(shared.k * width, kLineFloats * TileArgs::kPrefetchStreams);  // of each stream
    TileArgs args = shared;
    const bool in_order = fetch_weights_in_order();
    args.prefetch_stride = in_order ? kLineFloats : lines * kLineFloats;
    args.prefetch_step = in_order ? TileArgs::kPrefetchStreams * kLineFloats : kLineFloats;
    args.prefetch_every = std::max<std::int64_t>(1, shared.k * tiles / lines);
    const std::int64_t tile_lines = shared.k / args.prefetch_every;
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t first = rows * tile / tiles;
      const std::int64_t count = rows * (tile + 1) / tiles - first;
      args.a = shared.a + first * args.a_row;
      args.c = shared.c + first * args.c_row;
      const bool fetches = next != nullptr && tile * tile_lines < lines;
      args.prefetch = fetches ? next + tile * tile_lines * args.prefetch_step : nullptr;
      set_.tile[vectors][static_cast<std::size_t>(count)](args);
      if (args.bias != nullptr) {
        activate(kind_.epilogue, args.c, count, width, args.c_row);
      }
    }
  }

  LinearKind kind_;
  Panels panels_;
  const TileSet& set_;
  std::int64_t rows_;
  LinearOperands operands_;
};

class PanelEngine final : public LinearEngine {
 public:
  explicit PanelEngine(const LinearKind& kind)
      : kind_(kind), panels_(kind, tiles().lanes, tiles().panel_columns()) {}

  std::string_view name() const override { return "panels"; }
  const LinearKind& kind() const override { return kind_; }
  std::unique_ptr<LinearWeights> pack(const Fill& fill_weights, const Fill& fill_bias,
                                      Slab& slab) const override {
    return std::make_unique<PanelWeights>(kind_, panels_, fill_weights, fill_bias, slab);
  }
  std::unique_ptr<Linear> prepare(std::int64_t rows) const override {
    return make_panel_linear(kind_, panels_, rows);
  }

 private:
  LinearKind kind_;
  Panels panels_;
};

}  // namespace

std::int64_t row_stride(std::int64_t columns) {
  constexpr std::int64_t kConflictingLines = 32;
  const std::int64_t lines = divide_up(columns, kLineFloats);
  return (lines % kConflictingLines == 0 ? lines + 1 : lines) * kLineFloats;
}

std::unique_ptr<Linear> make_panel_linear(const LinearKind& kind, const Panels& panels,
                                          std::int64_t rows) {
  return std::make_unique<PanelLinear>(kind, panels, tiles(), rows);
}

std::unique_ptr<LinearEngine> make_panel_engine(const LinearKind& kind) {
  return std::make_unique<PanelEngine>(kind);
}

}  // namespace deformer
