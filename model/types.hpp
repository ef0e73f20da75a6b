#pragma once
/// The words of the project as enumerations. Every enumeration has `to_string`, whose result is the
/// spelling on the command line and in records, and `parse_X`, which returns nullopt for a word
/// that is not one of them.

#include <cstdint>
#include <optional>
#include <string_view>

namespace deformer {

enum class Family { bert, xlnet };
enum class Activation { gelu_erf, gelu_tanh };
enum class HeadKind { none, span, classes };
/// Storage and compute types a user can name. bit1 exists for cached passages only. tf32 computes
/// only: stored as f32, multiplied with 10 bits of the mantissa.
enum class DType { f32, bf16, f16, int8, fp8, bit1, tf32 };
enum class Variant { full, decomposed, cached };
/// Which text stands first in the joint sequence.
enum class Order { question_first, passage_first };
/// The texts a phase works on: the questions, the passages, or the joined pairs.
enum class Segment { question, passage, joint };
/// Where cached passages live, as the processor that computes sees it: in its own memory (for a CPU
/// that is the host's), in host memory it can read directly, or in host memory that must be staged.
enum class CachePlace { device, pinned, pageable };

std::string_view to_string(Family);
std::string_view to_string(Activation);
std::string_view to_string(HeadKind);
std::string_view to_string(DType);
std::string_view to_string(Variant);
std::string_view to_string(Order);
std::string_view to_string(Segment);
std::string_view to_string(CachePlace);

std::optional<DType> parse_dtype(std::string_view);
std::optional<Variant> parse_variant(std::string_view);
std::optional<Order> parse_order(std::string_view);
std::optional<CachePlace> parse_cache_place(std::string_view);

/// Bytes of one stored activation element: f32 and tf32 4, bf16 and f16 2, int8 and fp8 1. bit1 has
/// none of its own (eight elements a byte, see cache/codec.hpp) and yields 0.
std::int64_t element_bytes(DType);

}  // namespace deformer
