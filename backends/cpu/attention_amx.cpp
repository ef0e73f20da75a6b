#include "backends/cpu/attention_amx.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>

#include "backends/cpu/attention_amx_tiles.hpp"
#include "backends/cpu/attention_amx_work.hpp"
#include "backends/cpu/pages.hpp"
#include "profilers/amx.hpp"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,prfchw,amx-tile,amx-bf16")

namespace deformer::attention {
namespace {

std::int64_t squares(std::int64_t count) {
  return divide_up(count, kSide);
}

struct Scratch {
  Scratch(std::int64_t tokens, std::int64_t d_head, std::byte* memory) {
    const auto take = [&](std::int64_t size) {
      std::byte* taken = memory + bytes;
      bytes += size;
      return taken;
    };
    const auto floats = [&](std::int64_t count) {
      return reinterpret_cast<float*>(take(count * static_cast<std::int64_t>(sizeof(float))));
    };
    const std::int64_t panels = squares(tokens);
    const std::int64_t chunks = squares(d_head);
    keys = take(panels * chunks * kOperandBytes);
    values = take(panels * chunks * kOperandBytes);
    for (int i = 0; i < 2; ++i) {
      queries[i] = take(chunks * kOperandBytes);
      scores[i] = floats(panels * kSquareFloats + kSide);
      probabilities[i] = take(panels * kOperandBytes);
    }
    for (float*& each : sums) {
      each = floats(kSide * kLanes);
    }
    context = floats(chunks * kSquareFloats);
    turned = floats(kSide * kLanes);
  }

  std::byte* keys;              ///< right operands [panels][chunks]
  std::byte* values;            ///< right operands [chunks][panels]
  std::byte* queries[2];        ///< left operands [chunks]; of blocks in turns
  float* scores[2];             ///< [panels][kSide][kSide], and a row that is looked at
  std::byte* probabilities[2];  ///< left operands [panels]
  float* sums[3];               ///< [kSide][kLanes]
  float* context;               ///< [kSide][chunks][kSide]
  float* turned;
  std::int64_t bytes = 0;
};

/// Walks blocks of queries. While tiles multiply scores of block b + 1 and then mix block b - 1,
/// vectors take the exponentials of block b, pack the queries of b + 2 and store the contexts of
/// b - 2.
class Walk {
 public:
  Walk(const HeadArgs& args, std::byte* scratch)
      : args_(args),
        scratch_(args.tokens, args.d_head, scratch),
        panels_(squares(args.tokens)),
        chunks_(squares(args.d_head)),
        blocks_(squares(args.count)),
        rows_(divide_up(args.count, blocks_)),
        upper_rows_((rows_ + 1) / 2) {}

  void run() {
    configure(rows_);
    score_first();
    const auto meanwhile = [this]() __attribute__((always_inline)) {
      softmax_.some();
      quotients_.some();
      queries_.some();
    };
    for (std::int64_t block = 0; block < blocks_; ++block) {
      enter_softmax(block);
      enter_queries(block + 2, kSlots * panels_ * chunks_);
      if (block + 1 < blocks_) {
        score(block + 1, meanwhile);
      }
      quotients_.rest();
      if (block > 0) {
        mix(block - 1, meanwhile);
      }
      softmax_.rest();
      queries_.rest();
    }
    quotients_.rest();
    mix(blocks_ - 1, meanwhile);
    quotients_.rest();
    _tile_release();
  }

 private:
  /// Blocks have as many rows each; the last ones overlap where there are too few.
  std::int64_t first_query(std::int64_t block) const {
    return args_.first_query + std::min(block * rows_, args_.count - rows_);
  }

  /// The first block's scores; each panel of keys is packed while the one before is multiplied.
  void score_first() {
    enter_queries(0, 1);
    queries_.rest();
    enter_keys(0);
    keys_.rest();
    enter_queries(1, kSlots * panels_ * chunks_);
    const auto meanwhile = [this]() __attribute__((always_inline)) {
      keys_.some();
      values_.some();
      queries_.some();
    };
    for (std::int64_t panel = 0; panel < panels_; ++panel) {
      enter_keys(panel + 1);
      enter_values(panel);
      score_panel(0, panel, meanwhile);
      keys_.rest();
      values_.rest();
    }
    queries_.rest();
  }

  void enter_queries(std::int64_t block, std::int64_t calls) {
    if (block < blocks_) {
      queries_.enter(
          {{args_.queries + first_query(block) * args_.stride, args_.stride, rows_, args_.d_head},
           scratch_.queries[block % 2]},
          rows_, calls);
    }
  }

  void enter_keys(std::int64_t panel) {
    if (panel < panels_) {
      const Rows keys{args_.queries + args_.apart, args_.stride, args_.tokens, args_.d_head};
      keys_.enter({keys.below(panel * kSide), scratch_.keys + panel * chunks_ * kOperandBytes,
                   scratch_.turned},
                  chunks_ * KeyPacking::kPieces, chunks_ * kSlots);
    }
  }

  void enter_values(std::int64_t panel) {
    const Rows values{args_.queries + 2 * args_.apart, args_.stride, args_.tokens, args_.d_head};
    values_.enter({values.below(panel * kSide), scratch_.values + panel * kOperandBytes,
                   panels_ * kOperandBytes},
                  chunks_ * ValuePacking::kPieces, chunks_ * kSlots);
  }

  void enter_softmax(std::int64_t block) {
    const std::int64_t products = (block > 0 ? 1 : 0) + (block + 1 < blocks_ ? 1 : 0);
    softmax_.enter({scratch_.scores[block % 2], panels_, args_.tokens - (panels_ - 1) * kSide,
                    scratch_.probabilities[block % 2], scratch_.sums[block % 3]},
                   rows_ * panels_, products * kSlots * panels_ * chunks_);
  }

  template <class Meanwhile>
  void score(std::int64_t block, const Meanwhile& meanwhile) {
    for (std::int64_t panel = 0; panel < panels_; ++panel) {
      score_panel(block, panel, meanwhile);
    }
  }

  template <class Meanwhile>
  [[gnu::always_inline]] inline void score_panel(std::int64_t block, std::int64_t panel,
                                                 const Meanwhile& meanwhile) {
    fetch(block * panels_ + panel);
    amx::finish_writes();
    zero_sums();
    for (std::int64_t chunk = 0; chunk < chunks_; ++chunk) {
      multiply(scratch_.queries[block % 2] + chunk * kOperandBytes, upper_rows_ * kTileRowBytes,
               scratch_.keys + (panel * chunks_ + chunk) * kOperandBytes, meanwhile);
    }
    store_sums(scratch_.scores[block % 2] + panel * kSquareFloats, kSide * 4, upper_rows_);
  }

  /// What falls to one of all panels of all blocks.
  void fetch(std::int64_t panel) const {
    const Fetch& rows = args_.fetch;
    const std::int64_t last = rows.count * (panel + 1) / (blocks_ * panels_);
    for (std::int64_t row = rows.count * panel / (blocks_ * panels_); row < last; ++row) {
      const float* at = rows.queries + row * rows.stride;
      for (std::int64_t i = 0; i < rows.d_head; i += kLanes) {
        __builtin_prefetch(at + i, 0, 2);
        __builtin_prefetch(at + rows.apart + i, 0, 2);
        __builtin_prefetch(at + 2 * rows.apart + i, 0, 2);
      }
    }
  }

  template <class Meanwhile>
  void mix(std::int64_t block, const Meanwhile& meanwhile) {
    amx::finish_writes();
    for (std::int64_t chunk = 0; chunk < chunks_; ++chunk) {
      zero_sums();
      for (std::int64_t panel = 0; panel < panels_; ++panel) {
        multiply(scratch_.probabilities[block % 2] + panel * kOperandBytes,
                 upper_rows_ * kTileRowBytes,
                 scratch_.values + (chunk * panels_ + panel) * kOperandBytes, meanwhile);
      }
      store_sums(scratch_.context + chunk * kSide, chunks_ * kSide * 4, upper_rows_);
    }
    quotients_.enter(
        {scratch_.context, chunks_ * kSide, scratch_.sums[block % 3], args_.d_head,
         args_.context + first_query(block) * args_.context_stride, args_.context_stride},
        rows_, kSlots * panels_ * chunks_);
  }

  const HeadArgs& args_;
  Scratch scratch_;
  std::int64_t panels_;
  std::int64_t chunks_;
  std::int64_t blocks_;
  std::int64_t rows_;  ///< of each block
  std::int64_t upper_rows_;
  Spread<QueryPacking> queries_;
  Spread<KeyPacking> keys_;
  Spread<ValuePacking> values_;
  Spread<Softmax> softmax_;
  Spread<Quotients> quotients_;
};

}  // namespace

std::int64_t amx_scratch_bytes(std::int64_t tokens, std::int64_t d_head) {
  return Scratch(tokens, d_head, nullptr).bytes;
}

void attend_by_amx(const HeadArgs& args, std::byte* scratch) {
  Walk(args, scratch).run();
}

}  // namespace deformer::attention

#pragma GCC pop_options

#else

namespace deformer::attention {

std::int64_t amx_scratch_bytes(std::int64_t, std::int64_t) {
  return 0;
}
void attend_by_amx(const HeadArgs&, std::byte*) {}

}  // namespace deformer::attention

#endif
