#pragma once
/// Made-up measurements whose truth is known: rounds nested in processes, with the noise that real
/// ones have.

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "reports/gate/observations.hpp"

namespace deformer {

struct SimulatedNoise {
  double process_ln = 0.004;  ///< of a process against the next: layout, address space
  double round_ln = 0.01;     ///< of a round against the next, heavy-tailed
  double drift_ln = 0.01;     ///< of the machine; shared by what is measured in the same round
  double correlation = 0.8;   ///< of the drift, from one round to the next
  double spikes = 0.02;       ///< share of samples that take up to half as long again
};

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed, SimulatedNoise noise = {})
      : random_(seed), noise_(noise) {}

  /// `effect`: head takes 1 + effect times as long; `full_effect`: the same of full.
  GatePair pair(std::size_t rounds, double effect = 0, double full_effect = 0,
                bool confirming = false) {
    GatePair pair;
    pair.confirming = confirming;
    pair.base.resize(rounds);
    pair.head.resize(rounds);
    const double base = process();
    const double head = process() + std::log1p(effect);
    const double base_full = process();
    const double head_full = process() + std::log1p(full_effect);
    for (std::size_t r = 0; r < rounds; ++r) {
      step();
      pair.base[r] = {sample(base), 2 * sample(base_full)};
      pair.head[r] = {sample(head), 2 * sample(head_full)};
    }
    return pair;
  }

  GatePoint point(std::size_t pairs, std::size_t rounds, double effect = 0,
                  double full_effect = 0) {
    GatePoint point = named("p" + std::to_string(next_++), "cached");
    for (std::size_t i = 0; i < pairs; ++i) {
      point.pairs.push_back(pair(rounds, effect, full_effect));
    }
    return point;
  }

  /// A point without observations, fine on both sides.
  static GatePoint named(const std::string& name, const std::string& variant) {
    GatePoint point;
    point.key = point.name = name;
    point.group = "g";
    point.variant = variant;
    point.reproduce = "deformer-bench sweep --model bert-tiny";
    point.base.status = point.head.status = "ok";
    point.base.isa = point.head.isa = "avx2";
    return point;
  }

  GateProcess alone(std::size_t rounds, double effect = 0) {
    GateProcess process;
    for (const GateRound& round : pair(rounds, effect).head) {
      process.rounds.push_back(round);
    }
    return process;
  }

 private:
  double process() { return noise_.process_ln * normal_(random_); }
  void step() {
    drift_ = noise_.correlation * drift_ +
             std::sqrt(1 - noise_.correlation * noise_.correlation) * normal_(random_);
  }
  double sample(double centre_ln) {
    // Student's t with 3 degrees of freedom has standard deviation sqrt(3).
    double ln =
        centre_ln + noise_.drift_ln * drift_ + noise_.round_ln * heavy_(random_) / std::sqrt(3);
    if (uniform_(random_) < noise_.spikes) {
      ln += std::log1p(uniform_(random_) / 2);
    }
    return 1e6 * std::exp(ln);
  }

  std::mt19937_64 random_;
  SimulatedNoise noise_;
  std::normal_distribution<double> normal_;
  std::student_t_distribution<double> heavy_{3};
  std::uniform_real_distribution<double> uniform_;
  double drift_ = 0;
  int next_ = 0;
};

/// Both sides known and of one machine.
inline GateInput simulated_gate(std::vector<GatePoint> points) {
  GateInput input;
  input.base.name = "base.jsonl";
  input.head.name = "head.jsonl";
  input.base.build = "b1";
  input.head.build = "b2";
  input.base.machine = input.head.machine = {{"cpu_model", "X"}};
  input.points = std::move(points);
  return input;
}

}  // namespace deformer
