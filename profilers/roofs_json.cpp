// Roofs as JSON and back. Reading trusts nothing: the file may be anybody's.

#include <cmath>
#include <limits>
#include <stdexcept>

#include "profilers/roofs.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

Json rate_or_null(double rate, const std::string& missing) {
  return missing.empty() ? Json(rate) : Json(nullptr);
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json json_of(const ArithmeticRoof& roof) {
  return {{"dtype", roof.dtype},
          {"isa", text_or_null(roof.isa)},
          {"instruction", text_or_null(roof.instruction)},
          {"threads", roof.threads},
          {"best_gflops", rate_or_null(roof.best_gflops, roof.missing)},
          {"median_gflops", rate_or_null(roof.median_gflops, roof.missing)},
          {"missing", text_or_null(roof.missing)}};
}

Json json_of(const BandwidthRoof& roof) {
  return {{"level", roof.level},
          {"threads", roof.threads},
          {"working_set_bytes", roof.working_set_bytes},
          {"read_gb_per_s", rate_or_null(roof.rate.read_gb_per_s, roof.missing)},
          {"read_median_gb_per_s", rate_or_null(roof.rate.read_median_gb_per_s, roof.missing)},
          {"copy_gb_per_s", rate_or_null(roof.rate.copy_gb_per_s, roof.missing)},
          {"copy_median_gb_per_s", rate_or_null(roof.rate.copy_median_gb_per_s, roof.missing)},
          {"missing", text_or_null(roof.missing)}};
}

Json json_of(const GemmRoof& roof) {
  return {{"library", roof.library},
          {"m", roof.shape.m},
          {"n", roof.shape.n},
          {"k", roof.shape.k},
          {"best_gflops", rate_or_null(roof.best_gflops, roof.missing)},
          {"median_gflops", rate_or_null(roof.median_gflops, roof.missing)},
          {"missing", text_or_null(roof.missing)}};
}

Json json_of(const Percentiles& cost) {
  return {{"median_ns", cost.median_ns},
          {"p99_ns", cost.p99_ns ? Json(*cost.p99_ns) : Json(nullptr)}};
}

template <typename Roof>
Json list_of(const std::vector<Roof>& roofs) {
  Json list = Json::array();
  for (const Roof& roof : roofs) list.push_back(json_of(roof));
  return list;
}

// Reading: what does not fit is thrown here and caught below.

struct Unfit : std::runtime_error {
  Unfit() : std::runtime_error("not the roofs this program writes") {}
};

const Json& at(const Json& json, const char* name) {
  if (!json.is_object() || !json.contains(name)) throw Unfit();
  return json[name];
}

double number_at(const Json& json, const char* name) {
  const Json& value = at(json, name);
  if (!value.is_number()) throw Unfit();
  const auto number = value.get<double>();
  if (!std::isfinite(number) || number < 0) throw Unfit();
  return number;
}

std::int64_t integer_at(const Json& json, const char* name) {
  const double number = number_at(json, name);
  if (!at(json, name).is_number_integer() || number > 1e15) throw Unfit();
  return at(json, name).get<std::int64_t>();
}

int threads_at(const Json& json) {
  const std::int64_t threads = integer_at(json, "threads");
  if (threads < 1 || threads > std::numeric_limits<int>::max()) throw Unfit();
  return static_cast<int>(threads);
}

std::string text_at(const Json& json, const char* name) {
  const Json& value = at(json, name);
  if (value.is_null()) return {};
  if (!value.is_string()) throw Unfit();
  return value.get<std::string>();
}

/// A rate that was measured is above zero; one that was not is null.
double rate_at(const Json& json, const char* name) {
  if (!text_at(json, "missing").empty()) {
    if (!at(json, name).is_null()) throw Unfit();
    return 0;
  }
  const double rate = number_at(json, name);
  if (rate <= 0) throw Unfit();
  return rate;
}

const Json& array_at(const Json& json, const char* name) {
  const Json& value = at(json, name);
  if (!value.is_array()) throw Unfit();
  return value;
}

ArithmeticRoof arithmetic_from(const Json& json) {
  return {text_at(json, "dtype"),  text_at(json, "isa"),         text_at(json, "instruction"),
          threads_at(json),        rate_at(json, "best_gflops"), rate_at(json, "median_gflops"),
          text_at(json, "missing")};
}

BandwidthRoof bandwidth_from(const Json& json) {
  return {text_at(json, "level"),
          threads_at(json),
          integer_at(json, "working_set_bytes"),
          {rate_at(json, "read_gb_per_s"), rate_at(json, "read_median_gb_per_s"),
           rate_at(json, "copy_gb_per_s"), rate_at(json, "copy_median_gb_per_s")},
          text_at(json, "missing")};
}

GemmRoof gemm_from(const Json& json) {
  return {text_at(json, "library"),
          {integer_at(json, "m"), integer_at(json, "n"), integer_at(json, "k")},
          rate_at(json, "best_gflops"),
          rate_at(json, "median_gflops"),
          text_at(json, "missing")};
}

Percentiles percentiles_from(const Json& json) {
  Percentiles cost{number_at(json, "median_ns"), std::nullopt};
  if (!at(json, "p99_ns").is_null()) cost.p99_ns = number_at(json, "p99_ns");
  return cost;
}

Roofs read(const Json& json) {
  Roofs roofs;
  roofs.threads = threads_at(json);
  for (const Json& roof : array_at(json, "arithmetic")) {
    roofs.arithmetic.push_back(arithmetic_from(roof));
  }
  for (const Json& roof : array_at(json, "bandwidth")) {
    roofs.bandwidth.push_back(bandwidth_from(roof));
  }
  for (const Json& roof : array_at(json, "gemm")) roofs.gemm.push_back(gemm_from(roof));
  const Json& team = at(json, "team");
  roofs.team.region = percentiles_from(at(team, "region"));
  if (!at(team, "barrier").is_null()) roofs.team.barrier = percentiles_from(team["barrier"]);
  const std::int64_t rounds = integer_at(json, "rounds");
  if (rounds > std::numeric_limits<int>::max()) throw Unfit();
  roofs.rounds = static_cast<int>(rounds);
  for (const Json& reason : array_at(json, "disturbed")) {
    if (!reason.is_string()) throw Unfit();
    roofs.disturbed.push_back(reason.get<std::string>());
  }
  return roofs;
}

}  // namespace

Json to_json(const Roofs& roofs) {
  const auto& barrier = roofs.team.barrier;
  return {{"threads", roofs.threads},
          {"arithmetic", list_of(roofs.arithmetic)},
          {"bandwidth", list_of(roofs.bandwidth)},
          {"gemm", list_of(roofs.gemm)},
          {"team",
           {{"region", json_of(roofs.team.region)},
            {"barrier", barrier ? json_of(*barrier) : Json(nullptr)}}},
          {"rounds", roofs.rounds},
          {"disturbed", roofs.disturbed}};
}

std::optional<Roofs> roofs_from_json(const Json& json) {
  try {
    return read(json);
  } catch (const Unfit&) {
    return std::nullopt;
  }
}

}  // namespace deformer
