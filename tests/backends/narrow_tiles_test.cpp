/// The multiply-adds of narrow numbers, every set that this processor has. A set that it lacks is
/// named on the output: it was not tested.

#include "backends/cpu/narrow_tiles.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/narrow_results.hpp"
#include "cache/codec_rows.hpp"
#include "tests/backends/bf16_numbers.hpp"
#include "tests/backends/targets.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kSums = kNarrowRows * kNarrowColumns;
/// One more line than the rows need, as the drivers have it.
constexpr std::int64_t kMoreBytes = 64;

std::vector<const NarrowTiles*> sets(DType dtype) {
  std::vector<const NarrowTiles*> found;
  for (const NarrowTiles& set : narrow_tiles(dtype)) {
    found.push_back(&set);
  }
  return found;
}

std::string isa_of(const testing::TestParamInfo<const NarrowTiles*>& tested) {
  return tested.param->isa;
}

/// A block: its factors as numbers, the operands as the sets read them, and what sums held before.
template <typename Number>
struct Block {
  std::int64_t rows, groups, inner;
  std::vector<Number> a;  ///< [rows][inner]
  std::vector<Number> b;  ///< [inner][kNarrowColumns]
  bool add = false;
};

std::int64_t sum_before(std::int64_t index) {
  return index * 7919 % 200'001 - 100'000;
}

/// `left` and `right` give the element (row or column, k).
template <typename Number, typename Left, typename Right>
Block<Number> make_block(std::int64_t rows, std::int64_t groups, std::int64_t per_group,
                         const Left& left, const Right& right) {
  Block<Number> block{rows, groups, groups * per_group, {}, {}};
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t k = 0; k < block.inner; ++k) {
      block.a.push_back(static_cast<Number>(left(row, k)));
    }
  }
  for (std::int64_t k = 0; k < block.inner; ++k) {
    for (std::int64_t column = 0; column < kNarrowColumns; ++column) {
      block.b.push_back(static_cast<Number>(right(column, k)));
    }
  }
  return block;
}

void encode(int value, std::byte* to) {  // u8 and s8 alike
  *to = static_cast<std::byte>(value & 255);
}
void encode(float value, std::byte* to) {
  codec::encode_bf16(&value, 1, to);
}

template <typename Number>
constexpr std::int64_t kPerGroup = std::is_same_v<Number, int> ? 4 : 2;

/// The sums that a set makes of a block, [rows][kNarrowColumns]; Sum is float or int32. Checks
/// besides that nothing beyond the block's rows was written.
template <typename Sum, typename Number>
std::vector<Sum> sums_of(const NarrowTiles& set, const Block<Number>& block, bool extras) {
  constexpr std::int64_t per = kPerGroup<Number>;
  constexpr std::int64_t bytes = kGroupBytes / per;
  const std::int64_t a_row = block.groups * kGroupBytes + kMoreBytes;
  const AlignedBuffer a(block.rows * a_row);
  const AlignedBuffer b(block.groups * kNarrowColumns * kGroupBytes);
  const AlignedBuffer sums(kSums * 4);
  for (std::int64_t row = 0; row < block.rows; ++row) {
    for (std::int64_t k = 0; k < block.inner; ++k) {
      encode(block.a[static_cast<std::size_t>(row * block.inner + k)],
             a.data() + row * a_row + k * bytes);
    }
    std::fill_n(a.data() + row * a_row + block.groups * kGroupBytes, kMoreBytes, std::byte{0x55});
  }
  for (std::int64_t k = 0; k < block.inner; ++k) {
    for (std::int64_t column = 0; column < kNarrowColumns; ++column) {
      encode(block.b[static_cast<std::size_t>(k * kNarrowColumns + column)],
             b.data() + (k / per * kNarrowColumns + column) * kGroupBytes + k % per * bytes);
    }
  }
  auto* values = reinterpret_cast<Sum*>(sums.data());
  for (std::int64_t i = 0; i < kSums; ++i) {
    values[i] = static_cast<Sum>(sum_before(i));
  }
  NarrowArgs args;
  args.a = a.data();
  args.a_row_bytes = a_row;
  args.b = b.data();
  args.groups = block.groups;
  args.rows = block.rows;
  args.sums = values;
  args.add = block.add;
  if (extras) {
    args.prefetch = b.data();
    args.prefetch_lines = 5;
    args.prefetch_stride = set.fetches_in_order ? 64 : 192;
    args.prefetch_step = set.fetches_in_order ? 512 : 64;
  }
  set.begin();
  set.multiply(args);
  set.end();
  for (std::int64_t i = block.rows * kNarrowColumns; i < kSums; ++i) {
    EXPECT_EQ(values[i], static_cast<Sum>(sum_before(i))) << "beyond the last row, at " << i;
  }
  return {values, values + block.rows * kNarrowColumns};
}

// --- what is fetched meanwhile

/// Lines of memory that `args` asks for, in the order in which steps and their lines come.
std::vector<std::int64_t> fetched_lines(const NarrowArgs& args) {
  std::vector<std::int64_t> lines;
  for (std::int64_t step = 0; step < args.steps(); ++step) {
    for (std::int64_t line = 0; line < args.fetched_lines(); ++line) {
      lines.push_back((args.fetched(step, line) - args.prefetch) / 64);
    }
  }
  return lines;
}

TEST(NarrowFetches, ReachEachLineOfAPanelOnceWhicheverTheirOrder) {
  const std::vector<std::byte> panel(3 * kLineGroups * kPanelRowBytes);
  std::vector<std::int64_t> all(panel.size() / 64);
  std::iota(all.begin(), all.end(), 0);
  NarrowArgs args;
  args.groups = 3 * kLineGroups;
  args.prefetch = panel.data();
  args.prefetch_lines = 4;
  args.prefetch_stride = 3 * 4 * 64;
  std::vector<std::int64_t> streams = fetched_lines(args);
  EXPECT_EQ(streams[1], 12) << "the second of a step is another stream's";
  std::ranges::sort(streams);
  EXPECT_EQ(streams, all);

  args.prefetch_stride = 64;
  args.prefetch_step = NarrowArgs::kPrefetchStreams * 64;
  EXPECT_EQ(fetched_lines(args), all) << "in the order in which they lie";
  for (const std::int64_t pieces : {1, 2, 3, 7, 32}) {
    std::int64_t reached = 0;
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      const FetchedRun run = args.fetched_run(piece, pieces);
      EXPECT_EQ(run.first, reached);
      reached = run.last;
    }
    EXPECT_EQ(reached, std::ssize(all)) << pieces << " pieces";
  }
  args.prefetch = nullptr;
  EXPECT_EQ(args.fetched_run(0, 1).last, 0);
}

// --- integers

class IntegerTiles : public testing::TestWithParam<const NarrowTiles*> {
 protected:
  /// What the set gives is what 64-bit integers give, to the last bit.
  static void expect_exact(Block<int> block) {
    const NarrowTiles& set = *GetParam();
    for (const bool add : {false, true}) {
      block.add = add;
      for (const bool extras : {false, true}) {
        const auto found = sums_of<std::int32_t>(set, block, extras);
        for (std::int64_t i = 0; i < block.rows * kNarrowColumns; ++i) {
          const std::int64_t row = i / kNarrowColumns;
          const std::int64_t column = i % kNarrowColumns;
          std::int64_t sum = add ? sum_before(i) : 0;
          for (std::int64_t k = 0; k < block.inner; ++k) {
            sum += static_cast<std::int64_t>(
                       block.a[static_cast<std::size_t>(row * block.inner + k)]) *
                   block.b[static_cast<std::size_t>(k * kNarrowColumns + column)];
          }
          ASSERT_EQ(found[static_cast<std::size_t>(i)], sum)
              << set.isa << ": " << block.rows << " rows, " << block.groups << " groups, add "
              << add << ", row " << row << ", column " << column;
        }
      }
    }
  }

  /// All left operands and all right ones the same.
  static void expect_exact_constants(int left, int right) {
    for (const std::int64_t groups : {16, 32, 208, 512}) {
      for (const std::int64_t rows : {1, 17, 32}) {
        expect_exact(make_block<int>(
            rows, groups, 4, [&](auto, auto) { return left; }, [&](auto, auto) { return right; }));
      }
    }
  }
};

// Where two products are added in 16 bits, 2 x 255 x 127 would saturate.
TEST_P(IntegerTiles, TheLargestOperandsAreExact) {
  const int most = GetParam()->most_weight;
  expect_exact_constants(255, most);
  expect_exact_constants(255, -most);
  expect_exact_constants(128, most);
  expect_exact_constants(0, -most);
  expect_exact_constants(255, 0);
  if (most == 127) {  // the layout allows one more, though no scale makes it
    expect_exact_constants(255, -128);
  }
}

// AVX2's pairs of products must not saturate where their signs differ either.
TEST_P(IntegerTiles, TheLargestOperandsOfEitherSignAreExact) {
  const int most = GetParam()->most_weight;
  expect_exact(make_block<int>(
      32, 64, 4, [](auto row, auto k) { return (row + k) % 3 == 0 ? 0 : 255; },
      [&](auto column, auto k) { return (column + k / 2) % 2 == 0 ? most : -most; }));
}

TEST_P(IntegerTiles, RandomOperandsOfEveryNumberOfRowsAreExact) {
  std::mt19937 engine(5);
  const int most = GetParam()->most_weight;
  std::uniform_int_distribution<int> left(0, 255);
  std::uniform_int_distribution<int> right(-most, most);
  for (std::int64_t rows = 1; rows <= kNarrowRows; ++rows) {
    for (const std::int64_t groups : {16, 48, 192}) {
      expect_exact(make_block<int>(
          rows, groups, 4, [&](auto, auto) { return left(engine); },
          [&](auto, auto) { return right(engine); }));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, IntegerTiles, testing::ValuesIn(sets(DType::int8)), isa_of);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(IntegerTiles);

// --- bf16

class Bf16Tiles : public testing::TestWithParam<const NarrowTiles*> {};

// Products of bf16 are exact in f32; so only the additions round, each by half an ulp of a sum that
// is no larger than the sum of magnitudes.
TEST_P(Bf16Tiles, SumsAreThoseOfFloat64UpToTheRoundingOfAdditions) {
  std::mt19937 engine(5);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  const auto draw = [&](auto, auto) { return to_nearest_bf16(normal(engine)); };
  for (std::int64_t rows = 1; rows <= kNarrowRows; ++rows) {
    for (const std::int64_t groups : {16, 48, 512}) {
      auto block = make_block<float>(rows, groups, 2, draw, draw);
      for (const bool add : {false, true}) {
        block.add = add;
        const auto found = sums_of<float>(*GetParam(), block, groups == 48);
        for (std::int64_t i = 0; i < rows * kNarrowColumns; ++i) {
          double sum = add ? static_cast<double>(sum_before(i)) : 0.0;
          double magnitude = std::abs(sum);
          for (std::int64_t k = 0; k < block.inner; ++k) {
            const double product =
                static_cast<double>(
                    block.a[static_cast<std::size_t>(i / kNarrowColumns * block.inner + k)]) *
                block.b[static_cast<std::size_t>(k * kNarrowColumns + i % kNarrowColumns)];
            sum += product;
            magnitude += std::abs(product);
          }
          const double bound = static_cast<double>(block.inner + 1) * 0x1p-24 * magnitude;
          ASSERT_NEAR(found[static_cast<std::size_t>(i)], sum, bound)
              << GetParam()->isa << ": " << rows << " rows, " << groups << " groups, at " << i;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, Bf16Tiles, testing::ValuesIn(sets(DType::bf16)), isa_of);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Bf16Tiles);

// --- all of them

/// Results of sums that lie where a block's own are going to.
struct Due {
  explicit Due(const NarrowTiles& of)
      : set(of),
        a(kNarrowRows * kDueGroups * kGroupBytes),
        b(kDueGroups * kPanelRowBytes),
        sums(kSums * 4),
        numbers(3 * kNarrowColumns * 4),
        out(kOutBytes) {
    std::mt19937 engine(7);
    std::uniform_int_distribution<int> byte(0, 63);
    for (const AlignedBuffer* operand : {&a, &b}) {
      std::generate_n(operand->data(), operand->bytes(),
                      [&] { return static_cast<std::byte>(byte(engine)); });
    }
    std::uniform_real_distribution<float> number(-3.0F, 3.0F);
    std::generate_n(numbers.floats(), 3 * kNarrowColumns, [&] { return number(engine); });
    for (RowRange& range : ranges) {
      range = {number(engine), number(engine)};
    }
  }

  /// What a block of `rows` of another product finds to be done.
  NarrowResults results(std::int64_t rows, NarrowResults::As as, NarrowActivation activation,
                        std::int64_t columns) {
    for (std::int64_t i = 0; i < kSums; ++i) {
      if (set.dtype == DType::int8) {
        reinterpret_cast<std::int32_t*>(sums.data())[i] = static_cast<std::int32_t>(i % 19 - 9);
      } else {
        sums.floats()[i] = static_cast<float>(i % 19 - 9) * 0.3F;
      }
    }
    std::fill_n(out.data(), kOutBytes, std::byte{0x3C});
    NarrowResults due;
    due.sums.sums = sums.data();
    due.sums.rows = rows;
    due.sums.columns = columns;
    due.sums.bias = numbers.floats();
    if (set.dtype == DType::int8) {
      due.sums.column_scale = numbers.floats() + kNarrowColumns;
      due.sums.column_sum = numbers.floats() + 2 * kNarrowColumns;
      due.sums.ranges = ranges;
    }
    due.as = as;
    due.activation = activation;
    due.out = out.data() + 64;
    due.out_row_bytes = kOutRowBytes;
    return due;
  }

  std::vector<std::byte> written() const { return {out.data(), out.data() + kOutBytes}; }
  std::vector<std::byte> summed() const { return {sums.data(), sums.data() + kSums * 4}; }

  void multiply(std::int64_t rows, std::int64_t groups, const NarrowResults* due) {
    NarrowArgs args;
    args.a = a.data();
    args.a_row_bytes = kDueGroups * kGroupBytes;
    args.b = b.data();
    args.groups = groups;
    args.rows = rows;
    args.sums = sums.data();
    args.due = due;
    set.begin();
    set.multiply(args);
    set.end();
  }

  static constexpr std::int64_t kDueGroups = 24 * kLineGroups;
  static constexpr std::int64_t kOutRowBytes = kPanelRowBytes + 64;
  static constexpr std::int64_t kOutBytes = (kNarrowRows + 1) * kOutRowBytes + 64;

  const NarrowTiles& set;
  AlignedBuffer a, b, sums, numbers, out;
  RowRange ranges[kNarrowRows];
};

/// Each is written as if nothing else went on, whatever block is multiplied meanwhile.
void expect_due_results_are_written(const NarrowTiles& set, NarrowResults::As as,
                                    NarrowActivation activation,
                                    std::int64_t columns = kNarrowColumns) {
  Due due(set);
  for (const std::int64_t rows : {1, 17, 32}) {
    for (const std::int64_t groups : {1, 2, 24}) {
      for (const std::int64_t of_block : {7, 32}) {
        kernels::write(due.results(rows, as, activation, columns), 0, rows);
        const auto alone = due.written();
        due.multiply(of_block, groups * kLineGroups, nullptr);
        const auto sums = due.summed();
        const NarrowResults results = due.results(rows, as, activation, columns);
        due.multiply(of_block, groups * kLineGroups, &results);
        const auto same = of_block * kPanelRowBytes;
        ASSERT_EQ(due.written(), alone) << set.isa << ": " << rows << " rows, " << groups;
        ASSERT_TRUE(std::equal(sums.begin(), sums.begin() + same, due.summed().begin()))
            << set.isa << ": " << rows << " rows, " << groups << " lines of groups";
      }
    }
  }
}

TEST(NarrowTiles, ResultsThatAreDueAreWrittenBeforeSumsTakeTheirPlace) {
  using As = NarrowResults::As;
  on_every_narrow_target([] {
    for (const DType dtype : {DType::bf16, DType::int8}) {
      for (const NarrowTiles& set : narrow_tiles(dtype)) {
        for (const auto activation :
             {NarrowActivation::none, NarrowActivation::gelu_erf, NarrowActivation::gelu_tanh}) {
          expect_due_results_are_written(set, As::bf16, activation);
        }
        expect_due_results_are_written(set, As::f32, NarrowActivation::none);
        expect_due_results_are_written(set, As::added, NarrowActivation::none);
        expect_due_results_are_written(set, As::f32, NarrowActivation::none, 16);
        expect_due_results_are_written(set, As::added, NarrowActivation::none, 16);
      }
    }
  });
}

TEST(NarrowTiles, WhatThisProcessorLacksIsSaid) {
  std::vector<std::string> known{"amx_bf16",    "avx512_bf16", "amx_int8",
                                 "avx512_vnni", "avx_vnni",    "avx2"};
  for (const DType dtype : {DType::bf16, DType::int8}) {
    for (const NarrowTiles& set : narrow_tiles(dtype)) {
      EXPECT_EQ(set.dtype, dtype);
      EXPECT_EQ(std::erase(known, set.isa), 1U) << set.isa;
      EXPECT_EQ(set.most_weight == 0, dtype == DType::bf16);
    }
  }
  for (const std::string& missing : known) {
    std::printf("SKIPPED: this processor has no %s\n", missing.c_str());
  }
}

TEST(NarrowTiles, OtherDTypesHaveNone) {
  for (const DType dtype : {DType::f32, DType::f16, DType::fp8, DType::bit1}) {
    EXPECT_TRUE(narrow_tiles(dtype).empty());
    EXPECT_THAT(why_no_narrow_tiles(dtype), testing::HasSubstr(std::string(to_string(dtype))));
  }
  EXPECT_THAT(why_no_narrow_tiles(DType::bf16),
              testing::AllOf(testing::HasSubstr("AMX-BF16"), testing::HasSubstr("AVX512_BF16")));
  EXPECT_THAT(why_no_narrow_tiles(DType::int8),
              testing::AllOf(testing::HasSubstr("AMX-INT8"), testing::HasSubstr("AVX2")));
}

TEST(NarrowTiles, RowsAreWholePanelsAnOddNumberOfLinesApart) {
  for (const std::int64_t element_bytes : {1, 2}) {
    for (std::int64_t columns = 1; columns < 4100; columns += columns < 200 ? 1 : 37) {
      const std::int64_t bytes = narrow_row_bytes(columns, element_bytes);
      const std::int64_t panels = (columns + kNarrowColumns - 1) / kNarrowColumns;
      EXPECT_GE(bytes, panels * kNarrowColumns * element_bytes);
      EXPECT_GE(bytes, (columns * element_bytes + 63) / 64 * 64) << "what a product reads";
      EXPECT_EQ(bytes % 128, 64) << columns;
      EXPECT_LE(bytes, columns * element_bytes + 192);
    }
  }
}

// Tiles are a thread's own: one that begins, multiplies and ends disturbs no other.
TEST(NarrowTiles, ThreadsWithBlocksOfDifferentShapesDoNotDisturbEachOther) {
  for (const NarrowTiles& set : narrow_tiles(DType::int8)) {
    std::vector<std::thread> threads;
    constexpr int kThreads = 4;
    threads.reserve(kThreads);
    std::atomic<int> wrong{0};
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < 200; ++i) {
          const std::int64_t rows = 1 + (thread * 9 + i) % kNarrowRows;
          const auto block = make_block<int>(
              rows, 16, 4, [&](auto row, auto) { return static_cast<int>(row) + thread; },
              [&](auto column, auto) { return static_cast<int>(column); });
          const auto found = sums_of<std::int32_t>(set, block, false);
          for (std::int64_t at = 0; at < rows * kNarrowColumns; ++at) {
            wrong += found[static_cast<std::size_t>(at)] !=
                     64 * (at / kNarrowColumns + thread) * (at % kNarrowColumns);
          }
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_EQ(wrong, 0) << set.isa;
  }
}

}  // namespace
}  // namespace deformer
