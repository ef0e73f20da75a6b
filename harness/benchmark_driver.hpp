#pragma once
/// Google Benchmark as the engine that runs groups: a group is a registered benchmark, run once a
/// look with as many iterations as rounds to the next look; a variant's time is a counter.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace deformer {

class BenchmarkDriver {
 public:
  /// `flags`: what followed a bare `--`. Known: --benchmark_filter, --benchmark_out,
  /// --benchmark_out_format (json, console), --benchmark_list_tests. Flags that would break the
  /// pairing of rounds (min_time, min_warmup_time, repetitions, enable_random_interleaving, the
  /// aggregates) are refused with the reason. @throws BadInput.
  explicit BenchmarkDriver(const std::vector<std::string>& flags);
  ~BenchmarkDriver();
  BenchmarkDriver(const BenchmarkDriver&) = delete;
  BenchmarkDriver& operator=(const BenchmarkDriver&) = delete;

  /// Whether --benchmark_filter keeps a group of that name (a leading '-' negates, as there).
  bool selects(const std::string& group_name) const;
  bool lists_only() const { return lists_only_; }

  using Counters = std::vector<std::pair<std::string, double>>;

  /// Runs `round` for each of `iterations` iterations of the benchmark `group_name`, whose manual
  /// time is what the round took. `counters` is asked once after the last iteration.
  void run_look(const std::string& group_name, std::int64_t iterations,
                const std::function<void()>& round, const std::function<Counters()>& counters);

  /// The group is done: its last look, with the counters of all rounds, goes to --benchmark_out.
  /// `rounds`: those that were kept.
  void finish_group(const std::string& group_name, std::int64_t rounds);

 private:
  struct Output;
  void read_flag(const std::string& flag);
  std::string filter_;
  std::string out_path_;
  std::string out_format_ = "json";
  bool lists_only_ = false;
  std::unique_ptr<Output> output_;
};

}  // namespace deformer
