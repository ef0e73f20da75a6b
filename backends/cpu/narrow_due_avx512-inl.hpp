#pragma once
/// NarrowArgs::due between the multiplications of narrow_amx.cpp, `step` by `step`. Part of the
/// loop and not called from it: with a call for each step 2560 x 768 x 3072, bf16, added to,
/// took 4.4 ms instead of 3.9, 2560 x 3072 x 768 with GELU 3.8 instead of 3.3 (both cores of a
/// Sapphire Rapids; factors drawn at random: with zeros all is faster and calls cost less).

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "backends/cpu/narrow_results.hpp"
#include "backends/cpu/narrow_widen_avx512-inl.hpp"

namespace deformer::narrow::due {

struct Nothing {
  Nothing(const NarrowResults*, std::int64_t) {}
  [[gnu::always_inline]] inline void step() {}
};

/// Rows of results, so many a step that `steps` are enough. Put::row(row, out) writes one. Two at
/// once, for one's chain of multiply-adds leaves the processor waiting (320 x 3072 x 768 in 8 bits
/// with GELU 0.29 ms, one by one 0.33).
template <class Put>
class Rows {
 public:
  [[gnu::always_inline]] inline Rows(const NarrowResults* results, std::int64_t steps)
      : put_(*results),
        out_(results->out),
        row_bytes_(results->out_row_bytes),
        rows_(results->sums.rows),
        a_step_((rows_ + steps - 1) / steps) {}

  [[gnu::always_inline]] inline void step() {
    const std::int64_t end = std::min(rows_, row_ + a_step_);
    for (; row_ + 2 <= end; row_ += 2) {
      put_.row(row_, out_);
      put_.row(row_ + 1, out_ + row_bytes_);
      out_ += 2 * row_bytes_;
    }
    if (row_ < end) {
      put_.row(row_++, out_);
      out_ += row_bytes_;
    }
  }

 private:
  Put put_;
  std::byte* out_;
  std::int64_t row_bytes_;
  std::int64_t rows_;
  std::int64_t a_step_;
  std::int64_t row_ = 0;
};

template <class Sums, NarrowActivation kActivation>
struct Bf16 {
  Sums sums;
  [[gnu::always_inline]] inline explicit Bf16(const NarrowResults& results) : sums(results.sums) {}
  [[gnu::always_inline]] inline void row(std::int64_t row, std::byte* out) const {
    avx512::put_bf16<kActivation>(sums, row, out);
  }
};

/// All columns of a panel.
template <class Sums>
struct Added {
  Sums sums;
  [[gnu::always_inline]] inline explicit Added(const NarrowResults& results) : sums(results.sums) {}
  [[gnu::always_inline]] inline void row(std::int64_t row, std::byte* out) const {
    avx512::add_row(sums, row, reinterpret_cast<float*>(out));
  }
};

/// Whatever else there is, a call for the rows of a step.
class Other {
 public:
  Other(const NarrowResults* results, std::int64_t steps)
      : results_(*results), a_step_((results->sums.rows + steps - 1) / steps) {}

  void step() {
    const std::int64_t count = std::min(a_step_, results_.sums.rows - row_);
    kernels::write(results_, row_, count);
    row_ += count;
  }

 private:
  const NarrowResults& results_;
  std::int64_t a_step_;
  std::int64_t row_ = 0;
};

/// Calls `run` with the type that does `results`.
template <class Sums, class Run>
void choose(const NarrowResults* results, const Run& run) {
  using enum NarrowActivation;
  if (results == nullptr) {
    return run(std::type_identity<Nothing>());
  }
  const bool vectors = use_bf16_vectors();
  if (vectors && results->as == NarrowResults::As::bf16) {
    switch (results->activation) {
      case none:
        return run(std::type_identity<Rows<Bf16<Sums, none>>>());
      case gelu_erf:
        return run(std::type_identity<Rows<Bf16<Sums, gelu_erf>>>());
      case gelu_tanh:
        return run(std::type_identity<Rows<Bf16<Sums, gelu_tanh>>>());
    }
  }
  if (vectors && results->as == NarrowResults::As::added &&
      results->sums.columns == kNarrowColumns) {
    return run(std::type_identity<Rows<Added<Sums>>>());
  }
  return run(std::type_identity<Other>());
}

}  // namespace deformer::narrow::due
