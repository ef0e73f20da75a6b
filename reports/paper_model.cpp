#include "reports/paper_model.hpp"

#include <exception>

#include "model/config.hpp"
#include "model/plan.hpp"
#include "workloads/lengths.hpp"

namespace deformer {

std::optional<PlanCost> paper_cost(const PaperShape& shape, Variant variant) {
  const auto config = builtin_model(shape.model);
  const Task* task = find_task(shape.task);
  if (!config || task == nullptr) return std::nullopt;
  ModelConfig with_head = *config;
  with_head.head = task->head;
  with_head.classes = task->classes;
  const Order order = paper_order(shape.model, *task);
  try {
    const Shape lengths =
        draw_shape(Lengths{}, shape.batch, task->question, task->passage, task->r, 1, 1);
    return cost_of(with_head, make_plan(with_head, variant, shape.split, order), lengths);
  } catch (const std::exception&) {
    return std::nullopt;  // an architecture that this build does not know to count
  }
}

std::optional<double> paper_flop_ratio(const PaperShape& shape, Variant variant) {
  const auto full = paper_cost(shape, Variant::full);
  const auto other = paper_cost(shape, variant);
  if (!full || !other) return std::nullopt;
  return static_cast<double>(full->total.flops()) / static_cast<double>(other->total.flops());
}

std::optional<double> paper_memory_reduction(const PaperShape& shape) {
  const auto full = paper_cost(shape, Variant::full);
  const auto cached = paper_cost(shape, Variant::cached);
  if (!full || !cached) return std::nullopt;
  return 100 * (1 - static_cast<double>(cached->total.bytes_requested) /
                        static_cast<double>(full->total.bytes_requested));
}

Order paper_order(std::string_view model, const Task& task) {
  return model.starts_with("xlnet") ? Order::passage_first : task.order;
}

std::int64_t paper_split(std::string_view model) {
  if (model == "bert-large") return 20;
  return model.starts_with("xlnet") ? 8 : 9;
}

}  // namespace deformer
