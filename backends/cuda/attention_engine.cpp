#include "backends/cuda/attention_engine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <set>

#include "backends/cuda/kernels/attention_forms.hpp"
#include "backends/cuda/stopwatch.hpp"

namespace deformer::cuda {
namespace {

/// First byte of what is remembered: one of AttentionForm, or this.
constexpr std::byte kByLibrary{0xFF};
constexpr std::byte kUnknown{0xFE};

const char* name_of(AttentionForm form) {
  constexpr const char* kNames[] = {" (tall)", " (split)", " (even)", " (brief)", " (broad)"};
  return kNames[static_cast<std::size_t>(form)];
}

/// All that a cuDNN graph depends on but the addresses of its operands, and the version of our
/// kernels that it was compared with.
std::string key_of(const AttentionArgs& args) {
  return fmt::format("attention {}{} element {} heads {} of {} sequences {}{} longest {} rows {}",
                     kAttentionVersion, args.relative.keys != nullptr ? " relative" : "",
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
  } catch (const DeviceFault& fault) {
    throw_again(fault, "cuDNN for " + key_of(args));
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
  const std::vector<AttentionForm> forms = prepared_forms(args, stream);
  if (device_.own_kernels) {
    run_each(args, forms, stream);
    choices_[key] = {.form = forms.front(), .formed = forms.size() > 1};
    return;
  }
  const std::optional<Algorithm> known = memory_.find(key);
  const std::byte by = known ? known->bytes[0] : kUnknown;
  Choice choice{.form = forms.front(), .formed = forms.size() > 1};
  if (by == kUnknown || by == kByLibrary) {
    choice.cudnn = tried(args, workspace, workspace_bytes, stream);
  }
  if (by == kUnknown && (choice.cudnn != nullptr || forms.size() > 1)) {
    memory_.remember(key, quickest(args, forms, choice, workspace, stream));
  } else if (by != kUnknown && by != kByLibrary) {
    choice.form = std::ranges::find(forms, static_cast<AttentionForm>(by)) != forms.end()
                      ? static_cast<AttentionForm>(by)
                      : forms.front();
  }
  choices_[key] = std::move(choice);
}

std::vector<AttentionForm> AttentionEngine::prepared_forms(AttentionArgs args,
                                                           cudaStream_t stream) const {
  std::vector<AttentionForm> forms;
  for (const AttentionForm form : kAttentionForms) {
    args.form = form;
    if (has_form(args, form)) {
      prepare_attention_kernel(args, device_.shared_bytes_block);
      launch_kernel(args, {.stream = stream, .load_only = true});
      forms.push_back(form);
    }
  }
  return forms;
}

void AttentionEngine::run_each(AttentionArgs args, const std::vector<AttentionForm>& forms,
                               cudaStream_t stream) const {
  const bool early = device_.launches_early();
  for (const AttentionForm form : forms) {
    args.form = form;
    launch_kernel(args, {.stream = stream, .early = early && form != forms.front()});
  }
  check(cudaStreamSynchronize(stream), "trying our kernels of attention");
}

Algorithm AttentionEngine::quickest(AttentionArgs args, const std::vector<AttentionForm>& forms,
                                    Choice& choice, void* workspace, cudaStream_t stream) const {
  const bool early = device_.launches_early();
  Algorithm best;
  best.time_us = std::numeric_limits<double>::infinity();
  if (choice.cudnn != nullptr) {
    best.bytes[0] = kByLibrary;
    best.time_us = time_us(stream, kInARow, "cuDNN for " + key_of(args),
                           [&](int) { choice.cudnn->run(args, workspace, stream); });
  }
  for (const AttentionForm form : forms) {
    args.form = form;
    const std::string tried = "our kernel" + std::string(name_of(form)) + " for " + key_of(args);
    const double time = time_us(stream, kInARow, tried, [&](int number) {
      launch_kernel(args, {.stream = stream, .early = early && number > 0});
    });
    if (time < best.time_us) {
      best.bytes[0] = static_cast<std::byte>(form);
      best.time_us = time;
      choice.cudnn = nullptr;
      choice.form = form;
    }
  }
  return best;
}

bool AttentionEngine::run(const AttentionArgs& args, void* workspace, const LaunchPlace& place) {
  const Choice& choice = choices_.at(key_of(args));
  if (choice.cudnn != nullptr) {
    choice.cudnn->run(args, workspace, place.stream);
    return false;
  }
  AttentionArgs formed = args;
  formed.form = choice.form;
  launch_kernel(formed, place);
  return true;
}

std::string AttentionEngine::describe() const {
  std::set<std::string> found;
  for (const auto& [key, choice] : choices_) {
    found.insert(choice.cudnn != nullptr
                     ? CudnnAttention::describe()
                     : "own kernel" + std::string(choice.formed ? name_of(choice.form) : ""));
  }
  std::string text;
  for (const std::string& name : found) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return refusal_.empty() ? text : fmt::format("{} (cuDNN failed: {})", text, refusal_);
}

}  // namespace deformer::cuda
