#pragma once
/// The backends this program knows: those compiled in, those found as modules beside it, those it
/// was told of.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.hpp"

namespace deformer {

/// Every backend, usable or not: `reference`, `cpu`, `cuda` (with the reason when it is missing),
/// and further modules. Opens them all.
const std::vector<Backend*>& all_backends();

/// Their names, without opening a module.
std::vector<std::string> backend_names();

/// nullptr when the name is unknown. Opens no other backend's module.
Backend* find_backend(std::string_view name);

/// The backend of that name, usable or not. @throws BadInput naming the choices.
Backend& require_backend(std::string_view name);

struct AddedPlugin {
  std::string name;
  std::string fault;  ///< why the module can't be used; empty when it can
};

/// Adds the module in `file`, in place of one of the same name that was found beside the program.
/// A module with a fault becomes a backend that is missing for that reason, named as its file is.
/// @throws BadInput when there is no such file, or its backend has the name of one compiled in.
AddedPlugin add_plugin(const std::filesystem::path& file);

/// Where a backend comes from.
struct BackendOrigin {
  std::filesystem::path file;  ///< of its module; empty for one compiled in
  bool given = false;          ///< by add_plugin
};
BackendOrigin backend_origin(std::string_view name);

}  // namespace deformer
