#include "backends/cuda/cupti.hpp"

#include <cuda_runtime_api.h>
#include <cupti.h>

#include <array>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "backends/cuda/dynamic_library.hpp"
#include "model/error.hpp"

namespace deformer::cuda {
namespace {

#if CUDART_VERSION >= 13000
using KernelRecord = CUpti_ActivityKernel10;
using CopyRecord = CUpti_ActivityMemcpy6;
#else
using KernelRecord = CUpti_ActivityKernel9;
using CopyRecord = CUpti_ActivityMemcpy5;
#endif
using FillRecord = CUpti_ActivityMemset4;

constexpr std::array kKinds{
    CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION, CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL,
    CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET,
    // Calls themselves: an external correlation is only told of calls that are recorded.
    CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_ACTIVITY_KIND_DRIVER};

/// The library's functions, found at the first use.
struct Functions {
  DynamicLibrary library{{fmt::format("libcupti.so.{}", CUDART_VERSION / 1000), "libcupti.so"}};
  decltype(&cuptiActivityRegisterCallbacks) register_callbacks = nullptr;
  decltype(&cuptiActivityEnable) enable = nullptr;
  decltype(&cuptiActivityDisable) disable = nullptr;
  decltype(&cuptiActivityFlushAll) flush = nullptr;
  decltype(&cuptiActivityGetNextRecord) next = nullptr;
  decltype(&cuptiActivityPushExternalCorrelationId) push = nullptr;
  decltype(&cuptiActivityPopExternalCorrelationId) pop = nullptr;
  decltype(&cuptiGetResultString) text = nullptr;

  template <typename Function>
  void find(Function& function, const char* symbol) {
    library.bind(function, symbol);
  }

  Functions() {
    find(register_callbacks, "cuptiActivityRegisterCallbacks");
    find(enable, "cuptiActivityEnable");
    find(disable, "cuptiActivityDisable");
    find(flush, "cuptiActivityFlushAll");
    find(next, "cuptiActivityGetNextRecord");
    find(push, "cuptiActivityPushExternalCorrelationId");
    find(pop, "cuptiActivityPopExternalCorrelationId");
    find(text, "cuptiGetResultString");
  }

  void check(CUptiResult code, const char* doing) const {
    if (code != CUPTI_SUCCESS) {
      const char* said = nullptr;
      (void)text(code, &said);
      throw Unavailable(
          fmt::format("CUPTI: {} failed: {} ({}); it needs a driver, and the right to "
                      "read counters (NVreg_RestrictProfilingToAdminUsers=0)",
                      doing, said != nullptr ? said : "no reason given", static_cast<int>(code)));
    }
  }
};

const Functions& functions() {
  static const Functions found;
  return found;
}

/// Buffers that CUPTI filled, of the recorder that runs. Filled by a thread of CUPTI's.
struct Collected {
  std::mutex mutex;
  std::vector<Activity> records;
  std::vector<std::pair<std::uint32_t, int>> calls;
};

Collected& collected() {
  static Collected all;
  return all;
}

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kBufferAlignment = 8;

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(kBufferAlignment, kBufferBytes));
  *size = *buffer == nullptr ? 0 : kBufferBytes;
  *most_records = 0;
}

template <typename Record>
Activity activity_of(Activity::Kind kind, const CUpti_Activity* record, std::string name,
                     std::int64_t bytes) {
  const auto* at = reinterpret_cast<const Record*>(record);
  return {.kind = kind,
          .name = std::move(name),
          .start_ns = static_cast<std::int64_t>(at->start),
          .end_ns = static_cast<std::int64_t>(at->end),
          .correlation = at->correlationId,
          .graph_node = at->graphNodeId,
          .bytes = bytes};
}

void take(Collected& to, const CUpti_Activity* record) {
  switch (record->kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: {
      const char* name = reinterpret_cast<const KernelRecord*>(record)->name;
      to.records.push_back(activity_of<KernelRecord>(Activity::Kind::kernel, record,
                                                     name != nullptr ? name : "", 0));
      return;
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY:
      to.records.push_back(activity_of<CopyRecord>(
          Activity::Kind::copy, record, "",
          static_cast<std::int64_t>(reinterpret_cast<const CopyRecord*>(record)->bytes)));
      return;
    case CUPTI_ACTIVITY_KIND_MEMSET:
      to.records.push_back(activity_of<FillRecord>(
          Activity::Kind::fill, record, "",
          static_cast<std::int64_t>(reinterpret_cast<const FillRecord*>(record)->bytes)));
      return;
    case CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION: {
      const auto* tie = reinterpret_cast<const CUpti_ActivityExternalCorrelation*>(record);
      to.calls.emplace_back(tie->correlationId, static_cast<int>(tie->externalId));
      return;
    }
    default:
      return;  // the calls themselves
  }
}

void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t,
                          std::size_t valid) {
  try {
    Collected& to = collected();
    const std::lock_guard lock(to.mutex);
    CUpti_Activity* record = nullptr;
    while (valid > 0 && functions().next(buffer, valid, &record) == CUPTI_SUCCESS) {
      take(to, record);
    }
  } catch (...) {  // out of memory: what did not fit is not told of
  }
  std::free(buffer);
}

}  // namespace

ActivityRecorder::ActivityRecorder(int ranges) : ranges_(ranges) {
  const Functions& cupti = functions();
  {
    Collected& to = collected();
    const std::lock_guard lock(to.mutex);
    to.records.clear();
    to.calls.clear();
  }
  cupti.check(cupti.register_callbacks(give_buffer, take_buffer), "starting to record");
  running_ = true;
  for (const CUpti_ActivityKind kind : kKinds) {
    if (const CUptiResult code = cupti.enable(kind); code != CUPTI_SUCCESS) {
      stop();
      cupti.check(code, "recording kernels and copies");
    }
  }
}

ActivityRecorder::~ActivityRecorder() {
  stop();
}

void ActivityRecorder::stop() noexcept {
  if (!std::exchange(running_, false)) {
    return;
  }
  const Functions& cupti = functions();
  (void)cupti.flush(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  for (const CUpti_ActivityKind kind : kKinds) {
    (void)cupti.disable(kind);
  }
}

void ActivityRecorder::push(int range) {
  const Functions& cupti = functions();
  cupti.check(
      cupti.push(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, static_cast<std::uint64_t>(range)),
      "opening a range");
}

void ActivityRecorder::pop() {
  const Functions& cupti = functions();
  std::uint64_t last = 0;
  cupti.check(cupti.pop(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &last), "closing a range");
}

ActivityRanges ActivityRecorder::finish() {
  stop();
  ActivityRanges activity(ranges_);
  Collected& from = collected();
  const std::lock_guard lock(from.mutex);
  for (const auto& [correlation, range] : from.calls) {
    activity.tie_call(correlation, range);
  }
  for (Activity& record : from.records) {
    activity.add(std::move(record));
  }
  from.records.clear();
  from.calls.clear();
  return activity;
}

std::string ActivityRecorder::missing() {
  try {
    const ActivityRecorder trial(1);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace deformer::cuda
