#pragma once
/// What machine this is: the fingerprint, and what memory is left.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "profilers/machine_parts.hpp"

namespace deformer {

struct Machine {
  std::string cpu_model;         ///< "AMD EPYC", from /proc/cpuinfo
  std::string architecture;      ///< "x86_64"
  std::vector<std::string> isa;  ///< of those that matter here: avx2 fma f16c avx512f avx512_bf16
                                 ///< avx512_vnni avx_vnni amx_tile amx_bf16 amx_int8
  int cores = 0;                 ///< physical cores this process may use
  int logical_cpus = 0;          ///< logical processors this process may use (affinity)
  double cpu_quota = 0;          ///< cgroup quota in processors; 0 when there is none
  std::int64_t last_level_cache_bytes = 0;  ///< the share of the processors in use
  std::int64_t memory_bytes = 0;            ///< physical, or the container's limit where lower
  std::string kernel;                       ///< uname release
  std::string hypervisor;                   ///< "kvm" ..., empty on bare metal
  std::vector<std::pair<std::string, std::string>> libraries;  ///< name, version
  // What follows tells a reader more and decides nothing.
  int threads_per_core = 1;        ///< above 1: simultaneous multithreading, as far as allowed
  std::vector<CacheLevel> caches;  ///< from the core outwards
  int numa_nodes = 1;              ///< with a processor this process may use
  std::string governor;            ///< cpufreq's: "performance"; empty when there is none
  std::string huge_pages;          ///< transparent ones: "always", "madvise", "never"; empty: none
  std::string compiler;            ///< "GCC 12.2.0"
};

/// Reads it once. Fields that can't be read stay empty or 0; never throws.
/// `libraries` are given by the caller (the backends know theirs) and are copied in.
Machine read_machine(std::vector<std::pair<std::string, std::string>> libraries = {});

/// Deciding fields of the fingerprint: two machines on which one of these differs are not the same
/// machine for a run file (cpu_model, architecture, isa, cores, logical_cpus, cpu_quota,
/// last_level_cache_bytes, memory to the nearest GiB, hypervisor, library versions).
/// A kernel's release does not decide. As (field, value) pairs in a fixed order.
std::vector<std::pair<std::string, std::string>> deciding_fields(const Machine& machine);

/// Available memory now: MemAvailable, and what is left below the cgroup limits (v1 and v2), the
/// smaller of them. 0 when nothing can be read.
std::int64_t available_memory_bytes();

/// Resident set of this process, now and at its highest. 0 when unreadable.
std::int64_t rss_bytes();
std::int64_t rss_peak_bytes();
/// The highest is from now on that of what follows. Where the kernel doesn't allow it, as before.
void restart_rss_peak();
/// Of it now: what is no file's (heap, stacks, anonymous maps), and what of that lies in huge
/// pages.
std::int64_t rss_anon_bytes();
std::int64_t huge_page_bytes();

/// Threads worth using by default: physical cores allowed, not above the quota; at least 1.
int default_threads();
int default_threads(const Machine& machine);  ///< the same, of a machine already read

}  // namespace deformer
