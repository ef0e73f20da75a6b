#include "profilers/machine_parts.hpp"

#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>

namespace deformer {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// The first line that starts with `label`, without it; nullopt when there is none.
std::optional<std::string_view> line_after(std::string_view text, std::string_view label) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.starts_with(label)) return trim(line.substr(label.size()));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return std::nullopt;
}

/// "model name\t: AMD EPYC": the value of a field of /proc/cpuinfo.
std::string_view cpuinfo_field(std::string_view cpuinfo, std::string_view name) {
  const std::string_view rest = line_after(cpuinfo, name).value_or("");
  return rest.starts_with(':') ? trim(rest.substr(1)) : std::string_view{};
}

bool holds_word(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (words.substr(0, end) == word) return true;
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return false;
}

struct TopologyFree {
  void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using TopologyPtr = std::unique_ptr<std::remove_pointer_t<hwloc_topology_t>, TopologyFree>;

/// Cores, caches, and what memory nodes hang on (packages, groups; without them hwloc says that
/// every node is near to every processor): devices and the like take long to discover. Null when
/// hwloc can't.
TopologyPtr load_topology(const char* synthetic) {
  hwloc_topology_t raw = nullptr;
  if (hwloc_topology_init(&raw) != 0) return nullptr;
  TopologyPtr topology(raw);
  hwloc_topology_set_all_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_type_filter(raw, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
  hwloc_topology_set_cache_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_ALL);
  if (synthetic != nullptr && hwloc_topology_set_synthetic(raw, synthetic) != 0) return nullptr;
  if (hwloc_topology_load(raw) != 0) return nullptr;
  return topology;
}

// Null and empty for a processor that hwloc does not see (null), or where it knows none.

hwloc_obj_t core_of(hwloc_topology_t topology, hwloc_obj_t processor) {
  if (processor == nullptr) return nullptr;
  return hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, processor);
}

/// From the core outwards.
std::vector<hwloc_obj_t> caches_of(hwloc_obj_t processor) {
  std::vector<hwloc_obj_t> caches;
  for (hwloc_obj_t above = processor; above != nullptr; above = above->parent) {
    if (hwloc_obj_type_is_dcache(above->type)) caches.push_back(above);
  }
  return caches;
}

void add_nodes(hwloc_obj_t processor, std::set<unsigned>& nodes) {
  if (processor == nullptr || processor->nodeset == nullptr) return;
  unsigned node = 0;
  hwloc_bitmap_foreach_begin(node, processor->nodeset) nodes.insert(node);
  hwloc_bitmap_foreach_end();
}

std::vector<CacheLevel> levels_of(const std::map<hwloc_obj_t, int>& caches) {
  std::map<int, CacheLevel> levels;
  for (const auto& [cache, sharing] : caches) {
    const auto size = static_cast<std::int64_t>(cache->attr->cache.size);
    CacheLevel& level = levels[static_cast<int>(cache->attr->cache.depth)];
    level.level = static_cast<int>(cache->attr->cache.depth);
    level.size_bytes = level.count == 0 ? size : std::min(level.size_bytes, size);
    level.shared_by = std::max(level.shared_by, sharing);
    ++level.count;
  }
  std::vector<CacheLevel> result;
  for (const auto& [number, level] : levels) {
    if (level.size_bytes > 0) result.push_back(level);
  }
  return result;
}

}  // namespace

std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  text = trim(text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

std::optional<std::int64_t> number_after(std::string_view text, std::string_view label) {
  const auto line = line_after(text, label);
  return line ? parse_integer(*line) : std::nullopt;
}

std::string parse_cpu_model(std::string_view cpuinfo) {
  return std::string(cpuinfo_field(cpuinfo, "model name\t"));
}

std::vector<std::string> parse_isa(std::string_view cpuinfo) {
  const std::string_view flags = cpuinfo_field(cpuinfo, "flags\t\t");
  std::vector<std::string> isa;
  for (const char* feature : {"avx2", "fma", "f16c", "avx512f", "avx512_bf16", "avx512_vnni",
                              "avx_vnni", "amx_tile", "amx_bf16", "amx_int8"}) {
    if (holds_word(flags, feature)) isa.emplace_back(feature);
  }
  return isa;
}

std::string hypervisor_name(std::string_view signature) {
  struct Known {
    std::string_view signature;
    const char* name;
  };
  constexpr std::array<Known, 8> kKnown = {{{"KVMKVMKVM", "kvm"},
                                            {"Linux KVM Hv", "kvm"},
                                            {"Microsoft Hv", "hyperv"},
                                            {"VMwareVMware", "vmware"},
                                            {"XenVMMXenVMM", "xen"},
                                            {"TCGTCGTCGTCG", "qemu"},
                                            {"VBoxVBoxVBox", "virtualbox"},
                                            {"bhyve bhyve ", "bhyve"}}};
  signature = signature.substr(0, signature.find('\0'));
  for (const Known& known : kKnown) {
    if (signature == known.signature) return known.name;
  }
  return std::string(trim(signature));
}

CpuTopology read_topology(const std::vector<int>& processors, const char* synthetic) {
  CpuTopology result;
  result.cores = static_cast<int>(processors.size());
  const TopologyPtr topology = load_topology(synthetic);
  if (!topology) return result;
  std::map<hwloc_obj_t, int> cores;   // processors of each
  std::map<hwloc_obj_t, int> caches;  // likewise
  std::set<hwloc_obj_t> last_level;
  std::set<unsigned> nodes;
  int without_core = 0;
  for (const int number : processors) {
    const hwloc_obj_t processor =
        hwloc_get_pu_obj_by_os_index(topology.get(), static_cast<unsigned>(number));
    const hwloc_obj_t core = core_of(topology.get(), processor);
    if (core == nullptr) {
      ++without_core;
    } else {
      ++cores[core];
    }
    for (const hwloc_obj_t cache : caches_of(processor)) ++caches[cache];
    if (!caches_of(processor).empty()) last_level.insert(caches_of(processor).back());
    add_nodes(processor, nodes);
  }
  result.cores = static_cast<int>(cores.size()) + without_core;
  for (const auto& [core, sharing] : cores) {
    result.threads_per_core = std::max(result.threads_per_core, sharing);
  }
  for (const hwloc_obj_t cache : last_level) {
    result.last_level_cache_bytes += static_cast<std::int64_t>(cache->attr->cache.size);
  }
  result.numa_nodes = std::max(static_cast<int>(nodes.size()), 1);
  result.caches = levels_of(caches);
  return result;
}

std::vector<CoreSite> read_cores(const std::vector<int>& processors, const char* synthetic) {
  struct Place {
    unsigned core;  // hwloc's logical numbers count neighbours one after the other
    CoreSite site;
  };
  std::vector<Place> places;
  const TopologyPtr topology = load_topology(synthetic);
  for (const int number : processors) {
    const hwloc_obj_t processor =
        topology ? hwloc_get_pu_obj_by_os_index(topology.get(), static_cast<unsigned>(number))
                 : nullptr;
    const hwloc_obj_t core = core_of(topology.get(), processor);
    const unsigned index = core != nullptr ? core->logical_index : ~0U;
    const auto same = std::find_if(places.begin(), places.end(), [&](const Place& place) {
      return core != nullptr && place.core == index;
    });
    if (same != places.end()) {
      same->site.processors.push_back(number);
      continue;
    }
    const std::vector<hwloc_obj_t> caches = caches_of(processor);
    const hwloc_obj_t cache = caches.empty() ? nullptr : caches.back();
    const int node = core != nullptr ? hwloc_bitmap_first(core->nodeset) : 0;
    places.push_back({index,
                      {{number},
                       cache != nullptr ? static_cast<int>(cache->logical_index) : 0,
                       std::max(node, 0)}});
  }
  std::stable_sort(places.begin(), places.end(),
                   [](const Place& a, const Place& b) { return a.core < b.core; });
  std::vector<CoreSite> sites;
  for (Place& place : places) sites.push_back(std::move(place.site));
  return sites;
}

std::vector<int> allowed_processors() {
  // The mask's size is the kernel's, not the C library's 1024: ask with more until it is enough.
  for (int bits = 1024; bits <= 1 << 20; bits *= 2) {
    const std::size_t bytes = CPU_ALLOC_SIZE(bits);
    std::vector<unsigned long> storage(bytes / sizeof(unsigned long));
    auto* mask = reinterpret_cast<cpu_set_t*>(storage.data());
    if (sched_getaffinity(0, bytes, mask) != 0) continue;
    std::vector<int> processors;
    for (int i = 0; i < bits; ++i) {
      if (CPU_ISSET_S(static_cast<std::size_t>(i), bytes, mask)) processors.push_back(i);
    }
    return processors;
  }
  return {};
}

}  // namespace deformer
