#pragma once
/// Task presets: the paper's padded lengths, taken as lengths, and which text is cached.
/// Source: the authors' converters as noted in the project's paper notes; race pairs four
/// question+option texts with one article.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/types.hpp"

namespace deformer {

struct Task {
  std::string name;
  std::int64_t question;  ///< tokens, specials included
  std::int64_t passage;   ///< tokens, specials included; the cached text
  Order order;
  std::int64_t r;  ///< questions per passage
  HeadKind head;
  std::int64_t classes;
  std::string description;
};

/// squad race boolq mnli qqp hotpot, in this order.
const std::vector<Task>& all_tasks();

/// nullptr when unknown.
const Task* find_task(std::string_view name);

}  // namespace deformer
