#include "backends/cpu/cpu.hpp"

#include <libxsmm_version.h>

#include <map>
#include <optional>

#include <fmt/format.h>
#include <hwy/base.h>
#include <hwy/highway.h>

#include "backends/cpu/amx_f32.hpp"
#include "backends/cpu/onednn_compat.hpp"
#include "backends/cpu/session.hpp"
#include "backends/cpu/tiles.hpp"
#include "cache/codec.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

class CpuModel final : public Model {
 public:
  CpuModel(const WeightSource& weights, const LoadOptions& options, EngineChoice choice)
      : packed_(std::make_shared<const PackedModel>(weights, options, choice)) {}

  const ModelConfig& config() const override { return packed_->config(); }
  std::int64_t weight_bytes() const override { return packed_->weight_bytes(); }
  std::vector<std::pair<std::string, std::string>> engines() const override;
  std::unique_ptr<Session> prepare(const Plan& plan, const Shape& shape,
                                   const SessionOptions& options) override;

 private:
  std::shared_ptr<const PackedModel> packed_;
  std::map<int, std::shared_ptr<Arena>> arenas_;  ///< by instance
};

void check_threads(int threads) {
  if (threads < 1) {
    throw BadInput(fmt::format("threads: expected at least 1, found {}", threads));
  }
}

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(EngineChoice choice) : choice_(choice) {}
  BackendInfo info() const override;
  std::optional<std::string> why_not(const ModelConfig& config, DType dtype,
                                     DType cache_dtype) const override;
  std::unique_ptr<Model> load(const WeightSource& weights, const LoadOptions& options) override;

 private:
  EngineChoice choice_;
};

std::vector<std::pair<std::string, std::string>> CpuModel::engines() const {
  const LayerEngines& chosen = packed_->engines();
  return {{"qkv", std::string(chosen.qkv->name())},
          {"out", std::string(chosen.attention_out->name())},
          {"ffn1", std::string(chosen.ffn1->name())},
          {"ffn2", std::string(chosen.ffn2->name())}};
}

std::unique_ptr<Session> CpuModel::prepare(const Plan& plan, const Shape& shape,
                                           const SessionOptions& options) {
  check_threads(options.threads);
  if (const auto reason =
          plan.loads_passages() ? codec_why_not(options.cache_dtype) : std::nullopt) {
    throw Unavailable(*reason);
  }
  std::shared_ptr<Arena>& arena = arenas_[options.instance];
  if (!arena) {
    arena = std::make_shared<Arena>();
  }
  return std::make_unique<CpuSession>(packed_, arena, plan, shape, options);
}

BackendInfo CpuBackend::info() const {
  return {
      "cpu",
      fmt::format("products of our own ({}{}), oneDNN {} ({}), OpenMP", tiles().isa,
                  amx_f32::use() ? ", f32 by AMX" : "", onednn::version(), onednn::effective_isa()),
      ""};
}

std::optional<std::string> CpuBackend::why_not(const ModelConfig& /*config*/, DType dtype,
                                               DType cache_dtype) const {
  if (dtype != DType::f32 && narrow_tiles(dtype).empty()) {
    return why_no_narrow_tiles(dtype);
  }
  return codec_why_not(cache_dtype);
}

std::unique_ptr<Model> CpuBackend::load(const WeightSource& weights, const LoadOptions& options) {
  check_threads(options.threads);
  if (const auto reason = why_not(weights.config(), options.dtype, DType::f32)) {
    throw Unavailable(*reason);
  }
  if (weights.config().type_vocab_size < 2) {
    throw BadInput(fmt::format("{}: expected a token type for each of two texts, found {} in all",
                               weights.config().name, weights.config().type_vocab_size));
  }
  return std::make_unique<CpuModel>(weights, options, choice_);
}

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(EngineChoice choice) {
  return std::make_unique<CpuBackend>(choice);
}

std::vector<std::pair<std::string, std::string>> cpu_libraries() {
  return {{"oneDNN", onednn::version()},
          {"libxsmm", LIBXSMM_CONFIG_VERSION},
          {"Highway", fmt::format("{}.{}.{}", HWY_MAJOR, HWY_MINOR, HWY_PATCH)},
          {"OpenMP", std::to_string(_OPENMP)}};
}

}  // namespace deformer
