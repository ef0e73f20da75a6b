#include "backends/cuda/cuda.hpp"

#include <cuda_runtime_api.h>

#include <exception>
#include <map>

#include <fmt/format.h>

#include "backends/cuda/device.hpp"
#include "backends/cuda/driver.hpp"
#include "backends/cuda/engines.hpp"
#include "backends/cuda/host/supported.hpp"
#include "backends/cuda/lt_library.hpp"
#include "backends/cuda/pool_memory.hpp"
#include "backends/cuda/session.hpp"
#include "cache/codec.hpp"
#include "model/error.hpp"

namespace deformer {
namespace cuda {
namespace {

class CudaModel final : public Model {
 public:
  CudaModel(const WeightSource& source, const LoadOptions& options)
      : engines_(std::make_shared<Engines>(options.store)),
        weights_(std::make_shared<const DeviceWeights>(source, options)) {}

  const ModelConfig& config() const override { return weights_->config; }
  std::int64_t weight_bytes() const override { return weights_->places.bytes; }
  std::vector<std::pair<std::string, std::string>> engines() const override {
    return {{"products", engines_->products.describe()},
            {"attention", engines_->attention.describe()}};
  }
  std::unique_ptr<Session> prepare(const Plan& plan, const Shape& shape,
                                   const SessionOptions& options) override;
  std::unique_ptr<PoolMemory> pool_memory(CachePlace place, std::int64_t bytes) override {
    return make_pool_memory(place, bytes);
  }

 private:
  std::shared_ptr<Engines> engines_;
  std::shared_ptr<const DeviceWeights> weights_;
  std::map<int, std::shared_ptr<Instance>> instances_;
};

std::unique_ptr<Session> CudaModel::prepare(const Plan& plan, const Shape& shape,
                                            const SessionOptions& options) {
  if (const auto reason =
          plan.loads_passages() ? codec_why_not(options.cache_dtype) : std::nullopt) {
    throw Unavailable(*reason);
  }
  std::shared_ptr<Instance>& instance = instances_[options.instance];
  if (!instance) {
    instance = std::make_shared<Instance>(engines_->device.cache_bytes);
  }
  return std::make_unique<CudaSession>(weights_, engines_, instance, plan, shape, options);
}

class CudaBackend final : public Backend {
 public:
  BackendInfo info() const override;
  std::optional<std::string> why_not(const ModelConfig& config, DType dtype,
                                     DType cache_dtype) const override;
  std::optional<std::string> why_not_placed(CachePlace, bool) const override {
    return std::nullopt;
  }
  std::unique_ptr<Model> load(const WeightSource& weights, const LoadOptions& options) override;

 private:
  /// Why there is no device to compute on, or empty: then device_ is known. Asked once of a device
  /// that is there: making a context takes a moment.
  std::string find_device() const;

  mutable std::optional<Device> device_;
};

std::string CudaBackend::find_device() const {
  if (device_) {
    return "";
  }
  std::string reason = why_no_device();
  if (!reason.empty()) {
    return reason;
  }
  try {
    device_ = current_device();
  } catch (const std::exception& error) {
    return error.what();  // there is one, and it can't be used: taken by another process, say
  }
  return "";
}

BackendInfo CudaBackend::info() const {
  const std::string unavailable = find_device();
  if (!unavailable.empty()) {
    return {.name = "cuda",
            .description = fmt::format("cuBLASLt, cuDNN and kernels of our own, built with CUDA {}",
                                       version_text(CUDART_VERSION)),
            .unavailable = unavailable};
  }
  const Device& found = *device_;
  return {.name = "cuda",
          .description =
              fmt::format("CUDA {} (driver {}), {}, {}, kernels of our own",
                          version_text(found.runtime_version), version_text(found.driver_version),
                          LtLibrary::describe(), CudnnAttention::describe()),
          .unavailable = "",
          .device = found.name,
          .device_bus = found.bus,
          .device_memory_bytes = found.free_bytes,
          .device_cache_bytes = found.cache_bytes};
}

std::optional<std::string> CudaBackend::why_not(const ModelConfig& config, DType dtype,
                                                DType cache_dtype) const {
  if (auto reason = find_device(); !reason.empty()) {
    return reason;
  }
  if (auto reason = dtype_why_not(dtype, device_->capability)) {
    return reason;
  }
  if (auto reason = model_why_not(config)) {
    return reason;
  }
  return codec_why_not(cache_dtype);
}

std::unique_ptr<Model> CudaBackend::load(const WeightSource& weights, const LoadOptions& options) {
  if (const auto reason = why_not(weights.config(), options.dtype, DType::f32)) {
    throw Unavailable(*reason);
  }
  return std::make_unique<CudaModel>(weights, options);
}

}  // namespace
}  // namespace cuda

std::unique_ptr<Backend> make_cuda_backend() {
  return std::make_unique<cuda::CudaBackend>();
}

}  // namespace deformer
