#include "profilers/machine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "profilers/cgroup.hpp"
#include "profilers/clock.hpp"
#include "profilers/machine_parts.hpp"

namespace deformer {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr const char* kZen3 =
    "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n"
    "model name\t: AMD EPYC 7763 64-Core Processor\nstepping\t: 1\n"
    "flags\t\t: fpu sse2 ht ssse3 fma cx16 avx f16c rdrand hypervisor avx2 vaes fsrm\n"
    "bugs\t\t: sysret_ss_attrs\n\n"
    "processor\t: 1\nmodel name\t: another\nflags\t\t: fpu avx512f\n";

constexpr const char* kSapphireRapids =
    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 143\n"
    "model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz\n"
    "flags\t\t: fpu sse2 fma f16c avx2 avx512f avx512dq avx_vnni avx512_bf16 avx512_vnni amx_bf16 "
    "avx512_fp16 amx_tile amx_int8\nvmx flags\t: vnmi avx_not_me\n";

TEST(CpuInfo, NamesTheFirstProcessor) {
  EXPECT_EQ(parse_cpu_model(kZen3), "AMD EPYC 7763 64-Core Processor");
  EXPECT_EQ(parse_cpu_model(kSapphireRapids), "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz");
  EXPECT_EQ(parse_cpu_model(""), "");
  EXPECT_EQ(parse_cpu_model("model name"), "");
}

TEST(CpuInfo, GivesTheFeaturesThatMatterInAFixedOrder) {
  EXPECT_THAT(parse_isa(kZen3), ElementsAre("avx2", "fma", "f16c"));
  EXPECT_THAT(parse_isa(kSapphireRapids),
              ElementsAre("avx2", "fma", "f16c", "avx512f", "avx512_bf16", "avx512_vnni",
                          "avx_vnni", "amx_tile", "amx_bf16", "amx_int8"));
  EXPECT_THAT(parse_isa("flags\t\t: avx512fx notfma"), IsEmpty());
  EXPECT_THAT(parse_isa(""), IsEmpty());
}

TEST(Hypervisor, IsNamedByItsSignature) {
  EXPECT_EQ(hypervisor_name(std::string("KVMKVMKVM\0\0\0", 12)), "kvm");
  EXPECT_EQ(hypervisor_name("Microsoft Hv"), "hyperv");
  EXPECT_EQ(hypervisor_name("VMwareVMware"), "vmware");
  EXPECT_EQ(hypervisor_name("XenVMMXenVMM"), "xen");
  EXPECT_EQ(hypervisor_name(" SomethingNe"), "SomethingNe");
  EXPECT_EQ(hypervisor_name(std::string(12, '\0')), "");
}

TEST(ParseInteger, TakesOnlyWhatFits) {
  EXPECT_EQ(parse_integer(" 42\n"), 42);
  EXPECT_EQ(parse_integer("-1"), -1);
  EXPECT_FALSE(parse_integer("max\n"));
  EXPECT_FALSE(parse_integer(""));
  EXPECT_FALSE(parse_integer("18446744073709551615"));
}

TEST(NumberAfter, LooksAtTheStartOfLinesOnly) {
  const char* text = "MemTotal:       24684092 kB\nXMemAvailable: 5 kB\nMemAvailable: 7 kB";
  EXPECT_EQ(number_after(text, "MemTotal:"), 24684092);
  EXPECT_EQ(number_after(text, "MemAvailable:"), 7);
  EXPECT_FALSE(number_after(text, "SwapTotal:"));
}

constexpr std::int64_t kMib = 1 << 20;
constexpr const char* kServer =
    "pack:2 l3:2(size=33554432) core:4 l2:1(size=524288) pu:2";  // 2 sockets, 4 L3, 16 cores, 32 PU

std::vector<int> range(int first, int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

TEST(Topology, CountsPhysicalCoresAndAllLastLevelCaches) {
  const CpuTopology whole = read_topology(range(0, 32), kServer);
  EXPECT_EQ(whole.cores, 16);
  EXPECT_EQ(whole.last_level_cache_bytes, 4 * 32 * kMib);
}

TEST(Topology, CountsOnlyWhatTheAllowedProcessorsReach) {
  const CpuTopology one_core = read_topology({2, 3}, kServer);
  EXPECT_EQ(one_core.cores, 1);
  EXPECT_EQ(one_core.last_level_cache_bytes, 32 * kMib);
  const CpuTopology two_sockets = read_topology({0, 31}, kServer);
  EXPECT_EQ(two_sockets.cores, 2);
  EXPECT_EQ(two_sockets.last_level_cache_bytes, 2 * 32 * kMib);
}

TEST(Topology, TakesTheOutermostCacheThereIs) {
  EXPECT_EQ(read_topology(range(0, 4), "core:4 l2:1(size=1048576) pu:1").last_level_cache_bytes,
            4 * kMib);
}

TEST(Topology, DescribesEveryCacheLevelAndWhoSharesIt) {
  const char* description =
      "numa:2 l3:1(size=8388608) core:2 l2:1(size=1048576) l1d:1(size=32768) pu:2";
  const CpuTopology whole = read_topology(range(0, 8), description);
  ASSERT_EQ(whole.caches.size(), 3U);
  EXPECT_EQ(whole.caches[0].level, 1);
  EXPECT_EQ(whole.caches[0].size_bytes, 32768);
  EXPECT_EQ(whole.caches[0].count, 4);
  EXPECT_EQ(whole.caches[0].shared_by, 2);
  EXPECT_EQ(whole.caches[2].level, 3);
  EXPECT_EQ(whole.caches[2].size_bytes, 8 * kMib);
  EXPECT_EQ(whole.caches[2].count, 2);
  EXPECT_EQ(whole.caches[2].shared_by, 4);
  EXPECT_EQ(whole.threads_per_core, 2);
  EXPECT_EQ(whole.numa_nodes, 2);
  const CpuTopology part = read_topology({0, 2}, description);
  EXPECT_EQ(part.caches[2].count, 1);
  EXPECT_EQ(part.caches[2].shared_by, 2);
  EXPECT_EQ(part.threads_per_core, 1);
  EXPECT_EQ(part.numa_nodes, 1);
}

TEST(Topology, CountsProcessorsWhereCoresAreUnknown) {
  const CpuTopology bare = read_topology(range(0, 4), "pu:4");
  EXPECT_EQ(bare.cores, 4);
  EXPECT_EQ(bare.last_level_cache_bytes, 0);
  EXPECT_EQ(read_topology({100, 101}, kServer).cores, 2);  // allowed, but hwloc does not see them
  EXPECT_EQ(read_topology({0, 1}, "no such description").cores, 2);
}

/// A root folder with the given files, gone at the end.
class FakeRoot : public testing::Test {
 protected:
  FakeRoot()
      : root_(std::filesystem::temp_directory_path() /
              ("deformer_cgroup_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(root_);
  }
  ~FakeRoot() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  void write_version2(const std::string& group) {
    write("proc/self/cgroup", "0::" + group + "\n");
    write("proc/self/mountinfo",
          "24 1 0:22 / /proc rw - proc proc rw\n"
          "30 24 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  CgroupLimits read() const { return read_cgroup_limits(root_); }
  const std::filesystem::path root_;
};

TEST_F(FakeRoot, WithoutGroupsNothingIsLimited) {
  const CgroupLimits limits = read();
  EXPECT_EQ(limits.cpu_quota, 0);
  EXPECT_EQ(limits.memory_bytes, CgroupLimits::kNone);
  EXPECT_EQ(limits.memory_left_bytes, CgroupLimits::kNone);
}

TEST_F(FakeRoot, Version2LimitsAreRead) {
  write_version2("/job");
  write("sys/fs/cgroup/job/cpu.max", "150000 100000\n");
  write("sys/fs/cgroup/job/memory.max", "1000000\n");
  write("sys/fs/cgroup/job/memory.high", "max\n");
  write("sys/fs/cgroup/job/memory.current", "700000\n");
  write("sys/fs/cgroup/job/memory.stat", "anon 400000\nactive_file 5\ninactive_file 100000\n");
  const CgroupLimits limits = read();
  EXPECT_DOUBLE_EQ(limits.cpu_quota, 1.5);
  EXPECT_EQ(limits.memory_bytes, 1000000);
  EXPECT_EQ(limits.memory_left_bytes, 400000);
}

TEST_F(FakeRoot, Version2MaxIsNoLimit) {
  write_version2("/job");
  write("sys/fs/cgroup/job/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/job/memory.max", "max\n");
  const CgroupLimits limits = read();
  EXPECT_EQ(limits.cpu_quota, 0);
  EXPECT_EQ(limits.memory_bytes, CgroupLimits::kNone);
}

TEST_F(FakeRoot, TheTightestGroupAboveDecides) {
  write_version2("/pod/job/step");
  write("sys/fs/cgroup/pod/cpu.max", "400000 100000\n");
  write("sys/fs/cgroup/pod/job/cpu.max", "200000 100000\n");
  write("sys/fs/cgroup/pod/job/step/cpu.max", "max 100000\n");
  write("sys/fs/cgroup/pod/memory.max", "5000\n");
  write("sys/fs/cgroup/pod/memory.current", "4900\n");
  write("sys/fs/cgroup/pod/job/step/memory.max", "3000\n");
  write("sys/fs/cgroup/pod/job/step/memory.current", "1000\n");
  const CgroupLimits limits = read();
  EXPECT_DOUBLE_EQ(limits.cpu_quota, 2);
  EXPECT_EQ(limits.memory_bytes, 3000);
  EXPECT_EQ(limits.memory_left_bytes, 100);  // the pod is nearly full, though the step is not
}

TEST_F(FakeRoot, AGroupOverItsLimitHasNothingLeft) {
  write_version2("/job");
  write("sys/fs/cgroup/job/memory.high", "1000\n");
  write("sys/fs/cgroup/job/memory.current", "1200\n");
  EXPECT_EQ(read().memory_left_bytes, 0);
}

TEST_F(FakeRoot, AContainerThatSeesTheHostsPathsFindsItsMount) {
  write("proc/self/cgroup", "0::/docker/abc/inner\n");
  write("proc/self/mountinfo", "30 24 0:27 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  write("sys/fs/cgroup/memory.max", "5000\n");
  write("sys/fs/cgroup/inner/cpu.max", "100000 100000\n");
  EXPECT_EQ(read().memory_bytes, 5000);
  EXPECT_DOUBLE_EQ(read().cpu_quota, 1);
}

TEST_F(FakeRoot, AGroupOutsideTheMountFallsBackToTheMountPoint) {
  write("proc/self/cgroup", "0::/../sibling\n");
  write("proc/self/mountinfo", "30 24 0:27 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  write("sys/fs/cgroup/memory.max", "5000\n");
  write("sys/fs/sibling/memory.max", "1\n");
  EXPECT_EQ(read().memory_bytes, 5000);
}

TEST_F(FakeRoot, Version1LimitsAreReadEachFromItsOwnHierarchy) {
  write("proc/self/cgroup",
        "9:name=systemd:/x\n4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n");
  write("proc/self/mountinfo",
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n");
  write("sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  write("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "2000\n");
  write("sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "700\n");
  write("sys/fs/cgroup/memory/docker/abc/memory.stat",
        "inactive_file 0\ntotal_inactive_file 200\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  const CgroupLimits limits = read();
  EXPECT_DOUBLE_EQ(limits.cpu_quota, 2.5);
  EXPECT_EQ(limits.memory_bytes, 2000);
  EXPECT_EQ(limits.memory_left_bytes, 1500);
}

TEST_F(FakeRoot, TornFilesLimitNothing) {
  write("proc/self/cgroup", "::\n:\n\n0:\nnonsense\n0::/job");
  write("proc/self/mountinfo",
        "30 24 - cgroup2\n - \n30 24 0:27 / /sys/fs/cgroup ro - cgroup2 cgroup rw");
  write("sys/fs/cgroup/job/cpu.max", "0 0\n");
  write("sys/fs/cgroup/job/memory.max", "many\n");
  const CgroupLimits limits = read();
  EXPECT_EQ(limits.cpu_quota, 0);
  EXPECT_EQ(limits.memory_bytes, CgroupLimits::kNone);
}

TEST(ReadMachine, FillsWhatEveryLinuxHas) {
  const Machine machine = read_machine({{"zlib", "2"}, {"alpha", "1"}});
  EXPECT_FALSE(machine.architecture.empty());
  EXPECT_FALSE(machine.kernel.empty());
  EXPECT_GE(machine.cores, 1);
  EXPECT_GE(machine.logical_cpus, machine.cores);
  EXPECT_GT(machine.memory_bytes, 64 * kMib);
  EXPECT_EQ(machine.libraries.size(), 2U);
}

TEST(ReadMachine, IsQuick) {
  read_machine();
  std::int64_t quickest = 1'000'000'000;
  for (int i = 0; i < 3; ++i) {
    const std::int64_t start = now_ns();
    read_machine();
    quickest = std::min(quickest, now_ns() - start);
  }
  RecordProperty("quickest_us", std::to_string(quickest / 1000));
  EXPECT_LT(quickest, 500'000'000);
}

TEST(DecidingFields, AreInAFixedOrderAndWithoutTheKernel) {
  Machine machine;
  machine.cpu_model = "AMD EPYC";
  machine.architecture = "x86_64";
  machine.isa = {"avx2", "fma"};
  machine.cores = 2;
  machine.logical_cpus = 4;
  machine.cpu_quota = 1.5;
  machine.last_level_cache_bytes = 32 * kMib;
  machine.memory_bytes = 24684092LL * 1024;
  machine.kernel = "6.1.0";
  machine.hypervisor = "kvm";
  machine.libraries = {{"onednn", "2.7"}, {"libxsmm", "1.17"}};
  EXPECT_THAT(deciding_fields(machine),
              ElementsAre(Pair("cpu_model", "AMD EPYC"), Pair("architecture", "x86_64"),
                          Pair("isa", "avx2 fma"), Pair("cores", "2"), Pair("logical_cpus", "4"),
                          Pair("cpu_quota", "1.5"), Pair("last_level_cache_bytes", "33554432"),
                          Pair("memory_gib", "24"), Pair("hypervisor", "kvm"),
                          Pair("library libxsmm", "1.17"), Pair("library onednn", "2.7")));
}

TEST(DefaultThreads, AreTheCoresButNotMoreThanTheQuota) {
  Machine machine;
  EXPECT_EQ(default_threads(machine), 1);
  machine.cores = 8;
  EXPECT_EQ(default_threads(machine), 8);
  machine.cpu_quota = 2.5;
  EXPECT_EQ(default_threads(machine), 2);
  machine.cpu_quota = 0.5;
  EXPECT_EQ(default_threads(machine), 1);
  machine.cpu_quota = 64;
  EXPECT_EQ(default_threads(machine), 8);
  EXPECT_GE(default_threads(), 1);
}

TEST(Memory, AvailableIsBetweenNothingAndAll) {
  EXPECT_GT(available_memory_bytes(), 0);
  EXPECT_LT(available_memory_bytes(), read_machine().memory_bytes);
}

TEST(Memory, ResidentSetFollowsWhatIsTouched) {
  const std::int64_t before = rss_bytes();
  EXPECT_GT(before, 0);
  constexpr std::size_t kSize = std::size_t{64} * kMib;
  void* block = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  std::memset(block, 1, kSize);
  EXPECT_GE(rss_bytes(), before + 60 * kMib);
  munmap(block, kSize);
  EXPECT_GE(rss_peak_bytes(), before + 60 * kMib);
  EXPECT_LT(rss_bytes(), before + 32 * kMib);
  restart_rss_peak();
  EXPECT_LT(rss_peak_bytes(), before + 32 * kMib);
  EXPECT_GE(rss_peak_bytes(), before / 2);
}

}  // namespace
}  // namespace deformer
