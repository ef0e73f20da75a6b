#include "backends/cuda/weights.hpp"

namespace deformer::cuda {

DeviceWeights::DeviceWeights(const WeightSource& source, const LoadOptions& options)
    : config(source.config()),
      numbers(numbers_of(options.dtype)),
      places(weight_places(config, numbers, options.positions)),
      block(Memory::device(places.bytes, "weights of " + config.name)) {
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current device");
  pack_weights(source, numbers, places, options.threads,
               [&](std::int64_t at, std::span<const std::byte> bytes) {
                 check(cudaSetDevice(device), "choosing the device");  // once a thread
                 upload(block.data() + at, bytes.data(), bytes.size(), "uploading weights");
               });
}

}  // namespace deformer::cuda
