#pragma once
/// What each field of a line must be: the tables behind both checks, the one that says what is
/// wrong (line_check) and the quick one that says only whether all is right (skim). Internal to
/// records/.

#include <string_view>

namespace deformer {

enum class Kind {
  text,
  text_or_null,
  hex16,
  count,
  positive,
  number_or_null,
  times,
  numbers_or_null,
  object,
  object_or_null,
  array_or_null,
  set_id,
  nanoseconds,
  status,
  variant,
  text_map,
};

struct Rule {
  std::string_view name;
  Kind kind;
  bool required = false;
};

inline constexpr Rule kRunRules[] = {
    {"id", Kind::text, true},          {"started", Kind::text_or_null},
    {"version", Kind::text_or_null},   {"build", Kind::text_or_null},
    {"command", Kind::array_or_null},  {"options", Kind::object_or_null},
    {"machine", Kind::object_or_null}, {"roofs", Kind::object_or_null},
};
inline constexpr Rule kMachineRules[] = {{"deciding", Kind::text_map}};
inline constexpr Rule kEndRules[] = {
    {"run", Kind::text, true},        {"points", Kind::number_or_null},
    {"ok", Kind::number_or_null},     {"skipped", Kind::number_or_null},
    {"failed", Kind::number_or_null}, {"invalid", Kind::number_or_null},
    {"wall_s", Kind::number_or_null},
};
inline constexpr Rule kRecordRules[] = {
    {"run", Kind::text, true},           {"key", Kind::hex16, true},
    {"group", Kind::hex16, true},        {"name", Kind::text, true},
    {"point", Kind::object, true},       {"status", Kind::status, true},
    {"reason", Kind::text_or_null},      {"set", Kind::set_id},
    {"set_size", Kind::positive},        {"reproduce", Kind::text_or_null},
    {"time", Kind::object_or_null},      {"speedup", Kind::object_or_null},
    {"cost", Kind::object_or_null},      {"achieved", Kind::object_or_null},
    {"memory", Kind::object_or_null},    {"phases", Kind::array_or_null},
    {"ranges", Kind::array_or_null},     {"operations", Kind::array_or_null},
    {"injected", Kind::text_or_null},    {"counters", Kind::object_or_null},
    {"parity", Kind::object_or_null},    {"throughput", Kind::object_or_null},
    {"processors", Kind::array_or_null}, {"engines", Kind::object_or_null},
};
inline constexpr Rule kPointRules[] = {
    {"model", Kind::text, true},      {"question", Kind::count, true},
    {"passage", Kind::count, true},   {"batch", Kind::positive, true},
    {"variant", Kind::variant, true}, {"backend", Kind::text, true},
    {"dtype", Kind::text, true},      {"threads", Kind::positive, true},
    {"seed", Kind::count, true},
};
inline constexpr Rule kSplitRules[] = {{"split", Kind::count, true}};
inline constexpr Rule kCachedRules[] = {{"cache_dtype", Kind::text, true}};
inline constexpr Rule kTimeRules[] = {
    {"unit", Kind::nanoseconds},         {"samples", Kind::times, true},
    {"round", Kind::numbers_or_null},    {"median", Kind::number_or_null},
    {"ci_low", Kind::number_or_null},    {"ci_high", Kind::number_or_null},
    {"min", Kind::number_or_null},       {"mean", Kind::number_or_null},
    {"stdev", Kind::number_or_null},     {"p90", Kind::number_or_null},
    {"p99", Kind::number_or_null},       {"rounds", Kind::number_or_null},
    {"discarded", Kind::number_or_null}, {"stopped", Kind::text_or_null},
};
inline constexpr Rule kSpeedupRules[] = {
    {"versus", Kind::object_or_null},     {"samples", Kind::numbers_or_null},
    {"median", Kind::number_or_null},     {"ci_low", Kind::number_or_null},
    {"ci_high", Kind::number_or_null},    {"flop_ratio", Kind::number_or_null},
    {"efficiency", Kind::number_or_null},
};
inline constexpr Rule kVersusRules[] = {{"key", Kind::hex16, true}, {"set", Kind::set_id}};
inline constexpr Rule kCostRules[] = {
    {"flops", Kind::number_or_null},
    {"flops_gemm", Kind::number_or_null},
    {"flops_attention", Kind::number_or_null},
    {"flops_elementwise", Kind::number_or_null},
    {"flops_executed", Kind::number_or_null},
    {"bytes_weights", Kind::number_or_null},
    {"bytes_activations", Kind::number_or_null},
    {"bytes_cache_passage", Kind::number_or_null},
};

}  // namespace deformer
