#include "model/types.hpp"

#include <array>
#include <cstddef>

namespace deformer {
namespace {

constexpr std::array kDTypes{DType::f32,  DType::bf16, DType::f16, DType::tf32,
                             DType::int8, DType::fp8,  DType::bit1};
constexpr std::array kVariants{Variant::full, Variant::decomposed, Variant::cached};
constexpr std::array kOrders{Order::question_first, Order::passage_first};
constexpr std::array kCachePlaces{CachePlace::device, CachePlace::pinned, CachePlace::pageable};

template <typename Enumeration, std::size_t N>
std::optional<Enumeration> parse(const std::array<Enumeration, N>& values, std::string_view word) {
  for (const Enumeration value : values) {
    if (to_string(value) == word) {
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Family family) {
  return family == Family::bert ? "bert" : "xlnet";
}

std::string_view to_string(Activation activation) {
  return activation == Activation::gelu_erf ? "gelu_erf" : "gelu_tanh";
}

std::string_view to_string(HeadKind head) {
  switch (head) {
    case HeadKind::none:
      return "none";
    case HeadKind::span:
      return "span";
    case HeadKind::classes:
      return "classes";
  }
  return "?";
}

std::string_view to_string(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    case DType::int8:
      return "int8";
    case DType::fp8:
      return "fp8";
    case DType::tf32:
      return "tf32";
    case DType::bit1:
      return "bit1";
  }
  return "?";
}

std::string_view to_string(Variant variant) {
  switch (variant) {
    case Variant::full:
      return "full";
    case Variant::decomposed:
      return "decomposed";
    case Variant::cached:
      return "cached";
  }
  return "?";
}

std::string_view to_string(Order order) {
  return order == Order::question_first ? "question-first" : "passage-first";
}

std::string_view to_string(Segment segment) {
  switch (segment) {
    case Segment::question:
      return "question";
    case Segment::passage:
      return "passage";
    case Segment::joint:
      return "joint";
  }
  return "?";
}

std::string_view to_string(CachePlace place) {
  switch (place) {
    case CachePlace::device:
      return "device";
    case CachePlace::pinned:
      return "pinned";
    case CachePlace::pageable:
      return "pageable";
  }
  return "?";
}

std::optional<DType> parse_dtype(std::string_view word) {
  return parse(kDTypes, word);
}
std::optional<Variant> parse_variant(std::string_view word) {
  return parse(kVariants, word);
}
std::optional<Order> parse_order(std::string_view word) {
  return parse(kOrders, word);
}
std::optional<CachePlace> parse_cache_place(std::string_view word) {
  return parse(kCachePlaces, word);
}

std::int64_t element_bytes(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::tf32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::int8:
    case DType::fp8:
      return 1;
    case DType::bit1:
      return 0;
  }
  return 0;
}

}  // namespace deformer
