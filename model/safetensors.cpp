#include "model/safetensors.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "model/error.hpp"
#include "model/json_input.hpp"

namespace deformer {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

constexpr std::size_t kPrefixBytes = 8;
/// The format's own limit on its header, which keeps a hostile length from costing memory.
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

struct DtypeBits {
  std::string_view name;
  std::int64_t bits;
};
constexpr std::array kDtypes = {
    DtypeBits{"F4", 4},      DtypeBits{"F6_E2M3", 6}, DtypeBits{"F6_E3M2", 6},
    DtypeBits{"BOOL", 8},    DtypeBits{"U8", 8},      DtypeBits{"I8", 8},
    DtypeBits{"F8_E5M2", 8}, DtypeBits{"F8_E4M3", 8}, DtypeBits{"F8_E8M0", 8},
    DtypeBits{"I16", 16},    DtypeBits{"U16", 16},    DtypeBits{"F16", 16},
    DtypeBits{"BF16", 16},   DtypeBits{"I32", 32},    DtypeBits{"U32", 32},
    DtypeBits{"F32", 32},    DtypeBits{"I64", 64},    DtypeBits{"U64", 64},
    DtypeBits{"F64", 64},    DtypeBits{"C64", 64},
};

/// One tensor's entry of the header, checked as it is taken.
class Entry {
 public:
  Entry(const std::string& file, const std::string& name, const json& value)
      : where_(fmt::format("{}: tensor {}", file, in_quotes(name))), value_(value) {
    if (!value_.is_object()) fail("expected an object, found " + describe(value_));
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw BadInput(fmt::format("{}: {}", where_, what));
  }

  const DtypeBits& dtype() const {
    const json& field = member("dtype");
    if (field.is_string()) {
      const auto found = std::ranges::find(
          kDtypes, std::string_view(field.get_ref<const std::string&>()), &DtypeBits::name);
      if (found != kDtypes.end()) return *found;
    }
    fail("unknown dtype " + describe(field) +
         "; expected one of safetensors' (F32, F16, BF16, ...)");
  }

  std::vector<std::int64_t> shape() const {
    const json& field = member("shape");
    if (!field.is_array()) fail("shape: expected an array, found " + describe(field));
    std::vector<std::int64_t> extents;
    extents.reserve(field.size());
    for (const json& extent : field) extents.push_back(natural(extent, "shape"));
    return extents;
  }

  /// [begin, end) relative to the end of the header; begin <= end <= data_bytes.
  std::pair<std::int64_t, std::int64_t> offsets(std::int64_t data_bytes) const {
    const json& field = member("data_offsets");
    if (!field.is_array() || field.size() != 2) {
      fail("data_offsets: expected [begin, end], found " + describe(field));
    }
    const std::int64_t begin = natural(field[0], "data_offsets");
    const std::int64_t end = natural(field[1], "data_offsets");
    if (begin > end || end > data_bytes) {
      fail(
          fmt::format("data_offsets: expected begin <= end <= {} (the bytes behind the header), "
                      "found [{}, {}]; the file may be truncated",
                      data_bytes, begin, end));
    }
    return {begin, end};
  }

  /// Bytes that dtype and shape ask for.
  std::int64_t bytes_of(const DtypeBits& dtype, const std::vector<std::int64_t>& shape) const {
    std::int64_t bits = dtype.bits;
    for (const std::int64_t extent : shape) {
      if (__builtin_mul_overflow(bits, extent, &bits)) fail("shape: the number of bits overflows");
    }
    if (bits % 8 != 0) fail(fmt::format("shape: {} bits are not whole bytes", bits));
    return bits / 8;
  }

 private:
  const json& member(const char* key) const {
    const auto found = value_.find(key);
    if (found == value_.end()) fail(fmt::format("expected a field \"{}\", found none", key));
    return *found;
  }

  std::int64_t natural(const json& number, const char* field) const {
    // The parser calls a number unsigned only when it is written without sign, point or exponent.
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (!number.is_number_unsigned() || number.get<std::uint64_t>() > kMax) {
      fail(fmt::format("{}: expected unsigned integers below 2^63, found {}", field,
                       describe(number)));
    }
    return number.get<std::int64_t>();
  }

  std::string where_;
  const json& value_;
};

void check_metadata(const std::string& file, const json& metadata) {
  const bool ok = metadata.is_object() &&
                  std::ranges::all_of(metadata, [](const json& v) { return v.is_string(); });
  if (!ok) throw BadInput(file + ": __metadata__: expected an object of strings");
}

/// The tensors must tile the data: no overlap, no gap, nothing behind the last. What is not
/// described cannot be checked, and is where one file can hide another.
void check_tiling(const std::string& file, const std::vector<StoredTensor>& tensors,
                  std::span<const std::byte> data) {
  std::vector<const StoredTensor*> by_offset;
  by_offset.reserve(tensors.size());
  for (const StoredTensor& tensor : tensors) by_offset.push_back(&tensor);
  std::ranges::sort(by_offset, {}, [](const StoredTensor* tensor) {
    return std::pair(tensor->bytes.data(), tensor->bytes.size());
  });
  const std::byte* cursor = data.data();
  for (const StoredTensor* tensor : by_offset) {
    const std::ptrdiff_t apart = tensor->bytes.data() - cursor;
    if (apart != 0) {
      throw BadInput(fmt::format(
          "{}: tensor {}: data_offsets: expected to begin at {}, where the tensor before it ends, "
          "found {} ({})",
          file, in_quotes(tensor->name), cursor - data.data(), tensor->bytes.data() - data.data(),
          apart < 0 ? "overlap" : "gap"));
    }
    cursor += tensor->bytes.size();
  }
  const std::ptrdiff_t rest = data.data() + data.size() - cursor;
  if (rest != 0) {
    throw BadInput(fmt::format("{}: {} bytes after the last tensor; expected none", file, rest));
  }
}

/// Length of the JSON header, checked against the file.
std::size_t header_length(const std::string& file, std::span<const std::byte> bytes) {
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kPrefixBytes);
  const std::uint64_t rest = bytes.size() - kPrefixBytes;
  if (length > rest || length > kMaxHeaderBytes || length < 2) {
    throw BadInput(
        fmt::format("{}: header length: expected 2..{}, found {}; the file is truncated "
                    "or not a safetensors file",
                    file, std::min(rest, kMaxHeaderBytes), length));
  }
  return static_cast<std::size_t>(length);
}

std::vector<StoredTensor> read_header(const std::string& file, std::span<const std::byte> bytes) {
  const std::size_t length = header_length(file, bytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kPrefixBytes, length);
  if (text.front() != '{') {
    throw BadInput(file + ": header: expected JSON starting with '{'; not a safetensors file");
  }
  const json header = parse_json_object(text, file + ": header");
  const auto data = bytes.subspan(kPrefixBytes + length);
  std::vector<StoredTensor> tensors;
  tensors.reserve(header.size());
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(file, value);
      continue;
    }
    const Entry entry(file, name, value);
    const DtypeBits& dtype = entry.dtype();
    std::vector<std::int64_t> shape = entry.shape();
    const auto [begin, end] = entry.offsets(static_cast<std::int64_t>(data.size()));
    const std::int64_t expected = entry.bytes_of(dtype, shape);
    if (end - begin != expected) {
      entry.fail(fmt::format("expected {} bytes for {} {}, found {} (data_offsets [{}, {}])",
                             expected, dtype.name, shape_text(shape), end - begin, begin, end));
    }
    tensors.push_back(
        {name, std::string(dtype.name), std::move(shape),
         data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin))});
  }
  check_tiling(file, tensors, data);
  return tensors;
}

/// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void fail_with_errno(const std::string& file, std::string_view doing) {
  throw BadInput(
      fmt::format("{}: cannot {}: {}", file, doing, std::generic_category().message(errno)));
}

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16U;
  const std::uint32_t exponent = (half >> 10U) & 0x1FU;
  const std::uint32_t mantissa = half & 0x3FFU;
  if (exponent == 0) {  // zero or subnormal: mantissa x 2^-24, exact in f32
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t widened = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | widened << 23U | mantissa << 13U);
}

float bfloat_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

template <class Stored, class Out, class Convert>
void convert_elements(std::span<const std::byte> bytes, std::span<Out> out, Convert convert) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(stored);
  }
}

}  // namespace

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::int64_t StoredTensor::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product;
}

struct SafetensorsFile::Mapping {
  std::span<const std::byte> bytes;

  Mapping(const std::string& file, int fd, std::size_t size) {
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) fail_with_errno(file, "map");
    bytes = {static_cast<const std::byte*>(address), size};
  }
  ~Mapping() { ::munmap(const_cast<std::byte*>(bytes.data()), bytes.size()); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
};

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  const std::string file = path.string();
  // Non-blocking, so that a named pipe in the place of the file is refused rather than waited for.
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) fail_with_errno(file, "open");
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail_with_errno(file, "examine");
  if (!S_ISREG(status.st_mode)) {
    throw BadInput(fmt::format("{}: expected a safetensors file, found {}", file,
                               S_ISDIR(status.st_mode) ? "a directory" : "a special file"));
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < kPrefixBytes + 2) {
    throw BadInput(fmt::format("{}: expected a safetensors file, found {} bytes", file, size));
  }
  SafetensorsFile result;
  result.path_ = path;
  result.mapping_ = std::make_shared<const Mapping>(file, fd.get(), size);
  result.tensors_ = read_header(file, result.mapping_->bytes);
  return result;
}

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  // The header's entries come out of the parser sorted by name.
  const auto found = std::ranges::lower_bound(tensors_, name, {}, &StoredTensor::name);
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

std::span<const std::byte> SafetensorsFile::bytes() const {
  return mapping_->bytes;
}

void widen(const StoredTensor& tensor, std::span<float> out) {
  if (static_cast<std::int64_t>(out.size()) != tensor.elements()) {
    throw std::invalid_argument(fmt::format("tensor {}: room for {} elements, it has {}",
                                            in_quotes(tensor.name), out.size(), tensor.elements()));
  }
  if (tensor.dtype == "F32") {
    convert_elements<float>(tensor.bytes, out, [](float value) { return value; });
  } else if (tensor.dtype == "F16") {
    convert_elements<std::uint16_t>(tensor.bytes, out, half_to_float);
  } else if (tensor.dtype == "BF16") {
    convert_elements<std::uint16_t>(tensor.bytes, out, bfloat_to_float);
  } else {
    throw BadInput(fmt::format("tensor {}: expected dtype F32, F16 or BF16, found {}",
                               in_quotes(tensor.name), tensor.dtype));
  }
}

std::vector<std::int32_t> read_int32(const StoredTensor& tensor) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(tensor.elements()));
  if (tensor.dtype == "I32") {
    convert_elements<std::int32_t>(tensor.bytes, std::span(out), [](std::int32_t v) { return v; });
  } else if (tensor.dtype == "I64") {
    convert_elements<std::int64_t>(tensor.bytes, std::span(out), [&tensor](std::int64_t value) {
      if (!std::in_range<std::int32_t>(value)) {
        throw BadInput(fmt::format("tensor {}: expected values that fit 32 bits, found {}",
                                   in_quotes(tensor.name), value));
      }
      return static_cast<std::int32_t>(value);
    });
  } else {
    throw BadInput(fmt::format("tensor {}: expected dtype I32 or I64, found {}",
                               in_quotes(tensor.name), tensor.dtype));
  }
  return out;
}

}  // namespace deformer
