#pragma once
/// The block of block.cuh on the host, where one thread walks through those of the device: what
/// tensor cores and copies do is done from the same fragments and addresses. It throws logic_error
/// where a device would fault or hang; what a device would find too early it finds as NaN.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <unordered_set>
#include <utility>
#include <vector>

#include "backends/cuda/kernels/block.cuh"

namespace deformer::cuda {

template <int kThreads>
class HostBlock {
 public:
  template <class T>
  class PerThread {
   public:
    T& operator[](int thread) { return values_[thread]; }

   private:
    T values_[kThreads];
  };

  template <class F>
  void each(const F& f) {
    if (active_ != kAll) {
      throw std::logic_error("a barrier that not all warps reach");
    }
    each_alone(f);
  }
  template <class F>
  void each_alone(const F& f) {
    for (int thread = 0; thread < kThreads; ++thread) {
      if (is_active(thread)) {
        f(thread);
      }
    }
  }
  template <class Holds, class Body>
  void when(const Holds& holds, const Body& body) {
    const std::uint32_t before = active_;
    for (int thread = 0; thread < kThreads; ++thread) {
      if (holds(thread) != holds(thread / 32 * 32)) {
        throw std::logic_error("threads of a warp part");
      }
      if (!holds(thread)) {
        active_ &= ~(1U << (thread / 32));
      }
    }
    body();
    active_ = before;
  }
  template <class T, class A, class B, class C>
  void multiply(const A& a, const B& b, const C& c) {
    for (int first = 0; first < kThreads; first += 32) {
      if (!is_active(first)) {
        continue;
      }
      float left[16][16];
      float right[16][8];
      for (int lane = 0; lane < 32; ++lane) {
        const int group = lane / 4;
        const int at = lane % 4 * 2;
        const FragmentA row = a(first + lane);
        const FragmentB column = b(first + lane);
        for (int half = 0; half < 2; ++half) {
          left[group][at + half] = element<T>(row.word[0], half);
          left[group + 8][at + half] = element<T>(row.word[1], half);
          left[group][at + 8 + half] = element<T>(row.word[2], half);
          left[group + 8][at + 8 + half] = element<T>(row.word[3], half);
          right[at + half][group] = element<T>(column.word[0], half);
          right[at + 8 + half][group] = element<T>(column.word[1], half);
        }
      }
      for (int lane = 0; lane < 32; ++lane) {
        FragmentC& sum = c(first + lane);
        for (int i = 0; i < 4; ++i) {
          for (int k = 0; k < 16; ++k) {
            sum.at[i] += left[lane / 4 + i / 2 * 8][k] * right[k][lane % 4 * 2 + i % 2];
          }
        }
      }
    }
  }
  template <class F, class Op>
  void over_quad(const F& f, const Op& op) {
    for (int thread = 0; thread < kThreads; thread += 4) {
      if (!is_active(thread)) {
        continue;
      }
      const float all = op(op(f(thread), f(thread + 1)), op(f(thread + 2), f(thread + 3)));
      for (int i = 0; i < 4; ++i) {
        f(thread + i) = all;
      }
    }
  }
  template <bool kTransposed, class From, class To>
  void load_matrices(const From& from, const To& to) {
    for (int first = 0; first < kThreads; first += 32) {
      if (!is_active(first)) {
        continue;
      }
      for (int matrix = 0; matrix < 4; ++matrix) {
        std::uint16_t rows[8][8];
        std::uint32_t banks = 0;
        for (int row = 0; row < 8; ++row) {
          const void* source = from(first + 8 * matrix + row);
          banks |= 1U << (aligned(source, 16) / 16 % 8);
          std::memcpy(rows[row], source, 16);
        }
        conflicts_ += banks != 0xFFU ? 1 : 0;
        for (int lane = 0; lane < 32; ++lane) {
          const int group = lane / 4;
          const int at = lane % 4 * 2;
          const std::uint32_t near = kTransposed ? rows[at][group] : rows[group][at];
          const std::uint32_t far = kTransposed ? rows[at + 1][group] : rows[group][at + 1];
          to(first + lane).word[matrix] = near | far << 16;
        }
      }
    }
  }
  /// What lay there is gone at once, what comes is there when it was awaited: between, NaN.
  template <int kBytes>
  void copy(void* to, const void* from, bool there) {
    aligned(to, kBytes);
    aligned(from, kBytes);
    std::memset(to, 0xFF, kBytes);
    for (int at = 0; at < kBytes; at += 8) {
      if (!awaited_.insert(static_cast<std::byte*>(to) + at).second) {
        throw std::logic_error("two copies to one place: which comes last is not known");
      }
    }
    begun_.push_back({static_cast<std::byte*>(to),
                      there ? static_cast<const std::byte*>(from) : nullptr, kBytes});
  }
  void commit() {
    groups_.push_back(std::move(begun_));
    begun_.clear();
  }
  template <int kLeft>
  void await() {
    each([](int) {});
    while (groups_.size() > kLeft) {
      for (const Copy& copy : groups_.front()) {
        if (copy.from != nullptr) {
          std::memcpy(copy.to, copy.from, copy.bytes);
        } else {
          std::memset(copy.to, 0, copy.bytes);
        }
        for (std::size_t at = 0; at < copy.bytes; at += 8) {
          awaited_.erase(copy.to + at);
        }
      }
      groups_.pop_front();
    }
  }

  /// Matrices so far whose rows did not lie in different banks.
  int conflicts() const { return conflicts_; }
  /// Copies that were begun and never awaited.
  bool owes_copies() const {
    return !begun_.empty() ||
           std::ranges::any_of(groups_, [](const auto& group) { return !group.empty(); });
  }

 private:
  struct Copy {
    std::byte* to;
    const std::byte* from;  ///< null: zeros
    std::size_t bytes;
  };
  static constexpr std::uint32_t kAll = (1U << (kThreads / 32)) - 1;

  bool is_active(int thread) const { return (active_ >> (thread / 32) & 1U) != 0; }
  static std::uintptr_t aligned(const void* address, std::uintptr_t to) {
    const auto number = reinterpret_cast<std::uintptr_t>(address);
    if (number % to != 0) {
      throw std::logic_error("an address is not aligned as the device needs it");
    }
    return number;
  }

  template <class T>
  static float element(std::uint32_t word, int half) {
    return to_float(T{static_cast<std::uint16_t>(word >> (16 * half))});
  }

  std::uint32_t active_ = kAll;  ///< a bit a warp
  std::vector<Copy> begun_;
  std::deque<std::vector<Copy>> groups_;
  std::unordered_set<const std::byte*> awaited_;  ///< where copies will arrive, each 8 bytes
  int conflicts_ = 0;
};

}  // namespace deformer::cuda
