#pragma once
/// `--plugin FILE`: backends in modules that do not lie beside the program. Shared by every verb
/// that names backends.

#include <string>
#include <vector>

#include "cli/app.hpp"

namespace deformer::cli {

class PluginOption {
 public:
  void add_to(CLI::App& app);
  /// Adds them to the backends. @throws BadInput for a file that is not there or a name that is
  /// taken, Unavailable for a module that can't be used.
  void add_backends() const;
  /// The same, but a module that can't be used becomes a backend that is missing: for `list`.
  void add_backends_or_reasons() const;

 private:
  std::vector<std::string> files_;
};

}  // namespace deformer::cli
