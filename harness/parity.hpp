#pragma once
/// Parity: every point is checked once against the reference of the same variant and split before
/// it is measured. A fast wrong result is no result.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/group.hpp"

namespace deformer {

struct ParityRecord {
  std::string against = "reference";
  std::int64_t sequences =
      0;  ///< sequences looked at: up to two against the reference, six at batch 1
  double max_abs = 0;
  double cosine_min = 1;
  /// Largest difference of another instance's output from the first's; nullopt for one instance.
  std::optional<double> max_abs_between_instances;
  std::optional<double> tolerance;  ///< nullopt when only reported
  std::string rule;                 ///< the tolerance in words
  bool ok = false;
};

class ParityChecker {
 public:
  /// One record a runner of the group, in their order. The first and the longest sequence are
  /// compared with the reference, at most six others with the same backend at batch 1. Instances
  /// run side by side on the same ids; the others' whole outputs are compared with the first's.
  /// Reference outputs are remembered by ids, weights and split and shared by all that asks for the
  /// same.
  std::vector<ParityRecord> check(PreparedGroup& group, const WeightSource& weights);

 private:
  struct PairTexts;
  using ReferenceKey = std::string;
  void add_reference(PreparedGroup& group, const WeightSource& weights, const PairTexts& pair);
  ParityRecord check_runner(PreparedGroup& group, const WeightSource& weights, Runner& runner);

  std::map<ReferenceKey, std::vector<double>> outputs_;
  std::size_t remembered_bytes_ = 0;
};

}  // namespace deformer
