#pragma once
/// A look at a shared object before the loader maps it.

#include <filesystem>
#include <string>

namespace deformer {

/// Why the loader had better not be given this file, or empty. A file that ends before its segments
/// do (a download or a build cut short) is mapped by dlopen and then kills the process with SIGBUS;
/// whatever else is wrong, dlopen says itself.
std::string torn_elf(const std::filesystem::path& file);

}  // namespace deformer
