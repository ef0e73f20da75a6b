#pragma once
/// A WeightSource that lies: another's tensors, with a change. Tests show with it that a mistake of
/// that kind is seen.

#include <functional>
#include <utility>

#include "model/weights.hpp"

namespace deformer {

class MutantWeights final : public WeightSource {
 public:
  /// What to do with elements [first_element, first_element + out.size()) of a tensor, in place.
  using Change = std::function<void(TensorId, std::span<float> out)>;

  explicit MutantWeights(const WeightSource& base)
      : WeightSource(base.config(), "mutant of " + base.hash()), base_(base) {}

  ModelConfig& config_to_change() { return config_; }
  void change(Change change) { change_ = std::move(change); }
  /// Every position is off by this many rows.
  void shift_positions(std::int64_t rows) { position_shift_ = rows; }

 protected:
  void do_read(TensorId id, std::int64_t first_element, std::span<float> out) const override {
    if (id.role == Role::word_embedding || id.role == Role::position_embedding ||
        id.role == Role::type_embedding) {
      const std::int64_t shift = id.role == Role::position_embedding ? position_shift_ : 0;
      base_.read_rows(id.role, first_element / config_.d_model + shift, out);
    } else {
      base_.read(id, out);
    }
    if (change_) {
      change_(id, out);
    }
  }

 private:
  const WeightSource& base_;
  Change change_;
  std::int64_t position_shift_ = 0;
};

}  // namespace deformer
