#pragma once
/// Records as the harness writes them, for the tests of this room.

#include <string>

#include <nlohmann/json.hpp>

namespace deformer {

using Json = nlohmann::ordered_json;

/// An ok record of squad on bert-base in group "g", set "s", checked against the reference.
/// `split` 0 leaves the field out, as `full` does.
inline Json make_record(const std::string& variant, int split, double median_ns) {
  Json point = {{"model", "bert-base"}, {"task", "squad"},    {"question", 27},   {"passage", 293},
                {"batch", 1},           {"variant", variant}, {"backend", "cpu"}, {"dtype", "f32"},
                {"threads", 2},         {"seed", 1}};
  if (split > 0) point["split"] = split;
  if (variant == "cached") point["cache_dtype"] = "f32";
  const std::string name = "bert-base/squad/" + variant + std::to_string(split);
  return {{"type", "record"},
          {"schema", 1},
          {"run", "run-1"},
          {"key", "key-" + variant + std::to_string(split)},
          {"group", "g"},
          {"name", name},
          {"point", point},
          {"status", "ok"},
          {"reason", nullptr},
          {"set", "s"},
          {"reproduce", "deformer-bench sweep --variant " + variant},
          {"time",
           {{"unit", "ns"},
            {"median", median_ns},
            {"ci_low", median_ns * 0.99},
            {"ci_high", median_ns * 1.01},
            {"rounds", 22},
            {"discarded", 0},
            {"stopped", "precision"}}},
          {"speedup", nullptr},
          {"memory", {{"peak_bytes", 512e6}}},
          {"achieved", {{"gflops", 100.0}, {"roof_fraction", nullptr}}},
          {"parity", {{"max_abs", 1e-5}, {"cosine_min", 1.0}, {"tolerance", 2e-4}, {"ok", true}}}};
}

inline Json with_speedup(Json record, double speedup, double flop_ratio) {
  record["speedup"] = {{"versus", {{"key", "key-full0"}, {"set", "s"}}},
                       {"median", speedup},
                       {"ci_low", speedup * 0.99},
                       {"ci_high", speedup * 1.01},
                       {"flop_ratio", flop_ratio},
                       {"efficiency", speedup / flop_ratio}};
  return record;
}

}  // namespace deformer
