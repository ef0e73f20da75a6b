#include "backends/registry.hpp"

#include <algorithm>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backends/absent.hpp"
#include "backends/cpu/cpu.hpp"
#include "backends/reference/reference.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

std::vector<std::unique_ptr<Backend>> make_backends() {
  std::vector<std::unique_ptr<Backend>> backends;
  backends.push_back(make_reference_backend());
  backends.push_back(make_cpu_backend());
  backends.push_back(make_absent_backend("cuda", "cuBLASLt and cuDNN",
                                         "the CUDA backend is not part of this build"));
  return backends;
}

}  // namespace

const std::vector<Backend*>& all_backends() {
  static const std::vector<std::unique_ptr<Backend>> owned = make_backends();
  static const std::vector<Backend*> backends = [] {
    std::vector<Backend*> pointers;
    for (const auto& backend : owned) {
      pointers.push_back(backend.get());
    }
    return pointers;
  }();
  return backends;
}

Backend* find_backend(std::string_view name) {
  const auto found = std::ranges::find_if(
      all_backends(), [&](const Backend* backend) { return backend->info().name == name; });
  return found == all_backends().end() ? nullptr : *found;
}

Backend& require_backend(std::string_view name) {
  Backend* backend = find_backend(name);
  if (backend == nullptr) {
    std::vector<std::string> names;
    for (const Backend* known : all_backends()) {
      names.push_back(known->info().name);
    }
    throw BadInput(
        fmt::format("--backend: expected one of {}, found '{}'", fmt::join(names, " "), name));
  }
  return *backend;
}

}  // namespace deformer
