#include "backends/modules/modules.hpp"

#include <algorithm>
#include <mutex>
#include <system_error>

#include <dlfcn.h>
#include <fmt/format.h>

#include "backends/absent.hpp"
#include "backends/modules/elf_check.hpp"
#include "backends/modules/import.hpp"

namespace deformer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "deformer-bench-";
constexpr std::string_view kSuffix = ".so";
constexpr const char* kEntry = "deformer_bench_backend";

std::string last_error() {
  const char* said = dlerror();
  return said != nullptr ? said : "no reason given";
}

bool is_module_name(const std::string& file) {
  return file.size() > kPrefix.size() + kSuffix.size() && file.starts_with(kPrefix) &&
         file.ends_with(kSuffix);
}

class LazyBackend final : public Backend {
 public:
  explicit LazyBackend(ModuleFile module) : module_(std::move(module)) {}

  BackendInfo info() const override { return opened().info(); }
  std::optional<std::string> why_not(const ModelConfig& config, DType dtype,
                                     DType cache_dtype) const override {
    return opened().why_not(config, dtype, cache_dtype);
  }
  std::optional<std::string> why_not_placed(CachePlace place, bool cold) const override {
    return opened().why_not_placed(place, cold);
  }
  std::unique_ptr<Model> load(const WeightSource& weights, const LoadOptions& options) override {
    return opened().load(weights, options);
  }

 private:
  Backend& opened() const {
    std::call_once(once_, [this] {
      OpenedModule opened = open_module(module_.file);
      if (opened.backend != nullptr && opened.backend->info().name != module_.name) {
        opened.fault =
            fmt::format("{}: its backend is '{}', expected '{}' by the file's name",
                        module_.file.string(), opened.backend->info().name, module_.name);
        opened.backend.reset();
      }
      backend_ =
          opened.backend != nullptr
              ? std::move(opened.backend)
              : make_absent_backend(module_.name, module_.file.filename().string(), opened.fault);
    });
    return *backend_;
  }

  ModuleFile module_;
  mutable std::once_flag once_;
  mutable std::unique_ptr<Backend> backend_;
};

}  // namespace

std::vector<fs::path> module_folders() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) {
    return {};
  }
  return {program.parent_path() / "plugins",
          (program.parent_path() / "../lib/deformer-bench/plugins").lexically_normal()};
}

std::string module_name(const fs::path& file) {
  const std::string name = file.filename().string();
  return is_module_name(name)
             ? name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size())
             : file.stem().string();
}

std::vector<ModuleFile> find_modules(const std::vector<fs::path>& folders) {
  std::vector<ModuleFile> modules;
  for (const fs::path& folder : folders) {
    std::vector<ModuleFile> here;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      const std::string name = module_name(at->path());
      if (is_module_name(at->path().filename().string()) &&
          std::ranges::find(modules, name, &ModuleFile::name) == modules.end()) {
        here.push_back({name, at->path()});
      }
    }
    std::ranges::sort(here, {}, &ModuleFile::name);
    modules.insert(modules.end(), here.begin(), here.end());
  }
  return modules;
}

OpenedModule open_module(const fs::path& file) {
  const auto fault = [&file](const std::string& what) {
    return OpenedModule{nullptr, fmt::format("{}: {}", file.string(), what)};
  };
  std::error_code error;
  const fs::path absolute = fs::absolute(file, error);  // a bare name would be searched for
  if (error || !fs::is_regular_file(absolute, error)) {
    return fault("no such file");
  }
  if (const std::string torn = torn_elf(absolute); !torn.empty()) {
    return fault("can't be loaded as a module: " + torn);
  }
  (void)dlerror();
  void* module = dlopen(absolute.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    return fault("can't be loaded as a module: " + last_error());
  }
  void* entry = dlsym(module, kEntry);
  if (entry == nullptr) {
    return fault(fmt::format("is no plugin of deformer-bench: it exports no function {}", kEntry));
  }
  const auto* table =
      reinterpret_cast<decltype(&deformer_bench_backend)>(entry)(DEFORMER_PLUGIN_ABI);
  if (const std::string wrong = plugin::fault_of(table); !wrong.empty()) {
    return fault(wrong);
  }
  return {plugin::import_backend(*table), {}};
}

std::unique_ptr<Backend> make_lazy_backend(ModuleFile module) {
  return std::make_unique<LazyBackend>(std::move(module));
}

}  // namespace deformer
