#include "backends/cuda/host/kernel_name.hpp"

#include <cxxabi.h>

#include <cctype>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace deformer::cuda {
namespace {

constexpr std::string_view kUnnamed = "(anonymous namespace)::";
constexpr std::string_view kOurs = "deformer::cuda::";

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 && text != nullptr ? std::string(text.get()) : name;
}

/// "void f<int (*)(int)>(Args)" -> "f<int (*)(int)>": what stands outside of template arguments
/// behind the last space before the parameters. A function that is no template has no return type.
std::string without_signature(std::string_view text) {
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with(kUnnamed)) {
      i += kUnnamed.size() - 1;
    } else if (text[i] == '<') {
      ++depth;
    } else if (text[i] == '>') {
      --depth;
    } else if (depth == 0 && text[i] == ' ') {
      begin = i + 1;
    } else if (depth == 0 && text[i] == '(') {
      return std::string(text.substr(begin, i - begin));
    }
  }
  return std::string(text);
}

bool of_a_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// "a::b<c::d>" -> "b<d>"
std::string without_scopes(std::string_view text) {
  std::string bare;
  for (std::size_t i = 0; i < text.size();) {
    if (text.substr(i).starts_with("::")) {
      while (!bare.empty() && of_a_word(bare.back())) {
        bare.pop_back();
      }
      i += 2;
    } else {
      bare += text[i++];
    }
  }
  return bare;
}

std::string without_all(std::string text, std::string_view part) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part)) {
    text.erase(at, part.size());
  }
  return text;
}

}  // namespace

std::string short_kernel_name(const std::string& name) {
  if (!name.starts_with("_Z")) {
    return name;
  }
  const std::string full = demangled(name);
  const std::string bare = full == name ? full : without_signature(full);
  return bare.starts_with(kOurs) ? without_scopes(without_all(bare, kUnnamed)) : bare;
}

}  // namespace deformer::cuda
