#pragma once
/// Backends in shared modules: where they are looked for, and what becomes of a file.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "backends/backend.hpp"

namespace deformer {

/// `plugins` beside this program, and where an installed program's modules are:
/// ../lib/deformer-bench/plugins.
std::vector<std::filesystem::path> module_folders();

struct ModuleFile {
  std::string name;  ///< NAME of deformer-bench-NAME.so
  std::filesystem::path file;
};

/// The modules of these folders by name; of two of one name the first counts. Opens none.
std::vector<ModuleFile> find_modules(const std::vector<std::filesystem::path>& folders);

/// NAME of "deformer-bench-NAME.so", else the file's name without its last extension.
std::string module_name(const std::filesystem::path& file);

struct OpenedModule {
  std::unique_ptr<Backend> backend;  ///< null when there is a fault
  std::string fault;                 ///< names the file and what is wrong with it
};

/// Loads a file and asks it for its backend. The module stays loaded for ever: threads and handlers
/// that it started may outlive what we know of it.
OpenedModule open_module(const std::filesystem::path& file);

/// A backend that opens its module when it is first asked anything but its name. A module with a
/// fault, or one whose backend has another name, is a backend that is missing for that reason.
std::unique_ptr<Backend> make_lazy_backend(ModuleFile module);

}  // namespace deformer
