#pragma once
/// SHA-256 through OpenSSL's libcrypto.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace deformer {

/// 64 lower-case hex digits.
std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);

}  // namespace deformer
