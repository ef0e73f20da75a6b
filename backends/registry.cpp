#include "backends/registry.hpp"

#include <algorithm>
#include <memory>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backends/absent.hpp"
#include "backends/cpu/cpu.hpp"
#include "backends/modules/modules.hpp"
#include "backends/reference/reference.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

struct Entry {
  std::string name;
  std::unique_ptr<Backend> backend;
  BackendOrigin origin;
};

class Registry {
 public:
  static Registry& instance() {
    static Registry registry;
    return registry;
  }

  Entry* find(std::string_view name) {
    const auto found = std::ranges::find(entries_, name, &Entry::name);
    return found == entries_.end() ? nullptr : &*found;
  }
  const std::vector<Entry>& entries() const { return entries_; }

  void put(Entry entry) {
    all_.clear();
    Entry* at = find(entry.name);
    if (at == nullptr) {
      at = &entries_.emplace_back();
    }
    *at = std::move(entry);
  }

  const std::vector<Backend*>& all() {
    if (all_.empty()) {
      for (const Entry& entry : entries_) {
        all_.push_back(entry.backend.get());
      }
    }
    return all_;
  }

 private:
  Registry() {
    entries_.push_back({"reference", make_reference_backend(), {}});
    entries_.push_back({"cpu", make_cpu_backend(), {}});
    entries_.push_back({"cuda",
                        make_absent_backend("cuda", "cuBLASLt and cuDNN",
                                            "no module plugins/deformer-bench-cuda.so beside the "
                                            "program: it was built without a CUDA toolkit"),
                        {}});
    for (ModuleFile& module : find_modules(module_folders())) {
      if (module.name != "reference" && module.name != "cpu") {
        put({module.name, make_lazy_backend(module), {module.file, false}});
      }
    }
  }

  std::vector<Entry> entries_;
  std::vector<Backend*> all_;
};

}  // namespace

const std::vector<Backend*>& all_backends() {
  return Registry::instance().all();
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const Entry& entry : Registry::instance().entries()) {
    names.push_back(entry.name);
  }
  return names;
}

Backend* find_backend(std::string_view name) {
  const Entry* entry = Registry::instance().find(name);
  return entry == nullptr ? nullptr : entry->backend.get();
}

Backend& require_backend(std::string_view name) {
  Backend* backend = find_backend(name);
  if (backend == nullptr) {
    throw BadInput(fmt::format(
        "--backend: expected one of {}, found '{}'; --plugin FILE adds the backend of a module",
        fmt::join(backend_names(), " "), name));
  }
  return *backend;
}

AddedPlugin add_plugin(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) {
    throw BadInput(fmt::format("--plugin: expected a module, found no file '{}'", file.string()));
  }
  Registry& registry = Registry::instance();
  OpenedModule opened = open_module(file);
  const std::string name =
      opened.backend != nullptr ? opened.backend->info().name : module_name(file);
  const Entry* taken = registry.find(name);
  if (taken != nullptr && taken->origin.file.empty() && name != "cuda") {
    throw BadInput(fmt::format(
        "--plugin: {} holds a backend '{}', expected a name that none has that is compiled in",
        file.string(), name));
  }
  if (opened.backend == nullptr) {
    opened.backend = make_absent_backend(name, file.filename().string(), opened.fault);
  }
  registry.put({name, std::move(opened.backend), {file, true}});
  return {name, opened.fault};
}

BackendOrigin backend_origin(std::string_view name) {
  const Entry* entry = Registry::instance().find(name);
  return entry == nullptr ? BackendOrigin{} : entry->origin;
}

}  // namespace deformer
