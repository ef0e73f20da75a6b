#include "cli/plugin_option.hpp"

#include <fmt/format.h>

#include "backends/registry.hpp"
#include "model/error.hpp"

namespace deformer::cli {

void PluginOption::add_to(CLI::App& app) {
  app.add_option("--plugin", files_, "A module that holds a further backend (several times)")
      ->allow_extra_args(false)
      ->type_name("FILE");
}

void PluginOption::add_backends() const {
  for (const std::string& file : files_) {
    const AddedPlugin added = add_plugin(file);
    if (!added.fault.empty()) {
      throw Unavailable("--plugin: " + added.fault);
    }
  }
}

void PluginOption::add_backends_or_reasons() const {
  for (const std::string& file : files_) {
    (void)add_plugin(file);
  }
}

}  // namespace deformer::cli
