#pragma once
// A session of the example: everything allocated for one plan and shape. Reads the structs of
// plugin.h; throws, which module.cpp keeps inside.

#include <deformer-bench/plugin.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bert.hpp"

namespace loops {

class Session {
 public:
  Session(const Bert& bert, const deformer_plan& plan, const deformer_shape& shape,
          const deformer_session_options& options);

  // Allocates nothing.
  void run(const deformer_inputs& inputs);

  const std::vector<std::int64_t>& phase_ns() const { return phase_ns_; }
  std::int64_t bytes() const { return bytes_; }
  const Floats& output() const { return states_[output_segment()].rows; }
  const Floats& head() const { return head_; }
  // nullptr: the plan never has it.
  const Floats* kept(std::int32_t segment, std::int64_t layers) const;

 private:
  struct Kept {
    std::int32_t segment;
    std::int64_t layers;
    Floats rows;
    bool filled;
  };
  struct Text {
    std::int32_t segment;  // whose texts it is one of
    std::int64_t text;     // which
  };

  std::int64_t question_of(std::int64_t pair) const {
    return pair / (r_ * c_) * r_ + pair / c_ % r_;
  }
  std::int64_t passage_of(std::int64_t pair) const { return pair / (r_ * c_) * c_ + pair % c_; }
  std::size_t output_segment() const;
  void reserve();
  void run_phase(const deformer_phase& phase, const deformer_inputs& inputs);
  void keep(std::int32_t segment, std::int64_t layers);
  // The texts of sequence i of a segment, first to last.
  const std::vector<Text>& texts_of(std::int32_t segment, std::int64_t i);
  void embed(std::int32_t segment, const deformer_inputs& inputs);
  void load(const deformer_inputs& inputs);
  void join();
  void classify();

  const Bert& bert_;
  std::int64_t split_, r_, c_;
  std::int32_t order_;
  bool run_on_, one_layer_;
  std::vector<deformer_phase> phases_;
  std::vector<std::int64_t> keep_;
  std::vector<std::int64_t> phase_ns_;
  std::vector<std::int64_t> lengths_[3];  // of the sequences, by segment
  States states_[3];
  Scratch scratch_;
  std::vector<Kept> kept_;
  std::vector<Text> texts_;
  Floats head_, pooled_;
  std::int64_t bytes_ = 0;
};

}  // namespace loops
