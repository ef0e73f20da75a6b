#pragma once
/// Rows in reduced precision as products read them: a slot of the arena, and how it is filled.

#include <cstddef>
#include <cstdint>

#include "backends/cpu/arena.hpp"
#include "backends/cpu/narrow_rows.hpp"
#include "backends/cpu/team.hpp"

namespace deformer {

class NarrowSource {
 public:
  /// `rows` x `columns` of bf16 or u8, alive from tick `first` to tick `last`.
  NarrowSource(DType dtype, std::int64_t rows, std::int64_t columns, ArenaPlan& plan,
               std::int64_t first, std::int64_t last);

  void bind(std::byte* base, const ArenaPlan& plan);
  std::byte* data() const { return data_; }
  const RowRange* ranges() const { return ranges_; }  ///< null for bf16
  std::int64_t row_bytes() const { return row_bytes_; }
  std::int64_t bytes() const;

  /// Fills `count` rows from `first` on, given that row and the bytes from each to the next.
  void fill_from_f32(std::int64_t first, std::int64_t count, const float* from,
                     std::int64_t from_row_bytes) const;
  void fill_from_bf16(std::int64_t first, std::int64_t count, const std::byte* from,
                      std::int64_t from_row_bytes) const;

  /// All rows, drawn by the workers of a team; the barrier that must follow is the caller's.
  void fill_from_f32(const float* from, std::int64_t from_row_bytes, const Worker& worker) const;
  void fill_from_bf16(const std::byte* from, std::int64_t from_row_bytes,
                      const Worker& worker) const;

 private:
  DType dtype_;
  std::int64_t rows_;
  std::int64_t columns_;
  std::int64_t row_bytes_;
  int slot_;
  int ranges_slot_ = -1;
  std::byte* data_ = nullptr;
  RowRange* ranges_ = nullptr;
};

}  // namespace deformer
