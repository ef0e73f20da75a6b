#pragma once
/// Register-only loops of the widest multiply-adds a processor has: nothing they do waits for
/// memory, so what they reach is the arithmetic peak. One multiply-add counts as 2 operations.
/// Tiles have a second loop each, with loads: what is left of the peak for numbers that are not
/// zero.
///
/// The x86 loops are inline assembly, so that no compiler spills, merges or reorders what is
/// counted.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace deformer {

struct ArithmeticLoop {
  const char* dtype;        ///< of the factors: "f32", "bf16", "int8"; sums are f32 or int32
  const char* isa;          ///< "avx512f", "avx2", "generic" ...
  const char* instruction;  ///< "vfmadd213ps zmm"; several where one product takes several
  double operations;        ///< of one iteration on one thread
  void (*run)(std::int64_t iterations);
};

/// Whether it is one of the loops that load their factors, and so no roof.
constexpr bool is_loaded(std::string_view isa) {
  return isa.ends_with("_loaded");
}

/// The loops this processor can run, by dtype (f32, bf16, int8), the widest first. f32 always has
/// one.
std::span<const ArithmeticLoop> arithmetic_loops();

/// The widest loop of a dtype, or nullptr with why_no_loop saying why.
const ArithmeticLoop* widest_loop(std::string_view dtype);

/// Why widest_loop(dtype) is null: "this processor has no AVX512_BF16 instructions"; empty when it
/// is not.
std::string why_no_loop(std::string_view dtype);

/// Iterations that take about `target_ns` on one thread: of a few tries the quickest, the one least
/// held up by anything else. A whole team is slower to come by a quiet moment, and no more telling.
std::int64_t iterations_lasting(const ArithmeticLoop& loop, std::int64_t target_ns);

/// One burst on all threads at once: operations a second, all threads together, where the slowest
/// thread counts. Allocates nothing.
double burst_rate(const ArithmeticLoop& loop, int threads, std::int64_t iterations);

}  // namespace deformer
