// The fingerprint as the run file holds it.

#include <nlohmann/json.hpp>

#include "backends/cpu/cpu.hpp"
#include "harness/sweep.hpp"
#include "profilers/machine.hpp"

namespace deformer {

nlohmann::ordered_json machine_json() {
  const Machine machine = read_machine(cpu_libraries());
  nlohmann::ordered_json json{{"cpu_model", machine.cpu_model},
                              {"architecture", machine.architecture},
                              {"isa", machine.isa},
                              {"cores", machine.cores},
                              {"logical_cpus", machine.logical_cpus},
                              {"cpu_quota", machine.cpu_quota},
                              {"last_level_cache_bytes", machine.last_level_cache_bytes},
                              {"memory_bytes", machine.memory_bytes},
                              {"kernel", machine.kernel},
                              {"hypervisor", machine.hypervisor}};
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
