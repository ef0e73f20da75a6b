// The pass that writes a trace: some runs with their ranges, and tracks of counters beside them.

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "harness/pass_runs.hpp"
#include "harness/profile_passes.hpp"
#include "profilers/clock.hpp"
#include "profilers/memory_sampler.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

/// Tracks of what is known of a run range by range: they end with it.
void trace_counters(const Look& look, const PlanCost& cost, const std::vector<LeafCounts>& counts,
                    int process, Trace& trace) {
  const RangeLog& log = *look.session->ranges();
  const std::vector<std::int64_t> arena = look.session->memory().phase_bytes;
  for (std::size_t i = 0; i < look.ranges.size(); ++i) {
    const PlanRange& range = look.ranges[i];
    const int at = static_cast<int>(i);
    if (range.level == Detail::op && log.elapsed_ns(at) > 0) {
      trace.add_counter(process, "GFLOP/s", log.start_ns(at),
                        static_cast<double>(range_cost(cost, range).flops()) /
                            static_cast<double>(log.elapsed_ns(at)));
      const auto leaf = static_cast<std::size_t>(log.tree()[at].first_leaf);
      for (const LeafCounts& count : counts) {
        trace.add_counter(process, count.name, log.start_ns(at), count.of_leaf[leaf]);
      }
    } else if (range.level == Detail::phase && range.phase < arena.size()) {
      trace.add_counter(process, "arena bytes", log.start_ns(at),
                        static_cast<double>(arena[range.phase]));
    }
  }
  trace.add_counter(process, "GFLOP/s", log.end_ns(0), 0);
  trace.add_counter(process, "arena bytes", log.end_ns(0), 0);
  for (const LeafCounts& count : counts) {
    trace.add_counter(process, count.name, log.end_ns(0), 0);
  }
}

/// Tracks of what the sampling process saw from the last sample before `start_ns` to the first
/// after `end_ns`, where it changed; faults count from there.
void trace_samples(const std::vector<MemorySample>& samples, std::int64_t start_ns,
                   std::int64_t end_ns, int process, Trace& trace) {
  const auto after = std::ranges::upper_bound(samples, start_ns, {}, &MemorySample::ns);
  const auto first = after == samples.begin() ? after : after - 1;
  std::map<std::string, double> shown;
  for (auto sample = first; sample != samples.end(); ++sample) {
    // What was seen before still holds when the runs begin; the trace should not begin before them.
    const std::int64_t at_ns = std::clamp(sample->ns, start_ns, end_ns);
    for (const auto& [track, value] :
         {std::pair{"resident bytes", sample->rss_bytes},
          std::pair{"minor faults", sample->minor_faults - first->minor_faults},
          std::pair{"major faults", sample->major_faults - first->major_faults}}) {
      const auto now = static_cast<double>(value);
      const auto [before, fresh] = shown.try_emplace(track, now);
      if (fresh || std::exchange(before->second, now) != now || sample->ns >= end_ns) {
        trace.add_counter(process, track, at_ns, now);
      }
    }
    if (sample->ns >= end_ns) {
      break;
    }
  }
}

}  // namespace

void trace_runs(Look& look, const PlanCost& cost, const std::vector<LeafCounts>& counts,
                const std::string& sampler, const std::string& name, Trace& trace) {
  constexpr int kRuns = 3;
  constexpr std::int64_t kPeriodUs = 500;
  constexpr std::int64_t kStartNs = 50'000'000;  ///< until the sampling process is surely there
  const RangeLog& log = *look.session->ranges();
  const int process = trace.add_process(name, log.threads());
  std::vector<ordered_json> arguments;
  for (const PlanRange& range : look.ranges) {
    const Cost& own = range_cost(cost, range);
    arguments.push_back({{"flops", own.flops()},
                         {"bytes_weights", own.bytes_weights},
                         {"bytes_activations", own.bytes_activations}});
  }
  std::unique_ptr<MemorySampler> memory;
  if (!sampler.empty()) {
    memory = std::make_unique<MemorySampler>(sampler, kPeriodUs);
    forwards_for(look, kStartNs);
  }
  const std::int64_t start_ns = now_ns();
  for (int run = 0; run < kRuns; ++run) {
    look.forward();
    trace.add_run(process, log, arguments);
    trace_counters(look, cost, counts, process, trace);
  }
  if (memory) {
    trace_samples(memory->stop(), start_ns, log.end_ns(0), process, trace);
  }
}

}  // namespace deformer
