#include "backends/cpu/engine_choice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "backends/cpu/aligned_buffer.hpp"
#include "backends/cpu/kernels.hpp"
#include "model/error.hpp"
#include "profilers/callgrind.hpp"
#include "profilers/clock.hpp"

namespace deformer {
namespace {

/// A squad question and a squad joint sequence: the rows most forwards have.
constexpr std::array<std::int64_t, 2> kRows{27, 320};
/// Of each engine, in turns, so that a slow spell of the machine hits both; of each the quickest
/// counts, so that a disturbance of a few milliseconds does not decide.
constexpr int kTries = 5;
/// Where oneDNN seems ahead it has to stay ahead in as many more. One look was not enough: beside a
/// busy core it took oneDNN for bert-base's products, which cost 33 % at L=27 and 8 % at L=320.
constexpr int kMoreTries = 15;
/// Read between two tries, so that weights come from memory as they do in a forward pass over many
/// layers. On a Zen 4, M=27: with weights left in the cache oneDNN is ahead by 3 to 6 % at three of
/// bert-base's four products, from memory it is behind by 15 to 32 % at all of them.
constexpr std::int64_t kEvictBytes = std::int64_t{64} << 20;
/// Smaller products are ours unmeasured. At a question's rows they take a few microseconds, as long
/// as a fork and join or an interrupt: beside a busy core one of 72 runs of bert-tiny (products of
/// 128 x 128 to 512) took oneDNN for some, which then allocated in every call of a timed forward.
/// MiniLM's smallest, which take tens of microseconds, are measured.
constexpr std::int64_t kSmallest = 384 * 384;
/// oneDNN must be this much faster: ours also saves its fork and join, which is not timed here.
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

/// One engine with rows, weights and scratch of its own, ready to be timed again and again.
class Entrant {
 public:
  Entrant(const LinearEngine& engine, std::int64_t rows, int threads)
      : weights_(engine.pack(fill, fill, slab_)),
        linear_(engine.prepare(rows)),
        source_(rows * row_stride(engine.kind().in) * kFloatBytes),
        result_(rows * row_stride(engine.kind().out) * kFloatBytes),
        scratchpad_(linear_->scratchpad_bytes(threads)) {
    fill({source_.floats(), static_cast<std::size_t>(source_.bytes() / kFloatBytes)});
    linear_->bind({source_.floats(), result_.floats(), scratchpad_.data()});
  }

  void run(Team& team, const AlignedBuffer& other) {
    evict_weights(team, other);
    const std::int64_t start = now_ns();
    run_once(*linear_, *weights_, team);
    quickest_ns_ = std::min(quickest_ns_, now_ns() - start);
  }

  /// Throws away what the first run cost, which touches everything.
  void forget() { quickest_ns_ = std::numeric_limits<std::int64_t>::max(); }
  double log_ns() const { return std::log(static_cast<double>(quickest_ns_)); }

 private:
  Slab slab_;
  std::unique_ptr<LinearWeights> weights_;
  std::unique_ptr<Linear> linear_;
  AlignedBuffer source_;
  AlignedBuffer result_;
  AlignedBuffer scratchpad_;
  std::int64_t quickest_ns_ = std::numeric_limits<std::int64_t>::max();
};

/// oneDNN and our own engine at one number of rows.
class Duel {
 public:
  Duel(const LinearEngine& onednn, const LinearEngine& own, std::int64_t rows, Team& team,
       const AlignedBuffer& other)
      : onednn_(onednn, rows, team.threads()),
        own_(own, rows, team.threads()),
        team_(team),
        other_(other) {
    run(1);
    onednn_.forget();
    own_.forget();
  }

  void run(int tries) {
    for (int i = 0; i < tries; ++i) {
      onednn_.run(team_, other_);
      own_.run(team_, other_);
    }
  }

  /// Logarithm of oneDNN's quickest time over that of ours.
  double log_ratio() const { return onednn_.log_ns() - own_.log_ns(); }

 private:
  Entrant onednn_;
  Entrant own_;
  Team& team_;
  const AlignedBuffer& other_;
};

/// Ratio of times, as the geometric mean over kRows: few rows count as much as many.
double ratio_after(std::vector<std::unique_ptr<Duel>>& duels, int tries) {
  double sum = 0;
  for (const auto& duel : duels) {
    duel->run(tries);
    sum += duel->log_ratio();
  }
  return std::exp(sum / static_cast<double>(duels.size()));
}

bool onednn_wins(const LinearEngine& own, const LinearEngine& onednn, int threads) {
  Team team(threads, {});
  const AlignedBuffer other(kEvictBytes);
  std::vector<std::unique_ptr<Duel>> duels;
  for (const std::int64_t rows : kRows) {
    duels.push_back(std::make_unique<Duel>(onednn, own, rows, team, other));
  }
  return ratio_after(duels, kTries) < kMargin && ratio_after(duels, kMoreTries) < kMargin;
}

/// AMX is ahead of panels from 27 rows on: see amx_f32_linear.cpp.
std::shared_ptr<const LinearEngine> make_own_engine(const LinearKind& kind) {
  std::shared_ptr<const LinearEngine> amx = make_amx_engine(kind);
  return amx != nullptr ? amx : make_panel_engine(kind);
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
  if (engine == "onednn") {
    return make_onednn_engine(kind);
  }
  auto own = make_own_engine(kind);
  return engine == own->name() ? own : nullptr;
}

std::shared_ptr<const LinearEngine> measure(const LinearKind& kind, int threads,
                                            const MachineStore* store) {
  std::shared_ptr<const LinearEngine> own = make_own_engine(kind);
  // Under valgrind times mean nothing, and what they choose must not be remembered for the machine.
  if (kind.in * kind.out < kSmallest || under_valgrind()) {
    return own;
  }
  const std::string name = store_name(kind, threads);
  if (auto known = stored_engine(kind, name, store)) {
    return known;
  }
  std::shared_ptr<const LinearEngine> onednn = make_onednn_engine(kind);
  const auto chosen = onednn_wins(*own, *onednn, threads) ? onednn : own;
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
  if (choice == EngineChoice::amx) {
    if (auto engine = make_amx_engine(kind)) {
      return engine;
    }
    throw Unavailable(
        "f32 products by AMX need AMX-BF16 and AVX-512, which this processor or its "
        "operating system does not offer");
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
