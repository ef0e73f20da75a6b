#include "backends/cuda/attention_engine.hpp"

#include <fmt/format.h>

#include <exception>
#include <set>

#include "backends/cuda/stopwatch.hpp"

namespace deformer::cuda {
namespace {

/// All that a cuDNN graph depends on but the addresses of its operands.
std::string key_of(const AttentionArgs& args) {
  return fmt::format("attention{} element {} heads {} of {} sequences {}{} longest {} rows {}",
                     args.relative.keys != nullptr ? " relative" : "",
                     static_cast<int>(args.element), args.heads, args.d_head, args.sequences,
                     args.uniform ? " uniform" : "", args.longest, args.rows);
}

}  // namespace

std::shared_ptr<CudnnAttention> AttentionEngine::tried(const AttentionArgs& args, void* workspace,
                                                       std::int64_t workspace_bytes,
                                                       cudaStream_t stream) {
  try {
    std::shared_ptr<CudnnAttention> made =
        CudnnAttention::make(args, device_.capability, workspace_bytes);
    if (made != nullptr) {
      made->run(args, workspace, stream);  // brings its code to the device
      check(cudaStreamSynchronize(stream), "trying cuDNN's attention");
    }
    return made;
  } catch (const std::exception& error) {
    forget(cudaGetLastError());
    refusal_ = error.what();
    return nullptr;
  }
}

void AttentionEngine::prepare(const AttentionArgs& args, void* workspace,
                              std::int64_t workspace_bytes, cudaStream_t stream) {
  const std::string key = key_of(args);
  if (choices_.contains(key)) {
    return;
  }
  prepare_attention_kernel(args, device_.shared_bytes_block);
  launch_kernel(args, {.stream = stream, .load_only = true});
  Choice choice;
  const std::optional<Algorithm> known = memory_.find(key);
  if (!known || known->bytes[0] != std::byte{0}) {
    choice.cudnn = tried(args, workspace, workspace_bytes, stream);
  }
  if (choice.cudnn != nullptr && !known) {
    const double library =
        time_us(stream, kInARow, [&](int) { choice.cudnn->run(args, workspace, stream); });
    const double own =
        time_us(stream, kInARow, [&](int) { launch_kernel(args, {.stream = stream}); });
    Algorithm better;
    better.bytes[0] = library <= own ? std::byte{1} : std::byte{0};
    better.time_us = std::min(library, own);
    memory_.remember(key, better);
    if (own < library) {
      choice.cudnn = nullptr;
    }
  }
  choices_[key] = std::move(choice);
}

bool AttentionEngine::run(const AttentionArgs& args, void* workspace, const LaunchPlace& place) {
  const Choice& choice = choices_.at(key_of(args));
  if (choice.cudnn != nullptr) {
    choice.cudnn->run(args, workspace, place.stream);
    return false;
  }
  launch_kernel(args, place);
  return true;
}

std::string AttentionEngine::describe() const {
  std::set<std::string> found;
  for (const auto& [key, choice] : choices_) {
    found.insert(choice.cudnn != nullptr ? CudnnAttention::describe() : "own kernel");
  }
  std::string text;
  for (const std::string& name : found) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return refusal_.empty() ? text : fmt::format("{} (cuDNN failed: {})", text, refusal_);
}

}  // namespace deformer::cuda
