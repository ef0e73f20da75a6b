#include "backends/cuda/host/supported.hpp"

#include <fmt/format.h>

#include "backends/cuda/host/element.hpp"
#include "backends/cuda/kernels/rows.cuh"

namespace deformer::cuda {
namespace {

constexpr std::int64_t kWidestHead = 128;
constexpr std::int64_t kFp8Multiple = 16;

}  // namespace

std::optional<std::string> model_why_not(const ModelConfig& config, DType dtype) {
  if (config.type_vocab_size < 2) {
    return fmt::format("a pair of texts needs 2 token types, the model has {}",
                       config.type_vocab_size);
  }
  if (config.d_model > kWidestRow) {
    return fmt::format("the cuda backend serves d_model up to {}, the model has {}", kWidestRow,
                       config.d_model);
  }
  if (config.d_head() % kPack != 0 || config.d_head() > kWidestHead) {
    return fmt::format(
        "the cuda backend serves heads of a multiple of {} up to {}, the model's have {}", kPack,
        kWidestHead, config.d_head());
  }
  const std::int64_t multiple = numbers_of(dtype).scaled() ? kFp8Multiple : kPack;
  for (const std::int64_t size : {config.d_model, config.d_ff}) {
    if (size % multiple != 0) {
      return fmt::format(
          "the cuda backend serves widths of a multiple of {} in {}, the model has {}", multiple,
          to_string(dtype), size);
    }
  }
  return std::nullopt;
}

}  // namespace deformer::cuda
