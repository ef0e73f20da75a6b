// `list`: what this build knows.

#include <fmt/format.h>

#include "backends/registry.hpp"
#include "cache/codec.hpp"
#include "cli/app.hpp"
#include "cli/plugin_option.hpp"
#include "cli/verbs.hpp"
#include "model/config.hpp"
#include "profilers/counters.hpp"
#include "profilers/energy.hpp"
#include "profilers/nvml.hpp"
#include "profilers/nvtx_ranges.hpp"
#include "reports/table.hpp"
#include "workloads/tasks.hpp"

namespace deformer::cli {
namespace {

using nlohmann::ordered_json;

ordered_json row(std::string_view kind, std::string_view name, std::string_view description,
                 std::string_view unavailable) {
  return {{"kind", kind},
          {"name", name},
          {"description", description},
          {"unavailable", unavailable.empty() ? ordered_json(nullptr) : ordered_json(unavailable)}};
}

/// Why no usable backend takes it, or empty.
std::string unsupported(const ModelConfig& config, DType dtype) {
  std::string reason;
  for (const Backend* backend : all_backends()) {
    if (backend->info().name == "reference" || !backend->info().unavailable.empty()) {
      continue;
    }
    const auto why = backend->why_not(config, dtype, DType::f32);
    if (!why) {
      return {};
    }
    reason = *why;
  }
  return reason;
}

/// Each group with its events, found by trying.
void add_counters(std::vector<ordered_json>& rows) {
  for (const CounterGroup& group : counter_groups()) {
    std::string reason;
    for (const CounterStatus& event : try_counters(group.events)) {
      reason += event.missing.empty() ? "" : event.name + " ";
      rows.push_back(
          row("counter", event.name,
              fmt::format("{}{}{}", group.name, event.source.empty() ? "" : ": ", event.source),
              event.missing));
    }
    rows.push_back(row("counter-group", group.name, group.description,
                       reason.empty() ? "" : "missing: " + reason.substr(0, reason.size() - 1)));
  }
  rows.push_back(row("profiler", "PAPI", papi_version(), papi_missing()));
  rows.push_back(row("profiler", "NVTX", "v3, domain deformer-bench", nvtx_missing()));
  const NvmlDevice device("");
  rows.push_back(row("profiler", "NVML",
                     device.missing().empty()
                         ? fmt::format("{}, driver {}", device.name(), device.driver())
                         : "clocks, throttling, energy and processes of a GPU",
                     device.missing()));
  rows.push_back(row("profiler", "energy", "processor packages (RAPL by powercap or PAPI)",
                     EnergyMeter().missing()));
}

std::vector<ordered_json> all_rows() {
  std::vector<ordered_json> rows;
  for (const std::string& name : builtin_model_names()) {
    const ModelConfig config = *builtin_model(name);
    rows.push_back(row("model", name,
                       fmt::format("{} layers, d {}, {} heads, ff {}; seeded weights",
                                   config.layers, config.d_model, config.heads, config.d_ff),
                       unsupported(config, DType::f32)));
  }
  for (const Task& task : all_tasks()) {
    rows.push_back(row("task", task.name,
                       fmt::format("{}/{} r={} {}; {}", task.question, task.passage, task.r,
                                   to_string(task.order), task.description),
                       ""));
  }
  for (const Backend* backend : all_backends()) {
    const BackendInfo info = backend->info();
    rows.push_back(row("backend", info.name, info.description, info.unavailable));
  }
  for (const DType dtype :
       {DType::f32, DType::tf32, DType::bf16, DType::f16, DType::int8, DType::fp8}) {
    rows.push_back(row("dtype", to_string(dtype), "weights and activations",
                       unsupported(*builtin_model("bert-base"), dtype)));
  }
  for (const DType dtype :
       {DType::f32, DType::bf16, DType::f16, DType::int8, DType::fp8, DType::bit1}) {
    rows.push_back(
        row("cache-dtype", to_string(dtype), "stored passages", codec_why_not(dtype).value_or("")));
  }
  add_counters(rows);
  return rows;
}

Table table_of(const std::vector<ordered_json>& rows) {
  Table table;
  table.columns = {{"kind", "kind", "", "What it is", true},
                   {"name", "name", "", "How it is asked for", true},
                   {"description", "description", "", "What it stands for", true},
                   {"unavailable", "not available here because", "", "Reason", true}};
  for (const ordered_json& entry : rows) {
    const auto text = [&entry](const char* field) -> Cell {
      return entry.at(field).is_null() ? Cell{} : Cell{entry.at(field).get<std::string>()};
    };
    table.rows.push_back({text("kind"), text("name"), text("description"), text("unavailable")});
  }
  return table;
}

}  // namespace

int run_list_verb(const std::vector<std::string>& arguments) {
  App app("list",
          "Models, tasks, backends, dtypes and counters, with the reason when one is missing.",
          "deformer-bench list");
  std::string format;
  PluginOption plugins;
  plugins.add_to(app);
  add_format(app, format, {"console", "markdown", "json"});
  if (const auto code = app.read(arguments)) {
    return *code;
  }
  plugins.add_backends_or_reasons();
  const std::vector<ordered_json> rows = all_rows();
  if (format == "json") {
    print_json("list", rows);
    return kDone;
  }
  print_tables("list", {table_of(rows)}, format);
  return kDone;
}

}  // namespace deformer::cli
