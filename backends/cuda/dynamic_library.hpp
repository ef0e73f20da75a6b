#pragma once
/// A shared library that is opened when it is first needed, so that the module loads without it.

#include <string>
#include <string_view>
#include <vector>

namespace deformer::cuda {

class DynamicLibrary {
 public:
  /// Opens the first of `names` that can be, looked for as the system does, then in the toolkit's
  /// folders (CUDA_HOME, CUDA_PATH, /usr/local/cuda; CUPTI has one of its own there). Stays open
  /// for the life of the process: libraries of this kind start threads and do not like to be
  /// closed.
  explicit DynamicLibrary(const std::vector<std::string>& names);

  bool open() const { return handle_ != nullptr; }
  /// Why none could be opened; empty when one was.
  const std::string& error() const { return error_; }
  /// What was opened: "libcublasLt.so.13".
  const std::string& name() const { return name_; }

  /// Null when it has none of that name.
  void* find(const char* symbol) const;

  /// @throws Unavailable when it is not there.
  template <class Function>
  void bind(Function*& function, const char* symbol) const {
    function = reinterpret_cast<Function*>(require(symbol));
  }

 private:
  void* require(const char* symbol) const;

  void* handle_ = nullptr;
  std::string error_;
  std::string name_;
};

}  // namespace deformer::cuda
