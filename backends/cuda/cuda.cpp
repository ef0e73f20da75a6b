#include "backends/cuda/cuda.hpp"

#include "backends/cuda/driver.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

class CudaBackend final : public Backend {
 public:
  BackendInfo info() const override { return {"cuda", "CUDA", cuda::why_no_device()}; }
  std::optional<std::string> why_not(const ModelConfig&, DType, DType) const override {
    return info().unavailable;
  }
  std::unique_ptr<Model> load(const WeightSource&, const LoadOptions&) override {
    throw Unavailable(info().unavailable);
  }
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend() {
  return std::make_unique<CudaBackend>();
}

}  // namespace deformer
