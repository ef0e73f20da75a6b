#include "backends/cpu/engine_choice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <tuple>

#include <fmt/format.h>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/kernels.hpp"
#include "profilers/clock.hpp"

namespace deformer {
namespace {

/// A squad question and a squad joint sequence: the rows most forwards have.
constexpr std::array<std::int64_t, 2> kRows{27, 320};
/// Of each: the quickest counts, so that a disturbance of a few milliseconds does not decide.
constexpr int kTries = 5;
/// Read between two tries, so that weights come from memory as they do in a forward pass over many
/// layers. On a Zen 4, M=27: with weights left in the cache oneDNN is ahead by 3 to 6 % at three of
/// bert-base's four products, from memory it is behind by 15 to 32 % at all of them.
constexpr std::int64_t kEvictBytes = std::int64_t{64} << 20;
/// Smaller products finish within the noise of a clock; no choice is worth a measurement.
constexpr std::int64_t kSmallest = 128 * 128;
/// oneDNN must be this much faster: panels also save its fork and join, which is not timed here.
constexpr double kMargin = 0.97;

constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));

void fill(std::span<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 0.01F * static_cast<float>(i % 7);
  }
}

void run_once(const Linear& linear, const LinearWeights& weights, Team& team) {
  if (linear.shared()) {
    team.run([&](const Worker& worker) { linear.work(weights, worker); });
  } else {
    linear.run_alone(weights);
  }
}

void evict_weights(Team& team, const AlignedBuffer& other) {
  team.run([&](const Worker& worker) {
    const Share share = worker.share(other.bytes() / kFloatBytes);
    kernels::dot(other.floats() + share.first, other.floats() + share.first,
                 share.last - share.first);
  });
}

std::int64_t quickest_ns(const LinearEngine& engine, const LinearWeights& weights,
                         std::int64_t rows, Team& team, const AlignedBuffer& other) {
  const AlignedBuffer source(rows * row_stride(engine.kind().in) * kFloatBytes);
  const AlignedBuffer result(rows * row_stride(engine.kind().out) * kFloatBytes);
  fill({source.floats(), static_cast<std::size_t>(source.bytes() / kFloatBytes)});
  const auto linear = engine.prepare(rows);
  const AlignedBuffer scratchpad(linear->scratchpad_bytes());
  linear->bind({source.floats(), result.floats(), scratchpad.data()});
  std::int64_t quickest = std::numeric_limits<std::int64_t>::max();
  for (int i = 0; i <= kTries; ++i) {
    evict_weights(team, other);
    const std::int64_t start = now_ns();
    run_once(*linear, weights, team);
    const std::int64_t taken = now_ns() - start;
    quickest = i == 0 ? quickest : std::min(quickest, taken);  // the first touches everything
  }
  return quickest;
}

/// Geometric mean over kRows, so that few rows count as much as many.
double mean_log_ns(const LinearEngine& engine, Team& team, const AlignedBuffer& other) {
  Slab slab;
  const auto weights = engine.pack(fill, fill, slab);
  double sum = 0;
  for (const std::int64_t rows : kRows) {
    sum += std::log(static_cast<double>(quickest_ns(engine, *weights, rows, team, other)));
  }
  return sum / static_cast<double>(kRows.size());
}

bool onednn_wins(const LinearEngine& panels, const LinearEngine& onednn, int threads) {
  Team team(threads, {});
  const AlignedBuffer other(kEvictBytes);
  return std::exp(mean_log_ns(onednn, team, other)) <
         kMargin * std::exp(mean_log_ns(panels, team, other));
}

std::string store_name(const LinearKind& kind, int threads) {
  return fmt::format("product-f32-{}-{}-{}-t{}", kind.in, kind.out, static_cast<int>(kind.epilogue),
                     threads);
}

/// The engine the store names; null when it names none of ours.
std::shared_ptr<const LinearEngine> stored_engine(const LinearKind& kind, const std::string& name,
                                                  const MachineStore* store) {
  const auto stored = store == nullptr ? std::nullopt : store->load(name);
  if (!stored || !stored->value.is_object() || !stored->value.contains("engine")) {
    return nullptr;
  }
  const auto& engine = stored->value["engine"];
  if (engine == "panels") {
    return make_panel_engine(kind);
  }
  return engine == "onednn" ? make_onednn_engine(kind) : nullptr;
}

std::shared_ptr<const LinearEngine> measure(const LinearKind& kind, int threads,
                                            const MachineStore* store) {
  std::shared_ptr<const LinearEngine> panels = make_panel_engine(kind);
  if (kind.in * kind.out < kSmallest) {
    return panels;
  }
  const std::string name = store_name(kind, threads);
  if (auto known = stored_engine(kind, name, store)) {
    return known;
  }
  std::shared_ptr<const LinearEngine> onednn = make_onednn_engine(kind);
  const auto chosen = onednn_wins(*panels, *onednn, threads) ? onednn : panels;
  if (store != nullptr) {
    store->save(name, {{"engine", chosen->name()}});
  }
  return chosen;
}

}  // namespace

std::shared_ptr<const LinearEngine> choose_engine(const LinearKind& kind, int threads,
                                                  EngineChoice choice, const MachineStore* store) {
  if (choice == EngineChoice::panels) {
    return make_panel_engine(kind);
  }
  if (choice == EngineChoice::onednn) {
    return make_onednn_engine(kind);
  }
  static std::mutex mutex;
  static std::map<std::tuple<std::int64_t, std::int64_t, Epilogue, int>,
                  std::shared_ptr<const LinearEngine>>
      remembered;
  const std::lock_guard lock(mutex);
  auto& engine = remembered[{kind.in, kind.out, kind.epilogue, threads}];
  if (!engine) {
    engine = measure(kind, threads, store);
  }
  return engine;
}

}  // namespace deformer
