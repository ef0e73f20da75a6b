#include "backends/modules/elf_check.hpp"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <system_error>

#include <elf.h>
#include <fmt/format.h>

namespace deformer {
namespace {

template <typename T>
bool read_at(std::ifstream& in, std::uint64_t offset, T& value) {
  in.seekg(static_cast<std::streamoff>(offset));
  return static_cast<bool>(in.read(reinterpret_cast<char*>(&value), sizeof value));
}

}  // namespace

std::string torn_elf(const std::filesystem::path& file) {
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(file, error);
  std::ifstream in(file, std::ios::binary);
  Elf64_Ehdr header{};
  if (error || !read_at(in, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_phentsize != sizeof(Elf64_Phdr)) {
    return {};  // no ELF file of ours: dlopen refuses it
  }
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    if (header.e_phoff > size || !read_at(in, header.e_phoff + i * sizeof segment, segment)) {
      return "its program headers lie beyond its end";
    }
    if (segment.p_type == PT_LOAD &&
        (segment.p_filesz > size || segment.p_offset > size - segment.p_filesz)) {
      return fmt::format("it is torn: {} bytes, expected at least {}", size,
                         segment.p_offset + segment.p_filesz);
    }
  }
  return {};
}

}  // namespace deformer
