#include "profilers/machine.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>

#include "profilers/cgroup.hpp"
#include "profilers/machine_parts.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace deformer {
namespace {

/// A line of /proc/meminfo or /proc/self/status in bytes ("VmRSS:   1234 kB"); 0 when it is not
/// there.
std::int64_t kilobyte_line(const char* file, const char* label) {
  return number_after(read_text(file), label).value_or(0) * 1024;
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::string read_hypervisor() {
#if defined(__x86_64__)
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kHypervisorPresent = 1U << 31;  // leaf 1, ecx
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kHypervisorPresent) == 0) return {};
  __cpuid(0x40000000, a, b, c, d);
  std::array<char, 12> signature{};
  std::memcpy(signature.data(), &b, 4);
  std::memcpy(signature.data() + 4, &c, 4);
  std::memcpy(signature.data() + 8, &d, 4);
  const std::string name = hypervisor_name({signature.data(), signature.size()});
  return name.empty() ? "unknown" : name;
#else
  return first_line(read_text("/sys/hypervisor/type"));  // "xen\n"
#endif
}

/// Where hwloc knows no caches, the C library may.
std::int64_t library_cache_bytes() {
  for (const int name : {_SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE}) {
    const long size = sysconf(name);
    if (size > 0) return size;
  }
  return 0;
}

std::int64_t physical_memory_bytes() {
  return kilobyte_line("/proc/meminfo", "MemTotal:");
}

/// "always [madvise] never" -> "madvise".
std::string chosen_word(const std::string& text) {
  const std::size_t open = text.find('[');
  const std::size_t close = text.find(']', open);
  return close == text.npos ? "" : text.substr(open + 1, close - open - 1);
}

std::string compiler_name() {
#if defined(__clang__)
  return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

/// Of the first processor this process may use; they rarely differ.
std::string read_governor(const std::vector<int>& processors) {
  if (processors.empty()) return {};
  return first_line(read_text(
      fmt::format("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor", processors.front())));
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace

Machine read_machine(std::vector<std::pair<std::string, std::string>> libraries) {
  Machine machine;
  machine.libraries = std::move(libraries);
  const std::string cpuinfo = read_text("/proc/cpuinfo");
  machine.cpu_model = parse_cpu_model(cpuinfo);
  machine.isa = parse_isa(cpuinfo);

  const std::vector<int> processors = allowed_processors();
  const CpuTopology topology = read_topology(processors);
  machine.logical_cpus = static_cast<int>(processors.size());
  machine.cores = topology.cores;
  machine.last_level_cache_bytes =
      topology.last_level_cache_bytes > 0 ? topology.last_level_cache_bytes : library_cache_bytes();

  const CgroupLimits limits = read_cgroup_limits();
  machine.cpu_quota = limits.cpu_quota;
  const std::int64_t physical = physical_memory_bytes();
  if (physical > 0) machine.memory_bytes = std::min(physical, limits.memory_bytes);

  utsname names{};
  if (uname(&names) == 0) {
    machine.architecture = names.machine;
    machine.kernel = names.release;
  }
  machine.hypervisor = read_hypervisor();
  machine.threads_per_core = topology.threads_per_core;
  machine.caches = topology.caches;
  machine.numa_nodes = topology.numa_nodes;
  machine.governor = read_governor(processors);
  machine.huge_pages = chosen_word(read_text("/sys/kernel/mm/transparent_hugepage/enabled"));
  machine.compiler = compiler_name();
  return machine;
}

std::vector<std::pair<std::string, std::string>> deciding_fields(const Machine& machine) {
  constexpr double kGib = 1 << 30;
  const double memory_gib = std::round(static_cast<double>(machine.memory_bytes) / kGib);
  std::vector<std::pair<std::string, std::string>> fields = {
      {"cpu_model", machine.cpu_model},
      {"architecture", machine.architecture},
      {"isa", joined(machine.isa)},
      {"cores", std::to_string(machine.cores)},
      {"logical_cpus", std::to_string(machine.logical_cpus)},
      {"cpu_quota", fmt::format("{:g}", machine.cpu_quota)},
      {"last_level_cache_bytes", std::to_string(machine.last_level_cache_bytes)},
      {"memory_gib", fmt::format("{:.0f}", memory_gib)},
      {"hypervisor", machine.hypervisor},
  };
  auto libraries = machine.libraries;
  std::sort(libraries.begin(), libraries.end());
  for (const auto& [name, version] : libraries) fields.emplace_back("library " + name, version);
  return fields;
}

std::int64_t available_memory_bytes() {
  const std::int64_t available = kilobyte_line("/proc/meminfo", "MemAvailable:");
  const std::int64_t left = read_cgroup_limits().memory_left_bytes;
  if (available == 0) return left == CgroupLimits::kNone ? 0 : left;
  return std::min(available, left);
}

std::int64_t rss_bytes() {
  return kilobyte_line("/proc/self/status", "VmRSS:");
}

std::int64_t rss_anon_bytes() {
  return kilobyte_line("/proc/self/status", "RssAnon:");
}

std::int64_t huge_page_bytes() {
  return kilobyte_line("/proc/self/smaps_rollup", "AnonHugePages:");
}

// Not getrusage's: that one starts at the size of the program that started this one.
std::int64_t rss_peak_bytes() {
  return kilobyte_line("/proc/self/status", "VmHWM:");
}

void restart_rss_peak() {
  constexpr const char* kPeakOnly = "5";  // proc(5): the peak alone; 1 to 4 clear flags of pages
  std::ofstream("/proc/self/clear_refs") << kPeakOnly;
}

int default_threads(const Machine& machine) {
  const int cores = std::max(machine.cores, 1);
  if (machine.cpu_quota <= 0 || machine.cpu_quota >= cores) return cores;
  return std::max(static_cast<int>(machine.cpu_quota), 1);
}

int default_threads() {
  return default_threads(read_machine());
}

}  // namespace deformer
