#include "backends/cuda/host/supported.hpp"

#include <fmt/format.h>

#include "backends/cuda/kernels/rows.cuh"

namespace deformer::cuda {
namespace {

constexpr std::int64_t kWidestHead = 128;

}  // namespace

std::optional<std::string> model_why_not(const ModelConfig& config) {
  if (config.type_vocab_size < 2) {
    return fmt::format("a pair of texts needs 2 token types, the model has {}",
                       config.type_vocab_size);
  }
  if (config.d_model > kWidestRow) {
    return fmt::format("the cuda backend serves d_model up to {}, the model has {}", kWidestRow,
                       config.d_model);
  }
  if (config.d_head() > kWidestHead) {
    return fmt::format("the cuda backend serves heads of up to {}, the model's have {}",
                       kWidestHead, config.d_head());
  }
  return std::nullopt;
}

}  // namespace deformer::cuda
