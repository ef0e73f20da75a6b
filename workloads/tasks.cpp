#include "workloads/tasks.hpp"

#include <algorithm>

namespace deformer {

const std::vector<Task>& all_tasks() {
  static const std::vector<Task> tasks{
      {"squad", 27, 293, Order::question_first, 1, HeadKind::span, 2,
       "SQuAD v1.1: a question, a paragraph cached"},
      {"race", 32, 480, Order::question_first, 4, HeadKind::classes, 1,
       "RACE: four question+option texts, one article cached"},
      {"boolq", 17, 303, Order::question_first, 1, HeadKind::classes, 2,
       "BoolQ: a yes/no question, a paragraph cached"},
      {"mnli", 33, 87, Order::passage_first, 1, HeadKind::classes, 3,
       "MNLI: a hypothesis, the premise (first text) cached"},
      {"qqp", 58, 42, Order::passage_first, 1, HeadKind::classes, 2,
       "QQP: a question, the other question (first text) cached"},
      {"hotpot", 42, 2006, Order::question_first, 1, HeadKind::span, 2,
       "HotpotQA: a question, ten paragraphs cached; over 512 positions"},
  };
  return tasks;
}

const Task* find_task(std::string_view name) {
  const auto found = std::ranges::find(all_tasks(), name, &Task::name);
  return found == all_tasks().end() ? nullptr : &*found;
}

}  // namespace deformer
