#include "reports/gbench.hpp"

#include "reports/fields.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

void add_counter(Json& entry, const char* name, const Json& record, std::string_view path) {
  if (const auto value = number_field(record, path)) entry[name] = *value;
}

Json entry_of(const Json& record, const std::string& name, const std::string& run_name,
              std::size_t samples) {
  Json entry = {
      {"name", name},
      {"run_name", run_name},
      {"run_type", "iteration"},
      {"repetitions", samples},
      {"threads", static_cast<std::int64_t>(number_field(record, "point.threads").value_or(1))}};
  if (const auto injected = text_field(record, "injected")) {
    entry["label"] = "NOT A MEASUREMENT: --inject " + *injected;
  }
  return entry;
}

void add_times(Json& entry, double ns) {
  entry["real_time"] = ns;
  entry["cpu_time"] = ns;  // not measured apart; readers ask for it
  entry["time_unit"] = "ns";
}

void add_counters(Json& entry, const Json& record) {
  add_counter(entry, "speedup", record, "speedup.median");
  add_counter(entry, "flop_ratio", record, "speedup.flop_ratio");
  add_counter(entry, "gflops", record, "achieved.gflops");
  add_counter(entry, "items_per_second", record, "throughput.items_per_s");
  add_counter(entry, "peak_bytes", record, "memory.peak_bytes");
}

}  // namespace

Json gbench_context(const Json& run) {
  const auto text = [&run](const char* path) { return text_field(run, path).value_or(""); };
  Json caches = Json::array();
  if (const Json* listed = field(run, "machine.caches"); listed != nullptr && listed->is_array()) {
    for (const Json& cache : *listed) {
      caches.push_back(
          {{"type", number_field(cache, "level") == 1 ? "Data" : "Unified"},
           {"level", static_cast<std::int64_t>(number_field(cache, "level").value_or(0))},
           {"size", static_cast<std::int64_t>(number_field(cache, "size_bytes").value_or(0))},
           {"num_sharing",
            static_cast<std::int64_t>(number_field(cache, "shared_by").value_or(1))}});
    }
  }
  return {{"date", text("started")},
          {"host_name", text("machine.cpu_model")},
          {"executable", "deformer-bench"},
          {"num_cpus",
           static_cast<std::int64_t>(number_field(run, "machine.logical_cpus").value_or(0))},
          {"mhz_per_cpu", 0},
          {"cpu_scaling_enabled", false},
          {"caches", caches},
          {"load_avg", Json::array()},
          {"library_build_type", "release"},
          {"deformer_bench_version", text("version")},
          {"deformer_bench_build", text("build")},
          {"deformer_bench_run", text("id")}};
}

std::vector<Json> gbench_entries(const Json& record) {
  const std::string name = text_field(record, "name").value_or("unnamed");
  const auto median = number_field(record, "time.median");
  const std::string status = text_field(record, "status").value_or("no status");
  if (!median || status != "ok") {
    Json entry = entry_of(record, name, name, 0);
    entry["iterations"] = 0;
    entry["error_occurred"] = true;
    entry["error_message"] = status + ": " + text_field(record, "reason").value_or("no time");
    add_times(entry, 0);
    return {entry};
  }
  std::vector<Json> entries;
  const Json* samples = field(record, "time.samples");
  const std::size_t count = samples != nullptr && samples->is_array() ? samples->size() : 0;
  const auto forwards =
      static_cast<std::int64_t>(number_field(record, "time.forwards_per_sample").value_or(1));
  for (std::size_t i = 0; i < count; ++i) {
    if (!(*samples)[i].is_number()) continue;
    Json entry = entry_of(record, name, name, count);
    entry["repetition_index"] = i;
    entry["iterations"] = forwards;
    add_times(entry, (*samples)[i].get<double>());
    entries.push_back(std::move(entry));
  }
  for (const auto& [aggregate, path] :
       {std::pair{"mean", "time.mean"}, {"median", "time.median"}, {"stddev", "time.stdev"}}) {
    const auto value = number_field(record, path);
    if (!value) continue;
    Json entry = entry_of(record, name + "_" + aggregate, name, count);
    entry["run_type"] = "aggregate";
    entry["aggregate_name"] = aggregate;
    entry["aggregate_unit"] = "time";
    entry["iterations"] =
        static_cast<std::int64_t>(number_field(record, "time.rounds").value_or(0));
    add_times(entry, *value);
    if (std::string_view(aggregate) == "median") add_counters(entry, record);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace deformer
