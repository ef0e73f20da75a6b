// The fingerprint as the run file holds it.

#include <nlohmann/json.hpp>

#include "backends/cpu/cpu.hpp"
#include "harness/sweep.hpp"
#include "profilers/machine.hpp"

namespace deformer {

namespace {

nlohmann::ordered_json text_or_null(const std::string& text) {
  return text.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(text);
}

nlohmann::ordered_json caches_json(const std::vector<CacheLevel>& caches) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const CacheLevel& cache : caches) {
    json.push_back({{"level", cache.level},
                    {"size_bytes", cache.size_bytes},
                    {"count", cache.count},
                    {"shared_by", cache.shared_by}});
  }
  return json;
}

}  // namespace

Machine this_machine() {
  return read_machine(cpu_libraries());
}

nlohmann::ordered_json machine_json(const Machine& machine) {
  nlohmann::ordered_json json{{"cpu_model", machine.cpu_model},
                              {"architecture", machine.architecture},
                              {"isa", machine.isa},
                              {"cores", machine.cores},
                              {"logical_cpus", machine.logical_cpus},
                              {"cpu_quota", machine.cpu_quota},
                              {"last_level_cache_bytes", machine.last_level_cache_bytes},
                              {"memory_bytes", machine.memory_bytes},
                              {"kernel", machine.kernel},
                              {"hypervisor", machine.hypervisor},
                              {"threads_per_core", machine.threads_per_core},
                              {"caches", caches_json(machine.caches)},
                              {"numa_nodes", machine.numa_nodes},
                              {"governor", text_or_null(machine.governor)},
                              {"huge_pages", text_or_null(machine.huge_pages)},
                              {"compiler", machine.compiler}};
  json["libraries"] = nlohmann::ordered_json::object();
  for (const auto& [name, version] : machine.libraries) {
    json["libraries"][name] = version;
  }
  json["deciding"] = nlohmann::ordered_json::object();
  for (const auto& [field, value] : deciding_fields(machine)) {
    json["deciding"][field] = value;
  }
  return json;
}

}  // namespace deformer
