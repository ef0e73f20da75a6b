#include "profilers/disturbance.hpp"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "profilers/clock.hpp"
#include "profilers/machine_parts.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kNsPerS = 1'000'000'000;

/// What the ticks of a few counters can be wrong by.
constexpr std::int64_t kTicksSlackNs = 40'000'000;
/// A processor's timer, kernel threads and this program's own watchers take a percent or two.
constexpr double kOthersPerThread = 0.05;
/// Two percent of a quiet virtual machine's processors were never stolen.
constexpr double kStolenPerProcessor = 0.02;

std::int64_t process_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * kNsPerS + time.tv_nsec;
}

/// Columns of a "cpu" line.
enum Column {
  kUser,
  kNice,
  kSystem,
  kIdle,
  kWait,
  kInterrupts,
  kSoftInterrupts,
  kStolen,
  kColumns
};

std::optional<std::array<std::int64_t, kColumns>> columns_of(std::string_view line) {
  std::array<std::int64_t, kColumns> ticks{};
  for (std::int64_t& column : ticks) {
    line.remove_prefix(std::min(line.find_first_of(" \t"), line.size()));
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const auto value = parse_integer(line);
    if (!value || *value < 0) return std::nullopt;
    column = *value;
  }
  return ticks;
}

int processors_in(std::string_view stat) {
  int processors = 0;
  for (std::size_t at = stat.find("\ncpu"); at != std::string_view::npos;
       at = stat.find("\ncpu", at + 1)) {
    ++processors;
  }
  return processors;
}

}  // namespace

std::optional<ProcessorTimes> parse_processor_times(std::string_view stat,
                                                    std::int64_t ticks_per_s) {
  if (!stat.starts_with("cpu ") || ticks_per_s < 1) return std::nullopt;
  const auto ticks = columns_of(stat.substr(0, stat.find('\n')));
  if (!ticks) return std::nullopt;
  const auto& t = *ticks;
  const auto ns = [ticks_per_s](std::int64_t of) {
    return of / ticks_per_s * kNsPerS + of % ticks_per_s * (kNsPerS / ticks_per_s);
  };
  return ProcessorTimes{ns(t[kUser] + t[kNice] + t[kSystem] + t[kInterrupts] + t[kSoftInterrupts]),
                        ns(t[kStolen]), processors_in(stat)};
}

Moment this_moment() {
  const auto all = parse_processor_times(read_text("/proc/stat"), sysconf(_SC_CLK_TCK));
  return {now_ns(), process_cpu_ns(), all.value_or(ProcessorTimes{})};
}

Disturbance disturbance_between(const Moment& from, const Moment& to) {
  const auto wall = static_cast<double>(std::max<std::int64_t>(to.wall_ns - from.wall_ns, 1));
  const auto share = [wall](std::int64_t ns) {
    return static_cast<double>(std::max<std::int64_t>(ns - kTicksSlackNs, 0)) / wall;
  };
  const std::int64_t busy_ns = to.all.busy_ns - from.all.busy_ns;
  const std::int64_t own_ns = to.own_ns - from.own_ns;
  return {share(busy_ns - own_ns), share(to.all.stolen_ns - from.all.stolen_ns), to.all.processors};
}

std::string why_disturbed(const Disturbance& disturbance, int threads) {
  const double spare = std::max(disturbance.processors - threads, 0);
  if (disturbance.stolen > kStolenPerProcessor * disturbance.processors) {
    return fmt::format("the hypervisor kept {:.2f} of {} processors for others", disturbance.stolen,
                       disturbance.processors);
  }
  if (disturbance.others - spare > kOthersPerThread * threads) {
    return fmt::format("other processes took {:.2f} of {} processors", disturbance.others,
                       disturbance.processors);
  }
  return {};
}

RunningShare::RunningShare(int threads)
    : threads_(std::max(threads, 1)), wall_ns_(now_ns()), own_ns_(process_cpu_ns()) {}

double RunningShare::so_far() const {
  const auto wall = static_cast<double>(std::max<std::int64_t>(now_ns() - wall_ns_, 1));
  return std::min(static_cast<double>(process_cpu_ns() - own_ns_) / (wall * threads_), 1.0);
}

}  // namespace deformer
