#include "backends/cpu/narrow_source.hpp"

#include <algorithm>

namespace deformer {
namespace {

/// Rows a thread draws at a time.
constexpr std::int64_t kPieceRows = 8;

constexpr auto kRangeBytes = static_cast<std::int64_t>(sizeof(RowRange));

template <typename Fill>
void fill_pieces(std::int64_t rows, const Worker& worker, const Fill& fill) {
  const std::int64_t pieces = (rows + kPieceRows - 1) / kPieceRows;
  for (std::int64_t piece; (piece = worker.next_near(pieces)) < pieces;) {
    const std::int64_t first = piece * kPieceRows;
    fill(first, std::min(kPieceRows, rows - first));
  }
}

}  // namespace

NarrowSource::NarrowSource(DType dtype, std::int64_t rows, std::int64_t columns, ArenaPlan& plan,
                           std::int64_t first, std::int64_t last)
    : dtype_(dtype),
      rows_(rows),
      columns_(columns),
      row_bytes_(narrow_row_bytes(columns, dtype == DType::bf16 ? 2 : 1)),
      slot_(plan.add(rows * row_bytes_, first, last)) {
  if (dtype == DType::int8) {
    ranges_slot_ = plan.add(rows * kRangeBytes, first, last);
  }
}

void NarrowSource::bind(std::byte* base, const ArenaPlan& plan) {
  data_ = base + plan.offset(slot_);
  if (ranges_slot_ >= 0) {
    ranges_ = reinterpret_cast<RowRange*>(base + plan.offset(ranges_slot_));
  }
}

std::int64_t NarrowSource::bytes() const {
  return rows_ * (row_bytes_ + (dtype_ == DType::int8 ? kRangeBytes : 0));
}

void NarrowSource::fill_from_f32(std::int64_t first, std::int64_t count, const float* from,
                                 std::int64_t from_row_bytes) const {
  const kernels::WideRows rows{reinterpret_cast<const std::byte*>(from), from_row_bytes, count,
                               columns_};
  std::byte* out = data_ + first * row_bytes_;
  dtype_ == DType::bf16 ? kernels::to_bf16(rows, out, row_bytes_)
                        : kernels::f32_to_u8(rows, out, row_bytes_, ranges_ + first);
}

void NarrowSource::fill_from_bf16(std::int64_t first, std::int64_t count, const std::byte* from,
                                  std::int64_t from_row_bytes) const {
  kernels::bf16_to_u8({from, from_row_bytes, count, columns_}, data_ + first * row_bytes_,
                      row_bytes_, ranges_ + first);
}

void NarrowSource::fill_from_f32(const float* from, std::int64_t from_row_bytes,
                                 const Worker& worker) const {
  const auto* bytes = reinterpret_cast<const std::byte*>(from);
  fill_pieces(rows_, worker, [&](std::int64_t first, std::int64_t count) {
    fill_from_f32(first, count, reinterpret_cast<const float*>(bytes + first * from_row_bytes),
                  from_row_bytes);
  });
}

void NarrowSource::fill_from_bf16(const std::byte* from, std::int64_t from_row_bytes,
                                  const Worker& worker) const {
  fill_pieces(rows_, worker, [&](std::int64_t first, std::int64_t count) {
    fill_from_bf16(first, count, from + first * from_row_bytes, from_row_bytes);
  });
}

}  // namespace deformer
