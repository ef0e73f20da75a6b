#pragma once
/// Runs as large as real ones, made of seeded noise: every field that a record of a sweep has, and
/// digits that do not repeat.

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "records/run_file.hpp"

namespace deformer {

class GeneratedRuns {
 public:
  GeneratedRuns(std::size_t points, std::size_t samples, std::uint64_t seed)
      : points_(points), samples_(samples), random_(seed) {}

  /// The run of this number, started so many hours after the first. From run `slower_from` on the
  /// point `slower` takes 5 % longer.
  RunFile run(std::size_t number, std::size_t slower, std::size_t slower_from) {
    RunFile file;
    file.path = fmt::format("run-{}.jsonl", number);
    const std::string id = fmt::format("{:012x}", number);
    file.runs.push_back(run_line(id, number));
    for (std::size_t point = 0; point < points_; ++point) {
      const bool changed = point == slower && number >= slower_from;
      file.records.push_back(record(id, point, changed ? 1.05 : 1.0));
    }
    file.ends.push_back({{"type", "end"},
                         {"run", id},
                         {"points", points_},
                         {"ok", points_},
                         {"skipped", 0},
                         {"failed", 0},
                         {"invalid", 0},
                         {"wall_s", noise() * 60}});
    return file;
  }

 private:
  using Json = nlohmann::ordered_json;

  double noise() { return std::exp(0.01 * normal_(random_)); }

  static Json run_line(const std::string& id, std::size_t number) {
    const std::size_t day = number / 24;
    Json deciding = {{"cpu_model", "Some Processor"}, {"cores", "2"}, {"isa", "avx2 fma avx512f"}};
    return {{"type", "run"},
            {"schema", 1},
            {"id", id},
            {"started", fmt::format("{}-{:02}-{:02}T{:02}:00:00Z", 2020 + day / 336,
                                    1 + day / 28 % 12, 1 + day % 28, number % 24)},
            {"version", "0.1.0"},
            {"revision", fmt::format("{:040x}", number * 7919)},
            {"build", fmt::format("{:012x}", number * 104729)},
            {"command", {"deformer-bench", "sweep", "--model", "bert-base", "--task", "squad"}},
            {"machine", {{"cpu_model", "Some Processor"}, {"cores", 2}, {"deciding", deciding}}}};
  }

  Json samples(double centre, bool whole) {
    Json list = Json::array();
    for (std::size_t i = 0; i < samples_; ++i) {
      const double value = centre * noise();
      list.push_back(whole ? std::round(value) : value);
    }
    return list;
  }

  Json record(const std::string& run, std::size_t point, double factor) {
    const bool full = point % 4 == 0;
    const std::string split = fmt::format("k{}", point % 4);
    const double ns = factor * 1e6 * static_cast<double>(1 + point / 4) / (full ? 1.0 : 2.5);
    Json json = {
        {"type", "record"},
        {"schema", 1},
        {"run", run},
        {"key", fmt::format("{:016x}", point * 0x9e3779b97f4a7c15)},
        {"group", fmt::format("{:016x}", point / 4 * 0x9e3779b97f4a7c15 + 1)},
        {"name", fmt::format("bert-base/squad/q27/p{}/{}/b1/{}/cpu/f32/t2", 64 + point / 4, split,
                             full ? "full" : "cached")},
        {"point",
         {{"backend", "cpu"},
          {"batch", 1},
          {"dtype", "f32"},
          {"model", "bert-base"},
          {"passage", 64 + point / 4},
          {"question", 27},
          {"seed", 1},
          {"task", "squad"},
          {"threads", 2},
          {"variant", full ? "full" : "cached"}}},
        {"status", "ok"},
        {"reason", nullptr},
        {"set", fmt::format("{}-{}", run, point / 4)},
        {"set_size", 4},
        {"reproduce", fmt::format("deformer-bench sweep --model bert-base --task squad --question "
                                  "27 --passage {} --batch 1 --backend cpu --dtype f32 --threads 2",
                                  64 + point / 4)}};
    const double median = ns * noise();
    json["time"] = {{"unit", "ns"},
                    {"samples", samples(ns, true)},
                    {"median", median},
                    {"ci_low", median * 0.99},
                    {"ci_high", median * 1.01},
                    {"min", median * 0.98},
                    {"mean", median * noise()},
                    {"stdev", median * 0.01 * noise()},
                    {"p90", nullptr},
                    {"p99", nullptr},
                    {"rounds", samples_},
                    {"discarded", 0},
                    {"stopped", "precision"},
                    {"forwards_per_sample", 1}};
    json["speedup"] = nullptr;
    if (!full) {
      const double ratio = 2.5 * noise();
      json["speedup"] = {{"versus", {{"key", "0123456789abcdef"}, {"set", run}}},
                         {"samples", samples(2.5, false)},
                         {"median", ratio},
                         {"ci_low", ratio * 0.99},
                         {"ci_high", ratio * 1.01},
                         {"flop_ratio", 2.6},
                         {"efficiency", ratio / 2.6}};
    }
    const double flops = 5e10 + 1e7 * static_cast<double>(point);
    json["cost"] = {{"flops", flops},
                    {"flops_gemm", flops * 0.9},
                    {"flops_attention", flops * 0.1},
                    {"flops_elementwise", 7291520},
                    {"flops_issued", flops},
                    {"flops_executed", nullptr},
                    {"bytes_weights", 17478664},
                    {"bytes_activations", 8849920},
                    {"bytes_requested", 9832960},
                    {"bytes_cache_passage", full ? 0 : 960000}};
    json["achieved"] = {{"gflops", flops / median},
                        {"roof_fraction", flops / median / 240},
                        {"roof_gflops", 240 * noise()},
                        {"bound", "arithmetic"}};
    json["throughput"] = {{"items_per_s", 1e9 / median}, {"tokens_per_s", 320e9 / median}};
    json["memory"] = {{"peak_bytes", 913984},
                      {"requested_bytes", 4247168},
                      {"rss_peak_bytes", std::round(2e9 * noise())}};
    json["phases"] = {{{"name", "embed(joint)"}, {"median_ns", std::round(median * 0.02)}},
                      {{"name", "encode(joint,0..12)"}, {"median_ns", std::round(median * 0.97)}},
                      {{"name", "head"}, {"median_ns", std::round(median * 0.01)}}};
    json["parity"] = {{"against", "reference"},      {"sequences", 1},
                      {"max_abs", 1.1e-6 * noise()}, {"cosine_min", 0.9999999999999849},
                      {"tolerance", 0.0002},         {"ok", true}};
    return json;
  }

  std::size_t points_, samples_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
};

}  // namespace deformer
