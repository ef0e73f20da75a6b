#include "harness/benchmark_driver.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string_view>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "model/error.hpp"
#include "profilers/clock.hpp"

namespace deformer {
namespace {

/// Keeps the last run instead of printing it.
class CollectingReporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override {
    context_.emplace(context);
    return true;
  }
  void ReportRuns(const std::vector<Run>& runs) override {
    if (!runs.empty()) {
      last_ = runs.front();
    }
  }
  const std::optional<Context>& context() const { return context_; }
  std::optional<Run>& last() { return last_; }

 private:
  std::optional<Context> context_;
  std::optional<Run> last_;
};

constexpr std::string_view kPairing =
    "would break the pairing of rounds; use --rounds or --max-time before the bare --";

/// Why a flag of Google Benchmark can't be used, or empty.
std::string_view refusal(std::string_view name) {
  for (const std::string_view breaker :
       {"min_time", "min_warmup_time", "repetitions", "enable_random_interleaving",
        "report_aggregates_only", "display_aggregates_only", "time_unit", "dry_run"}) {
    if (name == breaker) {
      return kPairing;
    }
  }
  return {};
}

}  // namespace

struct BenchmarkDriver::Output {
  CollectingReporter collector;
  std::ofstream file;
  std::unique_ptr<benchmark::BenchmarkReporter> reporter;
  bool context_written = false;
  double seconds = 0;
  double cpu_seconds = 0;
};

BenchmarkDriver::BenchmarkDriver(const std::vector<std::string>& flags)
    : output_(std::make_unique<Output>()) {
  for (const std::string& flag : flags) {
    read_flag(flag);
  }
  // Google Benchmark prints its own warnings; the rest of its flags keep their defaults.
  // (Their environment twins are overruled: what breaks pairing must not come in that way either.)
  // It keeps a pointer to the program's name, hence static.
  static std::string program = "deformer-bench";
  std::vector<std::string> flags_text{"--benchmark_out=", "--benchmark_list_tests=false",
                                      "--benchmark_enable_random_interleaving=false",
                                      "--benchmark_perf_counters=", "--v=0"};
  std::vector<char*> arguments{program.data()};
  for (std::string& flag : flags_text) {
    arguments.push_back(flag.data());
  }
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (out_path_.empty()) {
    return;
  }
  output_->file.open(out_path_, std::ios::binary | std::ios::trunc);
  if (!output_->file) {
    throw BadInput(
        fmt::format("--benchmark_out={}: expected a file that can be written", out_path_));
  }
  if (out_format_ == "json") {
    output_->reporter = std::make_unique<benchmark::JSONReporter>();
  } else {
    output_->reporter =
        std::make_unique<benchmark::ConsoleReporter>(benchmark::ConsoleReporter::OO_Tabular);
  }
  output_->reporter->SetOutputStream(&output_->file);
  output_->reporter->SetErrorStream(&output_->file);
}

BenchmarkDriver::~BenchmarkDriver() {
  if (output_->reporter && output_->context_written) {
    output_->reporter->Finalize();
  }
}

void BenchmarkDriver::read_flag(const std::string& flag) {
  constexpr std::string_view kPrefix = "--benchmark_";
  const std::size_t equals = flag.find('=');
  const std::string name =
      flag.starts_with(kPrefix)
          ? flag.substr(kPrefix.size(),
                        equals == std::string::npos ? std::string::npos : equals - kPrefix.size())
          : std::string{};
  const std::string value = equals == std::string::npos ? "true" : flag.substr(equals + 1);
  if (const std::string_view why = refusal(name); !why.empty()) {
    throw BadInput(fmt::format("{}: {}", flag, why));
  }
  if (name == "filter") {
    filter_ = value;
    (void)selects("");  // a bad expression is refused now
  } else if (name == "out") {
    out_path_ = value;
  } else if (name == "out_format" && (value == "json" || value == "console")) {
    out_format_ = value;
  } else if (name == "list_tests") {
    lists_only_ = value != "false" && value != "0" && value != "no";
  } else {
    throw BadInput(
        fmt::format("{}: expected --benchmark_filter=, --benchmark_out=, "
                    "--benchmark_out_format=json|console or "
                    "--benchmark_list_tests after the bare --",
                    flag));
  }
}

bool BenchmarkDriver::selects(const std::string& group_name) const {
  if (filter_.empty() || filter_ == "all") {
    return true;
  }
  const bool negated = filter_.starts_with('-');
  try {
    const std::regex expression(negated ? filter_.substr(1) : filter_);
    return std::regex_search(group_name, expression) != negated;
  } catch (const std::regex_error& error) {
    throw BadInput(fmt::format("--benchmark_filter={}: expected a regular expression, found: {}",
                               filter_, error.what()));
  }
}

void BenchmarkDriver::run_look(const std::string& group_name, std::int64_t iterations,
                               const std::function<void()>& round,
                               const std::function<Counters()>& counters) {
  const auto body = [&](benchmark::State& state) {
    for (auto iteration : state) {
      (void)iteration;
      const std::int64_t start_ns = now_ns();
      round();
      state.SetIterationTime(static_cast<double>(now_ns() - start_ns) * 1e-9);
    }
    for (const auto& [name, value] : counters()) {
      state.counters[name] = value;
    }
  };
  benchmark::RegisterBenchmark(group_name.c_str(), body)
      ->Iterations(iterations)
      ->Repetitions(1)
      ->UseManualTime();
  benchmark::RunSpecifiedBenchmarks(&output_->collector, nullptr, "all");
  benchmark::ClearRegisteredBenchmarks();
  if (!output_->collector.last()) {
    throw std::runtime_error("Google Benchmark ran nothing; is one of its environment flags set?");
  }
  output_->seconds += output_->collector.last()->real_accumulated_time;
  output_->cpu_seconds += output_->collector.last()->cpu_accumulated_time;
}

void BenchmarkDriver::finish_group(const std::string& group_name, std::int64_t rounds) {
  std::optional<benchmark::BenchmarkReporter::Run>& run = output_->collector.last();
  if (run && output_->reporter && output_->collector.context()) {
    // One entry a group, whose name does not tell the last look's size: runs compare by name.
    run->run_name = {};
    run->run_name.function_name = group_name;
    run->iterations = std::max<std::int64_t>(1, rounds);
    run->real_accumulated_time = output_->seconds;
    run->cpu_accumulated_time = output_->cpu_seconds;
    if (!output_->context_written) {
      output_->reporter->ReportContext(*output_->collector.context());
      output_->context_written = true;
    }
    output_->reporter->ReportRuns({*run});
    output_->file.flush();
  }
  run.reset();
  output_->seconds = 0;
  output_->cpu_seconds = 0;
}

}  // namespace deformer
