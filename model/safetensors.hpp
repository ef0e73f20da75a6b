#pragma once
/// Reader of the safetensors container over a memory-mapped file.
/// Format: 8-byte little-endian header length N, N bytes of JSON, then the tensors' bytes.
/// Everything the file claims (header length, offsets, overlaps, gaps, dtypes, shapes) is checked
/// before it is used; after `open` every view lies inside the mapping.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace deformer {

struct StoredTensor {
  std::string name;
  std::string dtype;                 ///< as written: "F32", "F16", "BF16", "I64", ...
  std::vector<std::int64_t> shape;   ///< empty for a scalar
  std::span<const std::byte> bytes;  ///< lies in the mapping; alignment is not promised

  std::int64_t elements() const;
};

class SafetensorsFile {
 public:
  /// @throws BadInput naming the file and what is wrong with it: missing, empty, a directory,
  /// truncated, header length beyond the file, malformed JSON, unknown dtype, shape that does not
  /// match its bytes, signed or out-of-range offsets, overlaps, gaps, bytes after the last tensor.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// nullptr when there is none of that name.
  const StoredTensor* find(std::string_view name) const;
  /// All bytes of the file, for hashing.
  std::span<const std::byte> bytes() const;

 private:
  struct Mapping;
  std::filesystem::path path_;
  std::shared_ptr<const Mapping> mapping_;
  std::vector<StoredTensor> tensors_;
};

/// "[2, 768]", for messages.
std::string shape_text(std::span<const std::int64_t> shape);

/// Widens F32, F16 or BF16 elements to f32. `out.size()` equals `tensor.elements()`.
/// @throws BadInput for any other dtype.
void widen(const StoredTensor& tensor, std::span<float> out);

/// Copies I32 elements (or I64 that fit). @throws BadInput for any other dtype or an overflow.
std::vector<std::int32_t> read_int32(const StoredTensor& tensor);

}  // namespace deformer
