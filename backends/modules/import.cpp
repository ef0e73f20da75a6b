#include "backends/modules/import.hpp"

#include <algorithm>
#include <cctype>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "backends/modules/imported_session.hpp"
#include "backends/plugin/convert.hpp"
#include "model/error.hpp"

namespace deformer::plugin {
namespace {

constexpr std::size_t kLongestName = 32;

std::string text_of(const char* text) {
  return text != nullptr ? text : "";
}

BackendInfo info_of(const deformer_backend& table) {
  deformer_info view{};
  view.size = sizeof view;
  table.info(table.self, &view);
  return {.name = text_of(view.name),
          .description = text_of(view.description),
          .unavailable = text_of(view.unavailable),
          .device = text_of(view.device),
          .device_bus = text_of(view.device_bus),
          .device_memory_bytes = std::max<std::int64_t>(0, view.device_memory_bytes),
          .device_cache_bytes = std::max<std::int64_t>(0, view.device_cache_bytes)};
}

bool names_a_backend(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName &&
         std::ranges::all_of(name, [](unsigned char c) {
           return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-';
         });
}

/// The first function a backend can't be without that is missing, or nullptr.
const char* missing_function(const deformer_backend& table) {
  const std::pair<const char*, bool> needed[] = {
      {"info", table.info == nullptr},       {"why_not", table.why_not == nullptr},
      {"load", table.load == nullptr},       {"unload", table.unload == nullptr},
      {"prepare", table.prepare == nullptr}, {"weight_bytes", table.weight_bytes == nullptr},
      {"release", table.release == nullptr}, {"run", table.run == nullptr},
      {"result", table.result == nullptr},   {"times", table.times == nullptr},
      {"memory", table.memory == nullptr}};
  for (const auto& [name, missing] : needed) {
    if (missing) {
      return name;
    }
  }
  const bool some_pool =
      table.pool_make != nullptr || table.pool_write != nullptr || table.pool_free != nullptr;
  const bool all_pool =
      table.pool_make != nullptr && table.pool_write != nullptr && table.pool_free != nullptr;
  return some_pool && !all_pool ? "pool_make, pool_write or pool_free" : nullptr;
}

/// Serves a module's reads; nothing that is thrown passes through the module.
std::int32_t read_weights(void* context, std::int32_t tensor, std::int64_t layer,
                          std::int64_t first, float* out, std::int64_t count,
                          deformer_error* error) {
  return guarded(error, [&] {
    const auto& source = *static_cast<const WeightSource*>(context);
    const TensorId id{value_of(tensor, Role::head_bias, "tensor"), layer};
    const std::int64_t width = source.config().d_model;
    if (count < 0 || first < 0 || (count > 0 && out == nullptr)) {
      throw std::invalid_argument(
          fmt::format("weights: expected room for a part of {}, found {} elements from {}",
                      to_string(id), count, first));
    }
    const std::span<float> room(out, static_cast<std::size_t>(count));
    const bool table = id.role == Role::word_embedding || id.role == Role::position_embedding ||
                       id.role == Role::type_embedding;
    if (table && layer == -1 && first % width == 0) {
      source.read_rows(id.role, first / width, room);
    } else if (first == 0) {
      source.read(id, room);
    } else {
      throw std::invalid_argument(fmt::format(
          "weights: expected the whole of {}, found a read from element {}", to_string(id), first));
    }
  });
}

class ImportedPool final : public PoolMemory {
 public:
  ImportedPool(const deformer_backend& table, deformer_model* model, deformer_pool pool,
               std::int64_t bytes)
      : table_(table), model_(model), pool_(pool), bytes_(bytes) {}
  ~ImportedPool() override { table_.pool_free(model_, &pool_); }

  void write(std::int64_t offset, std::span<const std::byte> bytes) override {
    const auto size = static_cast<std::int64_t>(bytes.size());
    if (offset < 0 || size > bytes_ || offset > bytes_ - size) {
      throw std::out_of_range("a passage outside of its pool");
    }
    deformer_error error{};
    const int code = table_.pool_write(model_, &pool_, offset, bytes.data(), size, &error);
    throw_on_error(code, error, "pool");
  }
  const std::byte* address() const override { return static_cast<const std::byte*>(pool_.address); }

 private:
  const deformer_backend& table_;
  deformer_model* model_;
  deformer_pool pool_;
  std::int64_t bytes_;
};

using ModelHandle = std::unique_ptr<deformer_model, void (*)(deformer_model*)>;

class ImportedModel final : public Model {
 public:
  ImportedModel(const deformer_backend& table, std::string name, ModelConfig config,
                ModelHandle model)
      : table_(table),
        name_(std::move(name)),
        config_(std::move(config)),
        model_(std::move(model)) {}

  const ModelConfig& config() const override { return config_; }
  std::int64_t weight_bytes() const override {
    return std::max<std::int64_t>(0, table_.weight_bytes(model_.get()));
  }
  std::vector<std::pair<std::string, std::string>> engines() const override;
  std::unique_ptr<Session> prepare(const Plan& plan, const Shape& shape,
                                   const SessionOptions& options) override;
  std::unique_ptr<PoolMemory> pool_memory(CachePlace place, std::int64_t bytes) override;

 private:
  const deformer_backend& table_;
  std::string name_;
  ModelConfig config_;
  ModelHandle model_;
};

std::vector<std::pair<std::string, std::string>> ImportedModel::engines() const {
  constexpr std::int64_t kMostEngines = 64;
  std::vector<std::pair<std::string, std::string>> engines;
  const char* product = nullptr;
  const char* engine = nullptr;
  for (std::int64_t i = 0; table_.engine != nullptr && i < kMostEngines &&
                           table_.engine(model_.get(), i, &product, &engine) != 0;
       ++i) {
    engines.emplace_back(text_of(product), text_of(engine));
  }
  return engines;
}

std::unique_ptr<Session> ImportedModel::prepare(const Plan& plan, const Shape& shape,
                                                const SessionOptions& options) {
  const std::vector<deformer_phase> phases = phases_of(plan);
  const deformer_plan plan_in = plan_view(plan, phases);
  const deformer_shape shape_in = shape_view(shape);
  const deformer_session_options options_in = session_options_view(options);
  deformer_session* session = nullptr;
  deformer_error error{};
  const int code = table_.prepare(model_.get(), &plan_in, &shape_in, &options_in, &session, &error);
  throw_on_error(code, error, name_);
  if (session == nullptr) {
    throw std::runtime_error(name_ + ": the module prepared no session and gave no reason");
  }
  return import_session(table_, name_, config_, plan, shape, options, session);
}

std::unique_ptr<PoolMemory> ImportedModel::pool_memory(CachePlace place, std::int64_t bytes) {
  if (table_.pool_make == nullptr) {
    return nullptr;
  }
  deformer_pool pool{};
  deformer_error error{};
  const int code =
      table_.pool_make(model_.get(), static_cast<std::int32_t>(place), bytes, &pool, &error);
  throw_on_error(code, error, name_);
  return pool.address == nullptr
             ? nullptr
             : std::make_unique<ImportedPool>(table_, model_.get(), pool, bytes);
}

class ImportedBackend final : public Backend {
 public:
  explicit ImportedBackend(const deformer_backend& table) : table_(table), info_(info_of(table)) {}

  BackendInfo info() const override { return info_; }
  std::optional<std::string> why_not(const ModelConfig& config, DType dtype,
                                     DType cache_dtype) const override {
    const deformer_config view = config_view(config);
    deformer_error reason{};
    const int code = table_.why_not(table_.self, &view, static_cast<std::int32_t>(dtype),
                                    static_cast<std::int32_t>(cache_dtype), &reason);
    return reason_of(code, reason);
  }
  std::optional<std::string> why_not_placed(CachePlace place, bool cold) const override {
    if (table_.why_not_placed == nullptr) {
      return Backend::why_not_placed(place, cold);
    }
    deformer_error reason{};
    const int code =
        table_.why_not_placed(table_.self, static_cast<std::int32_t>(place), cold ? 1 : 0, &reason);
    return reason_of(code, reason);
  }
  std::unique_ptr<Model> load(const WeightSource& weights, const LoadOptions& options) override;

 private:
  std::optional<std::string> reason_of(int code, const deformer_error& reason) const {
    if (code == DEFORMER_OK) {
      return std::nullopt;
    }
    const std::string text = message_of(reason);
    return text.empty() ? info_.name + ": the module gave no reason" : text;
  }

  const deformer_backend& table_;
  BackendInfo info_;
};

std::unique_ptr<Model> ImportedBackend::load(const WeightSource& weights,
                                             const LoadOptions& options) {
  if (!info_.unavailable.empty()) {
    throw Unavailable(fmt::format("{}: {}", info_.name, info_.unavailable));
  }
  const deformer_config config = config_view(weights.config());
  const deformer_weights source{.size = sizeof(deformer_weights),
                                .config = &config,
                                .hash = weights.hash().c_str(),
                                .context = const_cast<WeightSource*>(&weights),
                                .read = read_weights};
  const std::string folder = options.store != nullptr ? options.store->folder().string() : "";
  std::vector<const char*> identity;
  if (options.store != nullptr) {
    for (const auto& [field, value] : options.store->identity()) {
      identity.push_back(field.c_str());
      identity.push_back(value.c_str());
    }
  }
  const deformer_load_options load_options{
      .size = sizeof(deformer_load_options),
      .dtype = static_cast<std::int32_t>(options.dtype),
      .threads = options.threads,
      .positions = options.positions,
      .store_folder = folder.empty() ? nullptr : folder.c_str(),
      .store_identity = identity.data(),
      .store_identity_count = static_cast<std::int64_t>(identity.size())};
  deformer_model* model = nullptr;
  deformer_error error{};
  const int code = table_.load(table_.self, &source, &load_options, &model, &error);
  throw_on_error(code, error, info_.name);
  if (model == nullptr) {
    throw std::runtime_error(info_.name + ": the module loaded no model and gave no reason");
  }
  ModelHandle handle(model, table_.unload);  // unloaded whatever is thrown from here on
  return std::make_unique<ImportedModel>(table_, info_.name, weights.config(), std::move(handle));
}

}  // namespace

std::string fault_of(const deformer_backend* table) {
  if (table == nullptr) {
    return fmt::format("its entry point returned no backend for ABI {}", DEFORMER_PLUGIN_ABI);
  }
  if (table->abi != DEFORMER_PLUGIN_ABI) {
    return fmt::format(
        "it speaks plugin ABI {}, this program {}; build it with this program's "
        "deformer-bench/plugin.h",
        table->abi, DEFORMER_PLUGIN_ABI);
  }
  if (table->size < sizeof(deformer_backend)) {
    return fmt::format("its table has {} bytes, expected at least {}", table->size,
                       sizeof(deformer_backend));
  }
  if (const char* missing = missing_function(*table)) {
    return fmt::format("its table lacks the function {}", missing);
  }
  const std::string name = info_of(*table).name;
  if (!names_a_backend(name)) {
    return fmt::format(
        "it calls itself '{}', expected up to {} lower-case letters, digits and dashes",
        name.substr(0, kLongestName), kLongestName);
  }
  return {};
}

std::unique_ptr<Backend> import_backend(const deformer_backend& table) {
  return std::make_unique<ImportedBackend>(table);
}

}  // namespace deformer::plugin
