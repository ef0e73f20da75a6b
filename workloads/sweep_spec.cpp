#include "workloads/sweep_spec.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "model/cost.hpp"
#include "model/error.hpp"
#include "model/plan.hpp"
#include "workloads/tasks.hpp"
#include "workloads/text.hpp"

namespace deformer {
namespace {

constexpr std::size_t kMaxPoints = 1'000'000;

/// Lengths of texts that all points together hold: 1 GB of them.
constexpr std::size_t kMaxLengths = std::size_t{1} << 27;

template <typename T>
std::vector<T> or_default(const std::vector<T>& values, T fallback) {
  return values.empty() ? std::vector<T>{fallback} : values;
}

/// The parts of a point that a whole group shares, before its shape is drawn.
struct GroupSeed {
  std::size_t model = 0;
  const Task* task = nullptr;
  Point point;
};

DType default_cache_dtype(DType dtype) {
  const bool is_float = dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16;
  return is_float ? dtype : DType::f32;
}

class Expander {
 public:
  explicit Expander(const SweepSpec& spec) : spec_(spec) { check_spec(); }

  std::vector<PlannedGroup> run() {
    for (std::size_t model = 0; model < spec_.models.size(); ++model) {
      for (const std::string& task : or_default(spec_.tasks, std::string{})) {
        add_task(model, task);
      }
    }
    apply_filter();
    refuse_if_all_impossible();
    return std::move(groups_);
  }

 private:
  void check_spec() const {
    if (spec_.models.empty()) {
      throw BadInput("--model: expected at least one model, found none; see `deformer-bench list`");
    }
    if (spec_.text_file.empty() != spec_.questions_file.empty()) {
      throw BadInput("--text and --questions: expected both or neither, found one of them");
    }
    const bool drawn = spec_.lengths.kind != Lengths::Kind::fixed;
    if ((drawn && !spec_.passages.empty()) ||
        (spec_.lengths.kind == Lengths::Kind::file && !spec_.questions.empty())) {
      throw BadInput(
          fmt::format("--lengths {}: draws the passages (a file the questions too); leave {} out",
                      spec_.lengths.source, spec_.passages.empty() ? "--question" : "--passage"));
    }
    if (!spec_.text_file.empty() && spec_.lengths.kind != Lengths::Kind::fixed) {
      throw BadInput("--text: real questions have lengths of their own; leave --lengths out");
    }
  }

  void add_task(std::size_t model, const std::string& name) {
    GroupSeed seed;
    seed.model = model;
    if (!name.empty()) {
      seed.task = find_task(name);
      if (seed.task == nullptr) {
        throw BadInput(fmt::format("--task: expected one of {}, found '{}'", task_names(), name));
      }
    }
    const ModelChoice& choice = spec_.models[model];
    seed.point.model = choice.config.name;
    seed.point.weights = choice.checkpoint ? choice.checkpoint->hash() : "";
    seed.point.task = name;
    seed.point.seed = spec_.seed;
    add_lengths(seed);
  }

  static std::string task_names() {
    std::vector<std::string> names;
    for (const Task& task : all_tasks()) {
      names.push_back(task.name);
    }
    return fmt::format("{}", fmt::join(names, " "));
  }

  std::vector<std::int64_t> lengths_or_task(const std::vector<std::int64_t>& given,
                                            const char* option, const Task* task,
                                            std::int64_t task_value) const {
    if (given.empty() && task == nullptr) {
      throw BadInput(fmt::format("{}: expected lengths or a --task, found neither", option));
    }
    return or_default(given, task_value);
  }

  void add_lengths(GroupSeed seed) {
    const Task* task = seed.task;
    const bool from_file = spec_.lengths.kind == Lengths::Kind::file;
    const bool drawn = spec_.lengths.kind != Lengths::Kind::fixed;
    const auto questions =
        from_file ? std::vector<std::int64_t>{1}
                  : lengths_or_task(spec_.questions, "--question", task, task ? task->question : 0);
    const auto passages =
        drawn ? std::vector<std::int64_t>{1}
              : lengths_or_task(spec_.passages, "--passage", task, task ? task->passage : 0);
    for (const std::int64_t question : questions) {
      for (const std::int64_t passage : passages) {
        for (const std::int64_t r : or_default(spec_.r, task ? task->r : 1)) {
          for (const std::int64_t c : or_default<std::int64_t>(spec_.c, 1)) {
            seed.point.question = question;
            seed.point.passage = passage;
            seed.point.r = r;
            seed.point.c = c;
            add_batches(seed);
          }
        }
      }
    }
  }

  void add_batches(GroupSeed seed) {
    const bool xlnet = spec_.models[seed.model].config.family == Family::xlnet;
    const Order task_order = seed.task != nullptr ? seed.task->order : Order::question_first;
    const Order fallback = xlnet ? Order::passage_first : task_order;
    for (const Order order : or_default(spec_.orders, fallback)) {
      for (const std::int64_t batch : or_default<std::int64_t>(spec_.batches, 1)) {
        seed.point.order = order;
        seed.point.batch = batch;
        draw(seed.point, seed.model);
        add_engines(seed);
      }
    }
  }

  void draw(Point& point, std::size_t model) {
    const std::int64_t asked_question = point.question;
    point.shape = draw_shape(spec_.lengths, point.batch, point.question, point.passage, point.r,
                             point.c, spec_.seed);
    point.lengths = spec_.lengths.spelling;
    if (!point.lengths.empty()) {
      point.question = longest(point.shape, Segment::question);
      point.passage = longest(point.shape, Segment::passage);
    }
    if (!spec_.text_file.empty()) {
      point.question = asked_question;
      use_text(point, model);
    }
  }

  void use_text(Point& point, std::size_t model) {
    if (text_fingerprint_.empty()) {
      text_fingerprint_ = text_fingerprint(spec_.text_file, spec_.questions_file);
    }
    point.text = text_fingerprint_;
    if (spec_.models[model].directory.empty()) {
      return;  // no vocabulary: marked by reason_against
    }
    const std::vector<std::int64_t>& lengths = question_lengths(point, model);
    for (std::size_t i = 0; i < point.shape.question_tokens.size(); ++i) {
      point.shape.question_tokens[i] = lengths[i % lengths.size()];
    }
  }

  const std::vector<std::int64_t>& question_lengths(const Point& point, std::size_t model) {
    const auto key = std::tuple{model, point.question, point.passage, point.order};
    const auto found = question_lengths_.find(key);
    if (found != question_lengths_.end()) {
      return found->second;
    }
    auto tokenizer = tokenizers_.find(model);
    if (tokenizer == tokenizers_.end()) {
      const ModelChoice& choice = spec_.models[model];
      tokenizer =
          tokenizers_.emplace(model, open_tokenizer(choice.directory, choice.config.family)).first;
    }
    const TextTokens tokens = cut_text(*tokenizer->second, spec_.text_file, spec_.questions_file,
                                       point.question, point.passage, 1, point.order);
    std::vector<std::int64_t> lengths;
    for (const auto& question : tokens.questions) {
      lengths.push_back(static_cast<std::int64_t>(question.size()));
    }
    return question_lengths_.emplace(key, std::move(lengths)).first->second;
  }

  void add_engines(GroupSeed seed) {
    for (const std::string& backend : or_default(spec_.backends, std::string("cpu"))) {
      for (const DType dtype : or_default(spec_.dtypes, DType::f32)) {
        for (const std::int64_t threads :
             or_default<std::int64_t>(spec_.threads, spec_.default_threads)) {
          for (const std::int64_t instances : or_default<std::int64_t>(spec_.instances, 1)) {
            seed.point.backend = backend;
            seed.point.dtype = dtype;
            seed.point.threads = static_cast<int>(threads);
            seed.point.instances = static_cast<int>(instances);
            seed.point.cold = spec_.cold;
            add_group(seed);
          }
        }
      }
    }
  }

  void add_group(const GroupSeed& seed) {
    PlannedGroup group;
    group.model = seed.model;
    group.config = spec_.models[seed.model].config;
    if (seed.task != nullptr && spec_.models[seed.model].directory.empty()) {
      group.config.head = seed.task->head;
      group.config.classes = seed.task->classes;
    }
    Point point = seed.point;
    group.key = group_key(point);
    for (const Variant variant : {Variant::full, Variant::decomposed, Variant::cached}) {
      if (spec_.variants.empty() ||
          std::ranges::find(spec_.variants, variant) != spec_.variants.end()) {
        point.variant = variant;
        add_variant(group, point);
      }
    }
    if (!seen_groups_.insert(group.key).second) {
      return;  // the same group again, e.g. a task and the same lengths by hand
    }
    groups_.push_back(std::move(group));
  }

  void add_variant(PlannedGroup& group, Point point) {
    if (point.variant == Variant::full) {
      add_point(group, point);
      return;
    }
    for (const std::int64_t split : or_default(spec_.splits, default_split(group.config))) {
      point.split = split;
      if (point.variant == Variant::decomposed) {
        add_point(group, point);
        continue;
      }
      for (const DType cache_dtype :
           or_default(spec_.cache_dtypes, default_cache_dtype(point.dtype))) {
        for (const CachePlace place : or_default(spec_.cache_places, CachePlace::device)) {
          point.cache_dtype = cache_dtype;
          point.cache_at = place;
          point.passages = spec_.pool_passages;
          add_point(group, point);
        }
      }
    }
  }

  void add_point(PlannedGroup& group, const Point& point) {
    if (++points_ > kMaxPoints) {
      throw BadInput(
          fmt::format("the axes: expected at most {} points, found more; narrow them", kMaxPoints));
    }
    lengths_held_ += point.shape.question_tokens.size() + point.shape.passage_tokens.size();
    if (lengths_held_ > kMaxLengths) {
      throw BadInput(fmt::format(
          "the axes: expected at most {} texts in all batches together, found more; narrow them",
          kMaxLengths));
    }
    PlannedPoint planned;
    planned.point = point;
    planned.name = point_name(point);
    planned.key = point_key(point);
    planned.reason = reason_against(group, point);
    planned.skip = planned.reason.empty() ? Skip::no : Skip::impossible;
    group.points.push_back(std::move(planned));
  }

  std::string reason_against(const PlannedGroup& group, const Point& point) const {
    const ModelConfig& config = group.config;
    if (point.variant != Variant::full && point.split > config.layers) {
      return fmt::format("split {} is beyond the {} layers of {}", point.split, config.layers,
                         config.name);
    }
    if (config.family == Family::xlnet && point.order == Order::question_first) {
      return "XLNet reads the passage first; question-first does not exist for it";
    }
    if (!point.text.empty() && spec_.models[group.model].directory.empty()) {
      return fmt::format(
          "--text needs the vocabulary of a real model; {} has seeded weights and none",
          config.name);
    }
    return position_reason(config, point);
  }

  static std::string position_reason(const ModelConfig& config, const Point& point) {
    if (config.positions_grow || config.family != Family::bert) {
      return {};
    }
    const bool full = point.variant == Variant::full;
    const std::int64_t needed = full ? longest(point.shape, Segment::joint)
                                     : std::max(longest(point.shape, Segment::question),
                                                longest(point.shape, Segment::passage));
    if (needed <= config.max_positions) {
      return {};
    }
    return fmt::format("{} tokens are more than the {} positions of {}", needed,
                       config.max_positions, config.name);
  }

  void apply_filter() {
    if (spec_.filter.empty()) {
      return;
    }
    std::regex filter;
    try {
      filter = std::regex(spec_.filter, std::regex::ECMAScript | std::regex::optimize);
    } catch (const std::regex_error& error) {
      throw BadInput(fmt::format("--filter {}: expected a regular expression, found: {}",
                                 spec_.filter, error.what()));
    }
    for (PlannedGroup& group : groups_) {
      const auto matches = [&filter](const PlannedPoint& planned) {
        return std::regex_search(planned.name, filter);
      };
      const bool needs_full = std::ranges::any_of(group.points, matches);
      std::erase_if(group.points, [&](const PlannedPoint& planned) {
        return !matches(planned) && !(needs_full && planned.point.variant == Variant::full);
      });
    }
    std::erase_if(groups_, [](const PlannedGroup& group) { return group.points.empty(); });
  }

  void refuse_if_all_impossible() const {
    const PlannedPoint* first = nullptr;
    for (const PlannedGroup& group : groups_) {
      for (const PlannedPoint& planned : group.points) {
        // A group whose only possible point is its full was not what somebody asked splits for.
        const bool counts = planned.point.variant != Variant::full || group.points.size() == 1;
        if (planned.skip == Skip::no && counts) {
          return;
        }
        if (planned.skip != Skip::no && first == nullptr) {
          first = &planned;
        }
      }
    }
    if (first != nullptr) {
      throw BadInput(
          fmt::format("no point of the axes is possible; {}: {}", first->name, first->reason));
    }
  }

  const SweepSpec& spec_;
  std::vector<PlannedGroup> groups_;
  std::set<std::string> seen_groups_;
  std::size_t points_ = 0;
  std::size_t lengths_held_ = 0;
  std::string text_fingerprint_;
  std::map<std::size_t, std::unique_ptr<Tokenizer>> tokenizers_;
  std::map<std::tuple<std::size_t, std::int64_t, std::int64_t, Order>, std::vector<std::int64_t>>
      question_lengths_;
};

}  // namespace

ModelChoice resolve_model(const std::string& argument, bool weights_needed) {
  ModelChoice choice;
  choice.argument = argument;
  if (auto config = builtin_model(argument)) {
    choice.config = *config;
    return choice;
  }
  std::error_code error;
  if (!std::filesystem::is_directory(argument, error)) {
    throw BadInput(fmt::format(
        "--model: expected one of {} or a directory in the Hugging Face layout, found '{}'",
        fmt::join(builtin_model_names(), " "), argument));
  }
  choice.directory = argument;
  if (!weights_needed && !std::filesystem::exists(choice.directory / "model.safetensors", error)) {
    choice.config = read_hf_config(choice.directory / "config.json");
    choice.config.name = std::filesystem::weakly_canonical(choice.directory).filename().string();
    return choice;
  }
  choice.checkpoint = open_checkpoint(choice.directory, choice.directory);
  choice.config = choice.checkpoint->config();
  return choice;
}

std::vector<PlannedGroup> expand(const SweepSpec& spec) {
  return Expander(spec).run();
}

}  // namespace deformer
