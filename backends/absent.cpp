#include "backends/absent.hpp"

#include <fmt/format.h>

#include <utility>

#include "model/error.hpp"

namespace deformer {
namespace {

class AbsentBackend final : public Backend {
 public:
  explicit AbsentBackend(BackendInfo info) : info_(std::move(info)) {}

  BackendInfo info() const override { return info_; }
  std::optional<std::string> why_not(const ModelConfig&, DType, DType) const override {
    return info_.unavailable;
  }
  std::unique_ptr<Model> load(const WeightSource&, const LoadOptions&) override {
    throw Unavailable(fmt::format("{}: {}", info_.name, info_.unavailable));
  }

 private:
  BackendInfo info_;
};

}  // namespace

std::unique_ptr<Backend> make_absent_backend(std::string name, std::string description,
                                             std::string reason) {
  return std::make_unique<AbsentBackend>(
      BackendInfo{std::move(name), std::move(description), std::move(reason)});
}

}  // namespace deformer
