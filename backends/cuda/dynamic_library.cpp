#include "backends/cuda/dynamic_library.hpp"

#include <dlfcn.h>

#include <fmt/format.h>

#include <cstdlib>

#include "model/error.hpp"

namespace deformer::cuda {
namespace {

std::vector<std::string> folders() {
  std::vector<std::string> homes;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const char* home = std::getenv(variable); home != nullptr && *home != '\0') {
      homes.emplace_back(home);
    }
  }
  homes.emplace_back("/usr/local/cuda");
  std::vector<std::string> found{""};
  for (const std::string& home : homes) {
    for (const char* folder : {"/lib64/", "/lib/", "/extras/CUPTI/lib64/"}) {
      found.push_back(home + folder);
    }
  }
  return found;
}

}  // namespace

DynamicLibrary::DynamicLibrary(const std::vector<std::string>& names) {
  for (const std::string& folder : folders()) {
    for (const std::string& name : names) {
      handle_ = dlopen((folder + name).c_str(), RTLD_NOW | RTLD_LOCAL);
      if (handle_ != nullptr) {
        name_ = name;
        error_.clear();
        return;
      }
      if (error_.empty()) {
        const char* said = dlerror();
        error_ = said != nullptr ? said : name + " can't be opened";
      }
    }
  }
}

void* DynamicLibrary::find(const char* symbol) const {
  return handle_ == nullptr ? nullptr : dlsym(handle_, symbol);
}

void* DynamicLibrary::require(const char* symbol) const {
  void* found = find(symbol);
  if (found == nullptr) {
    throw Unavailable(open() ? fmt::format("{}: expected the function {}, found none; install a "
                                           "matching version",
                                           name_, symbol)
                             : error_);
  }
  return found;
}

}  // namespace deformer::cuda
