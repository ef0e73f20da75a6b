#include "backends/plugin/export.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "backends/plugin/convert.hpp"
#include "model/error.hpp"

namespace deformer::plugin {
namespace {

/// The program's weights, read through its callback.
class CallbackWeights final : public WeightSource {
 public:
  explicit CallbackWeights(const deformer_weights& view)
      : WeightSource(config_of(*view.config), view.hash != nullptr ? view.hash : ""), view_(view) {}

 protected:
  void do_read(TensorId id, std::int64_t first_element, std::span<float> out) const override {
    deformer_error error{};
    const int code =
        view_.read(view_.context, static_cast<std::int32_t>(id.role), id.layer, first_element,
                   out.data(), static_cast<std::int64_t>(out.size()), &error);
    throw_on_error(code, error, "weights");
  }

 private:
  deformer_weights view_;
};

struct Served {
  Backend* backend = nullptr;
  BackendInfo info;  ///< the strings that were handed out
};

/// What stands behind a deformer_model.
struct ServedModel {
  std::unique_ptr<WeightSource> weights;  ///< a backend may refer to them
  std::unique_ptr<Model> model;
  std::vector<std::pair<std::string, std::string>> engines;
};

/// What stands behind a deformer_session.
struct ServedSession {
  std::unique_ptr<Session> session;
  std::size_t phases = 0;
  std::vector<deformer_stamp> stamps;  ///< [thread][leaf]
  std::vector<std::int64_t> start_ns, end_ns;
  SessionMemory memory;
};

Served& served(void* self) {
  return *static_cast<Served*>(self);
}
ServedModel& served(deformer_model* model) {
  return *reinterpret_cast<ServedModel*>(model);
}
ServedSession& served(deformer_session* session) {
  return *reinterpret_cast<ServedSession*>(session);
}

void info(void* self, deformer_info* out) {
  const BackendInfo& info = served(self).info;
  out->name = info.name.c_str();
  out->description = info.description.c_str();
  out->unavailable = info.unavailable.c_str();
  out->device = info.device.c_str();
  out->device_bus = info.device_bus.c_str();
  out->device_memory_bytes = info.device_memory_bytes;
  out->device_cache_bytes = info.device_cache_bytes;
}

int told(const std::optional<std::string>& why, deformer_error* reason) {
  put_message(reason, why.value_or(""));
  return why ? DEFORMER_UNAVAILABLE : DEFORMER_OK;
}

std::int32_t why_not(void* self, const deformer_config* config, std::int32_t dtype,
                     std::int32_t cache_dtype, deformer_error* reason) {
  int code = DEFORMER_OK;
  const int thrown = guarded(reason, [&] {
    code = told(
        served(self).backend->why_not(config_of(*config), value_of(dtype, DType::tf32, "dtype"),
                                      value_of(cache_dtype, DType::tf32, "cache dtype")),
        reason);
  });
  return thrown != DEFORMER_OK ? thrown : code;
}

std::int32_t why_not_placed(void* self, std::int32_t cache_at, std::int32_t cold,
                            deformer_error* reason) {
  int code = DEFORMER_OK;
  const int thrown = guarded(reason, [&] {
    code = told(served(self).backend->why_not_placed(
                    value_of(cache_at, CachePlace::pageable, "place of the cache"), cold != 0),
                reason);
  });
  return thrown != DEFORMER_OK ? thrown : code;
}

MachineStore store_of(const deformer_load_options& options) {
  MachineStore::Identity identity;
  for (std::int64_t i = 0; i + 1 < options.store_identity_count; i += 2) {
    identity.emplace_back(options.store_identity[i], options.store_identity[i + 1]);
  }
  return {options.store_folder, std::move(identity), [](const std::string&) {}};
}

std::int32_t load(void* self, const deformer_weights* weights, const deformer_load_options* options,
                  deformer_model** out, deformer_error* error) {
  return guarded(error, [&] {
    auto model = std::make_unique<ServedModel>();
    model->weights = std::make_unique<CallbackWeights>(*weights);
    std::optional<MachineStore> store;
    if (options->store_folder != nullptr) {
      store.emplace(store_of(*options));
    }
    model->model = served(self).backend->load(
        *model->weights, {.dtype = value_of(options->dtype, DType::tf32, "dtype"),
                          .threads = options->threads,
                          .positions = options->positions,
                          .store = store ? &*store : nullptr});
    *out = reinterpret_cast<deformer_model*>(model.release());
  });
}

void unload(deformer_model* model) {
  delete &served(model);
}

std::int64_t weight_bytes(deformer_model* model) {
  return served(model).model->weight_bytes();
}

std::int32_t engine(deformer_model* model, std::int64_t index, const char** product,
                    const char** engine) {
  ServedModel& at = served(model);
  const int code = guarded(nullptr, [&] {
    if (index == 0) {
      at.engines = at.model->engines();
    }
  });
  if (code != DEFORMER_OK || index < 0 || index >= static_cast<std::int64_t>(at.engines.size())) {
    return 0;
  }
  const auto& [name, value] = at.engines[static_cast<std::size_t>(index)];
  *product = name.c_str();
  *engine = value.c_str();
  return 1;
}

std::int32_t prepare(deformer_model* model, const deformer_plan* plan, const deformer_shape* shape,
                     const deformer_session_options* options, deformer_session** out,
                     deformer_error* error) {
  return guarded(error, [&] {
    auto made = std::make_unique<ServedSession>();
    const Plan owned = plan_of(*plan);
    made->phases = owned.phases.size();
    made->session =
        served(model).model->prepare(owned, shape_of(*shape), session_options_of(*options));
    if (const RangeLog* log = made->session->ranges(); log != nullptr) {
      made->stamps.resize(static_cast<std::size_t>(log->threads()) *
                          static_cast<std::size_t>(log->tree().leaves()));
      made->start_ns.resize(static_cast<std::size_t>(log->tree().size()));
      made->end_ns.resize(static_cast<std::size_t>(log->tree().size()));
    }
    *out = reinterpret_cast<deformer_session*>(made.release());
  });
}

std::int32_t pool_make(deformer_model* model, std::int32_t cache_at, std::int64_t bytes,
                       deformer_pool* out, deformer_error* error) {
  return guarded(error, [&] {
    *out = {};
    auto pool = served(model).model->pool_memory(
        value_of(cache_at, CachePlace::pageable, "place of the cache"), bytes);
    if (pool) {
      // Only ever passed back to this module, which never writes through it.
      out->address = const_cast<std::byte*>(pool->address());
      out->handle = pool.release();
    }
  });
}

std::int32_t pool_write(deformer_model*, deformer_pool* pool, std::int64_t offset, const void* data,
                        std::int64_t bytes, deformer_error* error) {
  return guarded(error, [&] {
    static_cast<PoolMemory*>(pool->handle)
        ->write(offset, {static_cast<const std::byte*>(data), static_cast<std::size_t>(bytes)});
  });
}

void pool_free(deformer_model*, deformer_pool* pool) {
  delete static_cast<PoolMemory*>(pool->handle);
  *pool = {};
}

void release(deformer_session* session) {
  delete &served(session);
}

Inputs inputs_of(const deformer_inputs& view) {
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  return {.question_ids = {view.question_ids, size(view.question_count)},
          .passage_ids = {view.passage_ids, size(view.passage_count)},
          .cached_passages = {reinterpret_cast<const std::byte* const*>(view.cached_passages),
                              size(view.cached_count)}};
}

std::int32_t run(deformer_session* session, const deformer_inputs* inputs, deformer_error* error) {
  return guarded(error, [&] { served(session).session->run(inputs_of(*inputs)); });
}

std::int32_t kernels(deformer_session* session, const deformer_inputs* inputs,
                     deformer_kernel_sink sink, void* context, deformer_error* error) {
  return guarded(error, [&] {
    for (const KernelTime& one : served(session).session->kernels(inputs_of(*inputs))) {
      const deformer_kernel view{one.name.c_str(), one.phase, one.count, one.ns};
      sink(context, &view);
    }
  });
}

std::int32_t result(deformer_session* session, std::int32_t what, std::int32_t segment,
                    std::int64_t layers, deformer_floats* out, deformer_error* error) {
  return guarded(error, [&] {
    const Session& from = *served(session).session;
    const std::span<const float> values =
        what == DEFORMER_OUTPUT ? from.output()
        : what == DEFORMER_HEAD_OUTPUT
            ? from.head_output()
            : from.layer_output(value_of(segment, Segment::joint, "segment"), layers);
    *out = {values.data(), static_cast<std::int64_t>(values.size())};
  });
}

/// Stamps and outer times into the arrays that were made for them.
void copy_ranges(ServedSession& from, const RangeLog& log, deformer_times* out) {
  const int leaves = log.tree().leaves();
  std::size_t at = 0;
  for (int thread = 0; thread < log.threads(); ++thread) {
    for (int leaf = 0; leaf < leaves; ++leaf, ++at) {
      const RangeStamp& stamp = log.stamp(thread, leaf);
      from.stamps[at] = {stamp.start_ns, stamp.worked_ns, stamp.end_ns};
    }
  }
  for (std::size_t range = 0; range < from.start_ns.size(); ++range) {
    from.start_ns[range] = log.start_ns(static_cast<int>(range));
    from.end_ns[range] = log.end_ns(static_cast<int>(range));
  }
  out->threads = log.threads();
  out->leaves = leaves;
  out->stamps = from.stamps.data();
  out->ranges = static_cast<std::int64_t>(from.start_ns.size());
  out->range_start_ns = from.start_ns.data();
  out->range_end_ns = from.end_ns.data();
}

void times(deformer_session* session, deformer_times* out) {
  ServedSession& from = served(session);
  out->device_ns = from.session->device_ns().value_or(0);
  const std::span<const std::int64_t> phase_ns = from.session->phase_ns();
  const std::span<const std::int64_t> hidden_ns = from.session->hidden_ns();
  out->hidden_ns = hidden_ns.size() == from.phases ? hidden_ns.data() : nullptr;
  out->phase_ns = phase_ns.size() == from.phases ? phase_ns.data() : nullptr;
  if (const RangeLog* log = from.session->ranges(); log != nullptr && !from.stamps.empty()) {
    copy_ranges(from, *log, out);
  }
}

void memory(deformer_session* session, deformer_memory* out) {
  ServedSession& from = served(session);
  if (guarded(nullptr, [&] { from.memory = from.session->memory(); }) != DEFORMER_OK) {
    return;
  }
  out->peak_bytes = from.memory.peak_bytes;
  out->requested_bytes = from.memory.requested_bytes;
  out->allocated_bytes = from.memory.allocated_bytes;
  out->phase_bytes = from.memory.phase_bytes.empty() ? nullptr : from.memory.phase_bytes.data();
  out->flops_executed = from.session->flops_executed().value_or(0);
  if (out->size >= sizeof(deformer_memory)) {  // a program built before has no room for it
    out->launches = from.session->launches().value_or(0);
  }
}

deformer_backend functions() {
  return {.abi = DEFORMER_PLUGIN_ABI,
          .size = sizeof(deformer_backend),
          .self = nullptr,
          .info = info,
          .why_not = why_not,
          .why_not_placed = why_not_placed,
          .load = load,
          .unload = unload,
          .weight_bytes = weight_bytes,
          .engine = engine,
          .prepare = prepare,
          .pool_make = pool_make,
          .pool_write = pool_write,
          .pool_free = pool_free,
          .release = release,
          .run = run,
          .result = result,
          .times = times,
          .memory = memory,
          .kernels = kernels};
}

}  // namespace

deformer_backend table_of(Backend& backend) {
  static Served at;
  at = {&backend, backend.info()};
  deformer_backend table = functions();
  table.self = &at;
  return table;
}

const deformer_backend* entry_of(std::unique_ptr<Backend> (*make)()) noexcept {
  try {
    static const std::unique_ptr<Backend> backend = make();
    static const deformer_backend table = table_of(*backend);
    return &table;
  } catch (...) {
    return nullptr;
  }
}

}  // namespace deformer::plugin
