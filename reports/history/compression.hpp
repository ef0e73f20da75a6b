#pragma once
/// The lines of a run, made small: they say much the same record after record. Internal to
/// reports/history/.

#include <string>
#include <string_view>

namespace deformer {

std::string compressed(std::string_view text);

/// @throws BadInput when it is not what compressed() made of `bytes` bytes; `name` is for the
/// message. No more than that is ever allocated.
std::string decompressed(std::string_view body, std::size_t bytes, const std::string& name);

}  // namespace deformer
