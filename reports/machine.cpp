#include "reports/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "reports/fields.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

std::string threads_text(int threads) {
  return fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
}

Cell rate_cell(double rate, const std::string& missing) {
  return missing.empty() ? Cell(fmt::format("{:.1f}", rate)) : std::nullopt;
}

std::string value_text(const Json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) return value.get<std::string>();
  std::string text;
  const auto add = [&text](const std::string& word) { text += (text.empty() ? "" : ", ") + word; };
  if (value.is_object()) {
    for (const auto& [name, inner] : value.items()) add(name + " " + value_text(inner));
    return text;
  }
  if (value.is_array()) {
    for (const Json& inner : value) add(value_text(inner));
    return text.empty() ? "none" : text;
  }
  return value.dump();
}

/// As caches are sold: "32 KiB", "1 MiB".
std::string cache_size(double bytes) {
  const bool mega = bytes >= 1 << 20;
  return fmt::format("{:g} {}", bytes / (mega ? 1 << 20 : 1 << 10), mega ? "MiB" : "KiB");
}

/// "L1 32 KiB x 2, L3 32 MiB, each shared by 2".
std::string caches_text(const Json& caches) {
  std::string text;
  for (const Json& cache : caches) {
    text +=
        fmt::format("{}L{} {}", text.empty() ? "" : ", ", number_field(cache, "level").value_or(0),
                    cache_size(number_field(cache, "size_bytes").value_or(0)));
    const double count = number_field(cache, "count").value_or(1);
    const double sharing = number_field(cache, "shared_by").value_or(1);
    if (count > 1) text += fmt::format(" x {}", count);
    if (sharing > 1) text += fmt::format(", each shared by {}", sharing);
  }
  return text.empty() ? "unknown" : text;
}

/// A field of the fingerprint under the name it has among the deciding ones.
bool decides(const Json& machine, const std::string& name) {
  const Json* deciding = field(machine, "deciding");
  if (deciding == nullptr) return false;
  return name == "libraries" || deciding->contains(name == "memory_bytes" ? "memory_gib" : name);
}

Table arithmetic_table(const Roofs& roofs, const std::string& origin) {
  Table table;
  table.title = fmt::format("Arithmetic, {} ({})", threads_text(roofs.threads), origin);
  table.columns = {{"dtype", "dtype", "", "Type of the factors", true},
                   {"isa", "ISA", "", "Instruction set", true},
                   {"instruction", "instructions", "", "What the loop is made of", true},
                   {"best_gflops", "best GFLOP/s", "GFLOP/s", "Best burst; int8: 1e9 operations/s"},
                   {"median_gflops", "median GFLOP/s", "GFLOP/s", "Median burst"}};
  for (const ArithmeticRoof& roof : roofs.arithmetic) {
    const auto text = [](const std::string& word) { return word.empty() ? Cell() : Cell(word); };
    table.rows.push_back({roof.dtype, text(roof.isa), text(roof.instruction),
                          rate_cell(roof.best_gflops, roof.missing),
                          rate_cell(roof.median_gflops, roof.missing)});
    if (!roof.missing.empty()) table.notes.push_back(roof.dtype + ": " + roof.missing);
  }
  const ArithmeticRoof* peak = roofs.peak("f32");
  const ArithmeticRoof* fma = roofs.vector_peak("f32");
  if (peak != nullptr) {
    table.notes.push_back(fmt::format(
        "roof of f32: {:.1f} GFLOP/s by {}{}", peak->best_gflops, peak->by(),
        fma != nullptr && fma != peak ? fmt::format("; FMA {:.1f}", fma->best_gflops) : ""));
  }
  for (const std::string& reason : roofs.disturbed) {
    table.notes.push_back("DISTURBED: " + reason);
  }
  if (!roofs.disturbed.empty()) {
    table.notes.emplace_back(
        "figures may be too low: sweeps hold nothing against them; `machine --fresh` measures "
        "again, when the machine is quiet");
  }
  return table;
}

Table bandwidth_table(const Roofs& roofs) {
  Table table;
  table.title = "Bandwidth";
  table.columns = {
      {"level", "level", "", "Where the data lies", true},
      {"threads", "threads", "", "Threads, each with its own part"},
      {"working_set_bytes", "working set", "bytes", "Of all threads together"},
      {"read_gb_per_s", "read GB/s", "GB/s", "Best burst of loads"},
      {"read_median_gb_per_s", "median", "GB/s", "Median burst"},
      {"copy_gb_per_s", "copy GB/s", "GB/s", "Best burst, bytes read plus bytes written"},
      {"copy_median_gb_per_s", "median", "GB/s", "Median burst"}};
  for (const BandwidthRoof& roof : roofs.bandwidth) {
    table.rows.push_back({roof.level, std::to_string(roof.threads),
                          roof.missing.empty()
                              ? Cell(human_bytes(static_cast<double>(roof.working_set_bytes)))
                              : std::nullopt,
                          rate_cell(roof.rate.read_gb_per_s, roof.missing),
                          rate_cell(roof.rate.read_median_gb_per_s, roof.missing),
                          rate_cell(roof.rate.copy_gb_per_s, roof.missing),
                          rate_cell(roof.rate.copy_median_gb_per_s, roof.missing)});
    if (!roof.missing.empty()) table.notes.push_back(roof.level + ": " + roof.missing);
  }
  table.notes.emplace_back("copy: bytes read plus bytes written");
  return table;
}

std::string shape_text(const GemmShape& shape) {
  return fmt::format("{} x {} x {}", shape.m, shape.n, shape.k);
}

/// Place of `word`, appended when it is not there yet.
std::size_t place_of(std::vector<std::string>& words, const std::string& word) {
  const auto found = std::ranges::find(words, word);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  words.push_back(word);
  return words.size() - 1;
}

Table gemm_table(const Roofs& roofs) {
  Table table;
  table.title = fmt::format("GEMM f32, {}, best GFLOP/s", threads_text(roofs.threads));
  table.columns = {{"shape", "M x N x K", "", "c [M,N] = a [M,K] w^T, w [N,K]", true}};
  std::vector<std::string> libraries;
  std::vector<std::string> shapes;
  for (const GemmRoof& roof : roofs.gemm) place_of(libraries, roof.library);
  for (const std::string& library : libraries) {
    table.columns.push_back({library, library, "GFLOP/s", "Best run of this library"});
  }
  for (const GemmRoof& roof : roofs.gemm) {
    const std::size_t row = place_of(shapes, shape_text(roof.shape));
    if (row == table.rows.size()) {
      table.rows.emplace_back(table.columns.size());
      table.rows.back()[0] = shapes[row];
    }
    table.rows[row][place_of(libraries, roof.library) + 1] =
        rate_cell(roof.best_gflops, roof.missing);
    if (!roof.missing.empty()) {
      table.notes.push_back(
          fmt::format("{}, {}: {}", roof.library, shape_text(roof.shape), roof.missing));
    }
  }
  if (const GemmRoof* best = roofs.best_gemm()) {
    const ArithmeticRoof* peak = roofs.peak("f32");
    table.notes.push_back(fmt::format(
        "best: {:.1f} GFLOP/s, {} at {}{}", best->best_gflops, best->library,
        shape_text(best->shape),
        peak == nullptr ? ""
                        : fmt::format(", {} of the roof of f32",
                                      human_percent(best->best_gflops / peak->best_gflops))));
  }
  return table;
}

Table team_table(const Roofs& roofs) {
  Table table;
  table.title = fmt::format("Thread team, {}", threads_text(roofs.threads));
  table.columns = {{"event", "event", "", "What the team does", true},
                   {"median_ns", "median", "ns", "Median time"},
                   {"p99_ns", "p99", "ns", "99th percentile"}};
  const auto add = [&table](const char* event, const std::optional<Percentiles>& cost) {
    const bool has_tail = cost && cost->p99_ns;
    table.rows.push_back({event, cost ? Cell(human_time(cost->median_ns)) : std::nullopt,
                          has_tail ? Cell(human_time(*cost->p99_ns)) : std::nullopt});
  };
  add("empty parallel region", roofs.team.region);
  add("spin barrier inside one", roofs.team.barrier);
  return table;
}

}  // namespace

Table fingerprint_table(const Json& machine) {
  Table table;
  table.title = "Machine";
  table.columns = {
      {"field", "field", "", "What it is", true},
      {"value", "value", "", "What was found", true},
      {"decides", "decides", "", "Two machines that differ here are not the same", true}};
  for (const auto& [name, value] : machine.items()) {
    if (name == "deciding") continue;
    const bool bytes = name.ends_with("_bytes") && value.is_number();
    const bool unlimited = name == "cpu_quota" && value == 0;
    const std::string text = unlimited                              ? ""
                             : name == "caches" && value.is_array() ? caches_text(value)
                             : bytes ? human_bytes(value.get<double>())
                                     : value_text(value);
    table.rows.push_back(
        {name, text.empty() ? "none" : text, decides(machine, name) ? Cell("yes") : std::nullopt});
  }
  return table;
}

std::vector<Table> roofs_tables(const Roofs& roofs, const std::string& origin) {
  std::vector<Table> tables = {arithmetic_table(roofs, origin)};
  tables.push_back(bandwidth_table(roofs));
  tables.push_back(gemm_table(roofs));
  tables.push_back(team_table(roofs));
  return tables;
}

}  // namespace deformer
