#pragma once
/// The fault hook of tests: a slowdown planted in one operation, to see that it is found there.

#include <cstdint>
#include <string>
#include <string_view>

#include "model/config.hpp"

namespace deformer {

struct Injection {
  std::string text;         ///< as it was asked for; empty when nothing is planted
  std::string operation;    ///< of model/layer_cost.hpp, or embed, load, join, head
  std::int64_t layer = -1;  ///< as the plan counts, from 0; -1: the first range of that name
  double slowdown = 0;      ///< of the whole forward: 0.03 for 3 %

  explicit operator bool() const { return !text.empty(); }
};

/// "op=ffn1,layer=2,slowdown=3%". @throws BadInput saying what was expected.
Injection parse_injection(std::string_view text);

/// @throws BadInput when no plan of the model has that operation or layer.
void check_injection(const Injection& injection, const ModelConfig& config);

}  // namespace deformer
