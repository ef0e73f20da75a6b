#pragma once
/// The parts read_machine is made of: each takes its text or its processors as an argument, so that
/// machines which are not here can be tested.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deformer {

/// A whole small file; empty when it can't be read.
std::string read_text(const std::filesystem::path& file);

/// The integer that `text` starts with, after blanks; nullopt when there is none or it does not
/// fit.
std::optional<std::int64_t> parse_integer(std::string_view text);

/// The integer after a `label` that starts a line ("MemTotal:", "inactive_file ").
std::optional<std::int64_t> number_after(std::string_view text, std::string_view label);

/// From the text of /proc/cpuinfo: the first processor's model, and its features that matter here.
std::string parse_cpu_model(std::string_view cpuinfo);
std::vector<std::string> parse_isa(std::string_view cpuinfo);

/// "KVMKVMKVM" (cpuid leaf 0x40000000) -> "kvm"; an unknown signature is given as it is, trimmed.
std::string hypervisor_name(std::string_view signature);

struct CacheLevel {
  int level = 0;                ///< 1, 2, 3; data and unified caches only
  std::int64_t size_bytes = 0;  ///< of one cache; the smallest where they differ
  int count = 0;                ///< distinct ones that the processors reach
  int shared_by = 0;            ///< the most of the processors that share one
};

struct CpuTopology {
  int cores = 0;                            ///< physical cores with one of the processors
  std::int64_t last_level_cache_bytes = 0;  ///< of the distinct last-level caches they reach
  int threads_per_core = 1;                 ///< the most of the processors that share a core
  int numa_nodes = 1;                       ///< with one of the processors
  std::vector<CacheLevel> caches;           ///< from the core outwards; empty where unknown
};

/// The topology as seen from these processors (operating system's numbers). `synthetic` is an hwloc
/// description ("pack:2 l3:2 core:4 pu:2") in place of this machine, for tests. Where cores are
/// unknown, each processor counts as one.
CpuTopology read_topology(const std::vector<int>& processors, const char* synthetic = nullptr);

/// A physical core, and what it shares with others.
struct CoreSite {
  std::vector<int> processors;  ///< those of its processors that were asked about, ascending
  int cache = 0;                ///< number of its last-level cache; equal for cores that share one
  int numa = 0;                 ///< number of its memory node
};

/// The cores of these processors, neighbours beside each other. `synthetic` as above. Where hwloc
/// knows no cores, each processor is one, and all of them share cache and memory.
std::vector<CoreSite> read_cores(const std::vector<int>& processors,
                                 const char* synthetic = nullptr);

/// The processors this thread may run on: those of the process, unless somebody bound the thread.
std::vector<int> allowed_processors();

}  // namespace deformer
