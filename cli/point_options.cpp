#include "cli/point_options.hpp"

#include <charconv>
#include <filesystem>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backends/registry.hpp"
#include "cli/app.hpp"
#include "model/config.hpp"
#include "model/error.hpp"
#include "profilers/machine.hpp"
#include "workloads/axis.hpp"
#include "workloads/tasks.hpp"

namespace deformer::cli {
namespace {

constexpr std::int64_t kMostLayers = 1024;
constexpr std::int64_t kMostTexts = std::int64_t{1} << 24;
constexpr std::int64_t kMostTokens = 65535;
constexpr std::int64_t kMostThreads = 1024;

/// A list option: comma lists, given once or several times, or a TOML array.
void add_list(CLI::App& app, const std::string& name, std::vector<std::string>& values,
              const std::string& help) {
  app.add_option(name, values, help)
      ->allow_extra_args(false)
      ->group("Points")
      ->type_name(help.starts_with("AXIS") ? "AXIS" : "LIST");
}

std::vector<std::int64_t> axis(const char* name, const std::vector<std::string>& values,
                               std::int64_t lowest, std::int64_t highest) {
  if (values.empty()) {
    return {};
  }
  return parse_axis(name, fmt::format("{}", fmt::join(values, ",")), lowest, highest);
}

template <typename Parse>
auto words(const char* name, const std::vector<std::string>& values, const char* choices,
           Parse parse) {
  std::vector<typename decltype(parse(""))::value_type> parsed;
  for (const std::string& word : split_list(values)) {
    const auto value = parse(word);
    if (!value) {
      throw BadInput(fmt::format("{}: expected one of {}, found '{}'{}", name, choices, word,
                                 did_you_mean(word, choices)));
    }
    parsed.push_back(*value);
  }
  return parsed;
}

ModelChoice model_named(const std::string& name, bool weights_needed) {
  try {
    return resolve_model(name, weights_needed);
  } catch (const BadInput& error) {
    std::error_code unseen;
    const auto known = fmt::format("{}", fmt::join(builtin_model_names(), " "));
    throw BadInput(error.what() +
                   (std::filesystem::exists(name, unseen) ? "" : did_you_mean(name, known)));
  }
}

template <typename Number>
Number whole_number(const char* name, const std::string& text, Number lowest, Number highest) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < lowest ||
      value > highest) {
    throw BadInput(fmt::format("{}: expected a whole number from {} to {}, found '{}'", name,
                               lowest, highest, text));
  }
  return value;
}

}  // namespace

void PointOptions::add_to(CLI::App& app) {
  add_list(app, "--model,-m", model_,
           "Built-in names (see `list`) or directories in the Hugging Face layout");
  add_list(app, "--task", task_, "squad race boolq mnli qqp hotpot: sets lengths, order and r");
  add_list(app, "--variant", variant_, "full decomposed cached (default: all three)");
  add_list(app, "--split,-k", split_, "AXIS of layers below the join (default: 3/4 of them)");
  add_list(app, "--batch,-b", batch_, "AXIS of items in a batch (default: 1)");
  add_list(app, "--question,-q", question_, "AXIS of question tokens (default: the task's)");
  add_list(app, "--passage,-p", passage_, "AXIS of passage tokens (default: the task's)");
  add_list(app, "--questions-per-passage,-r", r_,
           "AXIS of questions an item (default: the task's, or 1)");
  add_list(app, "--candidates,-c", c_, "AXIS of passages an item (default: 1)");
  add_list(app, "--order", order_, "question-first passage-first (default: the task's)");
  add_list(app, "--backend", backend_, "Backends (default: cpu; see `list`)");
  add_list(app, "--dtype", dtype_, "f32 tf32 bf16 f16 int8 fp8 (default: f32)");
  add_list(app, "--cache-dtype", cache_dtype_, "Storage of cached passages (default: as --dtype)");
  add_list(app, "--cache-at", cache_at_,
           "device pinned pageable: memory that holds cached passages (default: the device's)");
  add_list(app, "--threads,-t", threads_,
           "AXIS of threads (default: the cores this process may use)");
  add_list(app, "--instances", instances_, "AXIS of sessions side by side (default: 1)");
  app.add_option("--lengths", lengths_, "fixed | uniform:LO-HI | FILE of 'q p' pairs")
      ->group("Points");
  app.add_option("--text", text_, "Real text: passages are windows of it")
      ->group("Points")
      ->type_name("FILE");
  app.add_option("--questions", questions_, "Real questions, one a line")
      ->group("Points")
      ->type_name("FILE");
  app.add_option("--passages", passages_, "Passages in the pool (default: by the cache size)")
      ->group("Points");
  app.add_flag("--cold", cold_, "Empty the device's last-level cache before every forward")
      ->group("Points");
  plugins_.add_to(app);
  app.add_option("--seed", seed_, "Of weights, ids, lengths and order")->group("Points");
  app.add_option("--filter", filter_, "Keep points whose name matches this regular expression")
      ->group("Points");
}

SweepSpec PointOptions::spec(bool weights_needed) const {
  SweepSpec spec;
  plugins_.add_backends();
  spec.splits = axis("--split", split_, 0, kMostLayers);
  spec.batches = axis("--batch", batch_, 1, kMostTexts);
  spec.questions = axis("--question", question_, 1, kMostTokens);
  spec.passages = axis("--passage", passage_, 1, kMostTokens);
  spec.r = axis("--questions-per-passage", r_, 1, kMostTexts);
  spec.c = axis("--candidates", c_, 1, kMostTexts);
  spec.threads = axis("--threads", threads_, 1, kMostThreads);
  spec.instances = axis("--instances", instances_, 1, kMostThreads);
  spec.variants = words("--variant", variant_, "full decomposed cached", parse_variant);
  spec.dtypes = words("--dtype", dtype_, "f32 tf32 bf16 f16 int8 fp8", [](const std::string& word) {
    const auto dtype = parse_dtype(word);
    return dtype == DType::bit1 ? std::nullopt : dtype;
  });
  spec.cache_dtypes =
      words("--cache-dtype", cache_dtype_, "f32 bf16 f16 int8 fp8 bit1", parse_dtype);
  spec.orders = words("--order", order_, "question-first passage-first", parse_order);
  spec.cache_places = words("--cache-at", cache_at_, "device pinned pageable", parse_cache_place);
  spec.cold = cold_;
  spec.tasks = split_list(task_);
  spec.backends = split_list(backend_);
  for (const std::string& backend : spec.backends) {
    (void)require_backend(backend);
  }
  spec.lengths = parse_lengths(lengths_);
  spec.text_file = text_;
  spec.questions_file = questions_;
  spec.filter = filter_;
  spec.seed =
      whole_number<std::uint64_t>("--seed", seed_, 0, std::numeric_limits<std::uint64_t>::max());
  if (!passages_.empty()) {
    spec.pool_passages = whole_number<std::int64_t>("--passages", passages_, 1, kMostTexts);
  }
  spec.default_threads = default_threads();
  for (const std::string& task : spec.tasks) {
    if (find_task(task) == nullptr) {
      constexpr std::string_view kTasks = "squad race boolq mnli qqp hotpot";
      throw BadInput(fmt::format("--task: expected one of {}, found '{}'{}", kTasks, task,
                                 did_you_mean(task, kTasks)));
    }
  }
  for (const std::string& model : split_list(model_)) {
    spec.models.push_back(model_named(model, weights_needed));
  }
  return spec;
}

}  // namespace deformer::cli
