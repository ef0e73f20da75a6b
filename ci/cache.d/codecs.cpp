// How fast stored passages of each encoding are decoded, by one thread, against copying f32: rounds
// over all encodings in turns, each decoding every passage of a pool much larger than the
// second-level cache to the same place, as a server does. Prints one line an encoding:
//
//   dtype bytes_a_passage decoded_gb_per_s copy_gb_per_s read_gb_per_s
//
// decoded: f32 bytes written a second, the median of the rounds. copy: the same of memcpy, from
// memory to memory. read: encoded bytes read a second.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "cache/codec.hpp"
#include "profilers/clock.hpp"

namespace {

using namespace deformer;

constexpr std::array kDTypes{DType::f32, DType::bf16, DType::f16, DType::int8, DType::bit1};
constexpr std::int64_t kPoolBytes = std::int64_t{192} << 20;  // of f32
constexpr int kRounds = 15;

struct Pool {
  DType dtype;
  std::int64_t passage_bytes;
  std::vector<std::byte> bytes;
  std::vector<double> gb_per_s;
};

Pool make_pool(DType dtype, std::int64_t rows, std::int64_t d, std::int64_t passages) {
  std::vector<float> passage(static_cast<std::size_t>(rows * d));
  for (std::size_t i = 0; i < passage.size(); ++i) {
    passage[i] = static_cast<float>((i * 2654435761U) % 2001) / 1000.0F - 1.0F;
  }
  Pool pool{dtype, encoded_bytes(dtype, rows, d), {}, {}};
  pool.bytes.resize(static_cast<std::size_t>(pool.passage_bytes * passages));
  const auto size = static_cast<std::size_t>(pool.passage_bytes);
  for (std::int64_t i = 0; i < passages; ++i) {
    std::byte* at = pool.bytes.data() + i * pool.passage_bytes;
    if (i == 0) {
      encode_rows(dtype, passage, d, {at, size});
    } else {
      std::memcpy(at, pool.bytes.data(), size);
    }
  }
  return pool;
}

double rate(std::int64_t bytes, std::int64_t ns) {
  return static_cast<double>(bytes) / static_cast<double>(ns);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

std::int64_t argument(char** argv, int index, const char* name) {
  const std::int64_t value = std::strtoll(argv[index], nullptr, 10);
  if (value < 1 || value > 65536) {
    fmt::print(stderr, "codecs: expected {} from 1 to 65536, found '{}'\n", name, argv[index]);
    std::exit(2);
  }
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: deformer-bench-codecs PASSAGE_TOKENS D_MODEL\n");
    return 2;
  }
  const std::int64_t rows = argument(argv, 1, "tokens");
  const std::int64_t d = argument(argv, 2, "columns");
  const std::int64_t f32_bytes = rows * d * 4;
  const std::int64_t passages = std::max<std::int64_t>(kPoolBytes / f32_bytes, 2);
  std::vector<Pool> pools;
  for (const DType dtype : kDTypes) {
    pools.push_back(make_pool(dtype, rows, d, passages));
  }
  std::vector<float> joint(static_cast<std::size_t>(rows * d));
  std::vector<std::byte> other(pools.front().bytes.size());
  std::vector<double> copies;
  for (int round = 0; round < kRounds; ++round) {
    for (Pool& pool : pools) {
      const std::int64_t start = now_ns();
      for (std::int64_t i = 0; i < passages; ++i) {
        decode_rows(pool.dtype, pool.bytes.data() + i * pool.passage_bytes, rows, d, joint.data());
      }
      pool.gb_per_s.push_back(rate(f32_bytes * passages, now_ns() - start));
    }
    const std::int64_t start = now_ns();
    std::memcpy(other.data(), pools.front().bytes.data(), other.size());
    copies.push_back(rate(static_cast<std::int64_t>(other.size()), now_ns() - start));
  }
  for (const Pool& pool : pools) {
    const double decoded = median(pool.gb_per_s);
    fmt::print("{} {} {:.2f} {:.2f} {:.2f}\n", to_string(pool.dtype), pool.passage_bytes, decoded,
               median(copies),
               decoded * static_cast<double>(pool.passage_bytes) / static_cast<double>(f32_bytes));
  }
  return 0;
}
