#include "workloads/canonical_point.hpp"

#include <algorithm>

#include "model/sha256.hpp"

namespace deformer {

bool CanonicalPoint::add_text(std::string_view text) {
  const bool plain = std::ranges::all_of(
      text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
  text_ += '"';
  text_ += text;
  text_ += '"';
  return plain;
}

bool CanonicalPoint::add_name(std::string_view name) {
  if (text_.size() > 1) text_ += ',';
  const bool plain = add_text(name);
  text_ += ':';
  return plain;
}

bool CanonicalPoint::add(std::string_view name, std::string_view value) {
  return add_name(name) && add_text(value);
}

bool CanonicalPoint::add(std::string_view name, std::uint64_t value) {
  const bool plain = add_name(name);
  text_ += std::to_string(value);
  return plain;
}

bool CanonicalPoint::add(std::string_view name, bool value) {
  const bool plain = add_name(name);
  text_ += value ? "true" : "false";
  return plain;
}

std::string point_key_of(std::string_view canonical) {
  return sha256_hex(canonical).substr(0, 16);
}

}  // namespace deformer
