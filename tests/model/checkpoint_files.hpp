#pragma once
/// A checkpoint on disk that tests bend before they open it, and a tensor of an open one.

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/weights.hpp"
#include "tests/model/files.hpp"

namespace deformer::test {

/// Element i of tensor number t is t + i/1024, so that every value tells where it comes from.
class CheckpointFiles {
 public:
  explicit CheckpointFiles(nlohmann::json of) : config(std::move(of)) {}

  void add(const std::string& name, const std::vector<std::int64_t>& shape) {
    const std::int64_t elements =
        std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
    std::vector<float> values;
    for (std::int64_t i = 0; i < elements; ++i) {
      values.push_back(static_cast<float>(tensors.size()) + static_cast<float>(i) / 1024);
    }
    tensors.push_back({name, "F32", shape, bytes_of(values)});
  }

  /// weight of that shape, and a bias as long as its first extent
  void add_pair(const std::string& name, const std::vector<std::int64_t>& shape) {
    add(name + ".weight", shape);
    add(name + ".bias", {shape[0]});
  }

  TensorToWrite& at(std::string_view name) {
    return *std::ranges::find(tensors, name, &TensorToWrite::name);
  }

  void rename_all(const std::function<std::string(const std::string&)>& rename) {
    for (TensorToWrite& tensor : tensors) tensor.name = rename(tensor.name);
  }

  void erase(std::string_view part) {
    std::erase_if(tensors, [&](const auto& t) { return t.name.find(part) != std::string::npos; });
  }

  std::unique_ptr<WeightSource> open() {
    dir.write("config.json", config.dump());
    dir.write("model.safetensors", safetensors(tensors));
    return open_checkpoint(dir.path(), dir.path());
  }

  std::string error() {
    return bad_input_of([&] { open(); });
  }

  std::vector<float> values_of(std::string_view name) {
    const std::string& bytes = at(name).bytes;
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }

  TempDir dir;
  nlohmann::json config;
  std::vector<TensorToWrite> tensors;
};

inline std::vector<float> read(const WeightSource& source, TensorId id) {
  const auto shape = tensor_shape(source.config(), id);
  std::vector<float> values(static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>())));
  source.read(id, values);
  return values;
}

}  // namespace deformer::test
