#include "backends/cuda/host/algorithm_memory.hpp"

#include <utility>

#include <fmt/format.h>

namespace deformer::cuda {
namespace {

constexpr const char* kName = "cuda-products";

std::string hex(const std::array<std::byte, 64>& bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  }
  return text;
}

std::optional<unsigned> digit(char c) {
  if (c >= '0' && c <= '9') {
    return static_cast<unsigned>(c - '0');
  }
  if (c >= 'a' && c <= 'f') {
    return static_cast<unsigned>(c - 'a') + 10U;
  }
  return std::nullopt;
}

std::optional<std::array<std::byte, 64>> from_hex(const std::string& text) {
  std::array<std::byte, 64> bytes{};
  if (text.size() != 2 * bytes.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto high = digit(text[2 * i]);
    const auto low = digit(text[2 * i + 1]);
    if (!high || !low) {
      return std::nullopt;
    }
    bytes[i] = static_cast<std::byte>(*high << 4 | *low);
  }
  return bytes;
}

/// What is stored for one bucket, or nullopt where it is not what we write.
std::optional<Algorithm> algorithm_from(const nlohmann::ordered_json& value) {
  if (!value.is_object() || !value.contains("algorithm") || !value["algorithm"].is_string() ||
      !value.contains("workspace_bytes") || !value["workspace_bytes"].is_number_integer() ||
      !value.contains("time_us") || !value["time_us"].is_number()) {
    return std::nullopt;
  }
  const auto bytes = from_hex(value["algorithm"].get<std::string>());
  if (!bytes) {
    return std::nullopt;
  }
  return Algorithm{*bytes, value["workspace_bytes"].get<std::int64_t>(),
                   value["time_us"].get<double>()};
}

}  // namespace

AlgorithmMemory::AlgorithmMemory(std::string device, std::string library, const MachineStore* store)
    : device_(std::move(device)), library_(std::move(library)) {
  if (store != nullptr) {
    store_ = *store;
    if (const auto stored = store_->load(kName)) {
      read(stored->value);
    }
  }
}

void AlgorithmMemory::read(const nlohmann::ordered_json& value) {
  const bool ours = value.is_object() && value.contains("device") && value["device"] == device_ &&
                    value.contains("library") && value["library"] == library_ &&
                    value.contains("products") && value["products"].is_object();
  if (!ours) {
    return;
  }
  for (const auto& [bucket, stored] : value["products"].items()) {
    if (const auto algorithm = algorithm_from(stored)) {
      known_[bucket] = *algorithm;
    }
  }
}

std::optional<Algorithm> AlgorithmMemory::find(const std::string& bucket) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(bucket);
  return found == known_.end() ? std::nullopt : std::optional(found->second);
}

void AlgorithmMemory::remember(const std::string& bucket, const Algorithm& algorithm) {
  const std::lock_guard lock(mutex_);
  known_[bucket] = algorithm;
  changed_ = true;
}

nlohmann::ordered_json AlgorithmMemory::json() const {
  nlohmann::ordered_json products = nlohmann::ordered_json::object();
  for (const auto& [bucket, algorithm] : known_) {
    products[bucket] = {{"algorithm", hex(algorithm.bytes)},
                        {"workspace_bytes", algorithm.workspace_bytes},
                        {"time_us", algorithm.time_us}};
  }
  return {{"device", device_}, {"library", library_}, {"products", products}};
}

void AlgorithmMemory::save() {
  const std::lock_guard lock(mutex_);
  if (store_ && changed_) {
    changed_ = !store_->save(kName, json());
  }
}

}  // namespace deformer::cuda
