#pragma once
/// A point's key from the point's text, for readers that never build the value.

#include <cstdint>
#include <string>
#include <string_view>

namespace deformer {

/// The text that point_key digests, field by field; names must come sorted.
class CanonicalPoint {
 public:
  /// False, and nothing of use left, where the name or the text would need an escape.
  bool add(std::string_view name, std::string_view value);
  bool add(std::string_view name, std::uint64_t value);
  bool add(std::string_view name, bool value);

  std::string take() && { return std::move(text_ += '}'); }

 private:
  bool add_name(std::string_view name);
  bool add_text(std::string_view text);

  std::string text_ = "{";
};

/// point_key of the point with this canonical text.
std::string point_key_of(std::string_view canonical);

}  // namespace deformer
