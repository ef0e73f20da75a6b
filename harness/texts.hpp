#pragma once
/// The ids a group is measured on: one set of questions, and sets of passages for the pool. Seeded
/// streams, or windows of a real text.

#include <cstdint>
#include <vector>

#include "workloads/sweep_spec.hpp"

namespace deformer {

class GroupTexts {
 public:
  /// `sets_wanted`: how many sets of passages the pool would like.
  /// @throws BadInput from the texts; a vocabulary id beyond the model's table.
  GroupTexts(const SweepSpec& spec, const PlannedGroup& group, std::int64_t sets_wanted);

  const std::vector<std::int32_t>& question_ids() const { return question_ids_; }
  /// Packed ids of the passages of a set, set < distinct_sets().
  std::vector<std::int32_t> passage_ids(std::int64_t set) const;
  /// Sets that differ; further ones are copies of these.
  std::int64_t distinct_sets() const { return distinct_sets_; }

 private:
  void cut(const SweepSpec& spec, const PlannedGroup& group, std::int64_t sets_wanted);

  const Point& point_;
  std::int64_t vocab_;
  std::int64_t distinct_sets_;
  std::vector<std::int32_t> question_ids_;
  std::vector<std::vector<std::int32_t>> windows_;  ///< empty for seeded ids
};

}  // namespace deformer
