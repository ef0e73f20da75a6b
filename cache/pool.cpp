#include "cache/pool.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "cache/codec.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

/// The interface's upper limit, and the share of available memory a pool may take.
constexpr std::int64_t kMostBytes = 256'000'000;
constexpr std::int64_t kMemoryShare = 8;
/// With two sets, a forward never loads what the one before it loaded.
constexpr std::int64_t kFewestSets = 2;

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

std::int64_t divide_up(std::int64_t value, std::int64_t divisor) {
  return value / divisor + (value % divisor != 0 ? 1 : 0);
}

std::int64_t bytes_of_set(const Shape& shape, std::int64_t d_model, DType dtype) {
  const std::int64_t rows =
      std::accumulate(shape.passage_tokens.begin(), shape.passage_tokens.end(), std::int64_t{0});
  return encoded_bytes(dtype, rows, d_model);
}

struct Wanted {
  std::int64_t sets;
  std::int64_t set_bytes;
  std::int64_t set_passages;
};

std::string describe(const Wanted& wanted) {
  return fmt::format(
      "{} passages ({:.0f} MB)", wanted.sets * wanted.set_passages,
      static_cast<double>(wanted.sets) * static_cast<double>(wanted.set_bytes) / 1e6);
}

PoolSize sized(const Wanted& wanted, std::int64_t sets) {
  return {.sets = sets,
          .passages = sets * wanted.set_passages,
          .bytes = sets * wanted.set_bytes,
          .shortfall = {},
          .impossible = {}};
}

PoolSize refuse(const Wanted& smallest, std::int64_t limit_bytes, const char* limit) {
  PoolSize size;
  size.impossible =
      fmt::format("the pool of cached passages needs at least {}, but {} is {:.0f} MB",
                  describe(smallest), limit, static_cast<double>(limit_bytes) / 1e6);
  return size;
}

PoolSize plan_fixed(Wanted wanted, std::int64_t passages, std::int64_t available_bytes) {
  wanted.sets = divide_up(passages, wanted.set_passages);
  const std::int64_t limit = available_bytes > 0 ? available_bytes : kMax;
  if (wanted.sets > limit / wanted.set_bytes) {
    return refuse(wanted, limit, "available memory");
  }
  return sized(wanted, wanted.sets);
}

PoolSize plan_by_rule(Wanted wanted, std::int64_t last_level_cache_bytes,
                      std::int64_t available_bytes, int readers) {
  const std::int64_t cache_bytes = std::clamp<std::int64_t>(last_level_cache_bytes, 0, kMax / 2);
  wanted.sets = std::max(kFewestSets * readers, divide_up(2 * cache_bytes, wanted.set_bytes));
  const std::int64_t limit =
      available_bytes > 0 ? std::min(kMostBytes, available_bytes / kMemoryShare) : kMostBytes;
  const std::int64_t fitting = limit / wanted.set_bytes;
  if (fitting < 1) {
    return refuse({1, wanted.set_bytes, wanted.set_passages}, limit,
                  limit == kMostBytes ? "the limit" : "an eighth of available memory");
  }
  PoolSize size = sized(wanted, std::min(wanted.sets, fitting));
  if (size.sets < wanted.sets) {
    size.shortfall = fmt::format(
        "pool of {} passages ({:.0f} MB) instead of {}: limited to {:.0f} MB, the lesser of 256 MB "
        "and an eighth of available memory",
        size.passages, static_cast<double>(size.bytes) / 1e6, describe(wanted),
        static_cast<double>(limit) / 1e6);
  }
  return size;
}

}  // namespace

PoolSize plan_pool(const Shape& shape, std::int64_t d_model, DType dtype,
                   std::int64_t last_level_cache_bytes, std::int64_t available_bytes,
                   std::int64_t fixed_passages, int readers) {
  const Wanted wanted{0, bytes_of_set(shape, d_model, dtype),
                      static_cast<std::int64_t>(shape.passage_tokens.size())};
  if (wanted.set_bytes < 1) {
    throw BadInput("pool: expected at least one passage with at least one token, found none");
  }
  return fixed_passages > 0
             ? plan_fixed(wanted, fixed_passages, available_bytes)
             : plan_by_rule(wanted, last_level_cache_bytes, available_bytes, std::max(readers, 1));
}

std::int64_t PassagePool::bytes_of_pool(const Shape& shape, std::int64_t d_model, DType dtype,
                                        std::int64_t sets) {
  // A decoder may read a whole vector's mask bits where a row's last ones stand.
  constexpr std::int64_t kReadBeyond = 8;
  return sets * bytes_of_set(shape, d_model, dtype) + kReadBeyond;
}

PassagePool::PassagePool(const Shape& shape, std::int64_t d_model, DType dtype, std::int64_t sets,
                         std::unique_ptr<PoolMemory> memory)
    : shape_(shape),
      d_model_(d_model),
      dtype_(dtype),
      sets_(sets),
      set_bytes_(bytes_of_set(shape, d_model, dtype)),
      memory_(std::move(memory)) {
  if (sets < 1) {
    throw BadInput(fmt::format("pool: expected at least 1 set, found {}", sets));
  }
  // Zeroed, hence touched: a timed load never faults a page in.
  bytes_.resize(
      static_cast<std::size_t>(memory_ ? set_bytes_ : bytes_of_pool(shape, d_model, dtype, sets)));
  passages_.reserve(static_cast<std::size_t>(sets) * shape.passage_tokens.size());
  const std::byte* next = memory_ ? memory_->address() : bytes_.data();
  for (std::int64_t set = 0; set < sets; ++set) {
    for (const std::int64_t tokens : shape.passage_tokens) {
      passages_.push_back(next);
      next += encoded_bytes(dtype, tokens, d_model);
    }
  }
}

void PassagePool::store(std::int64_t set, std::span<const float> rows) {
  const std::int64_t offset = set * set_bytes_;
  const auto room = std::span(bytes_).subspan(memory_ ? 0 : static_cast<std::size_t>(offset),
                                              static_cast<std::size_t>(set_bytes_));
  encode_rows(dtype_, rows, d_model_, room);
  if (memory_) {
    memory_->write(offset, room);
  }
}

void PassagePool::copy_set(std::int64_t from, std::int64_t to) {
  if (from == to) {
    return;
  }
  if (memory_) {
    memory_->write(to * set_bytes_,
                   {memory_->address() + from * set_bytes_, static_cast<std::size_t>(set_bytes_)});
    return;
  }
  std::memcpy(bytes_.data() + to * set_bytes_, bytes_.data() + from * set_bytes_,
              static_cast<std::size_t>(set_bytes_));
}

std::span<const std::byte* const> PassagePool::set(std::int64_t index) const {
  const std::size_t count = shape_.passage_tokens.size();
  return std::span(passages_).subspan(static_cast<std::size_t>(index) * count, count);
}

PoolWalk::PoolWalk(const PassagePool& pool, int reader, int readers)
    : pool_(&pool), first_(pool.sets() * reader / readers), end_(0), at_(0) {
  if (pool.sets() < readers) {  // not a set for each: all walk through all, from different places
    first_ = 0;
    end_ = pool.sets();
    at_ = reader % pool.sets();
    return;
  }
  end_ = pool.sets() * (reader + 1) / readers;
  at_ = first_;
}

std::span<const std::byte* const> PoolWalk::next() {
  const auto result = pool_->set(at_);
  at_ = at_ + 1 < end_ ? at_ + 1 : first_;
  return result;
}

}  // namespace deformer
