#include "reports/economics.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "reports/fields.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

/// Sum of the medians of the phases whose names begin so; nullopt when there are none.
std::optional<double> phases_ns(const Json& record,
                                std::initializer_list<std::string_view> starts) {
  const Json* phases = field(record, "phases");
  if (phases == nullptr || !phases->is_array()) return std::nullopt;
  std::optional<double> sum;
  for (const Json& phase : *phases) {
    const std::string name = text_field(phase, "name").value_or("");
    const auto ns = positive_field(phase, "median_ns");
    for (const std::string_view start : starts) {
      if (ns && name.starts_with(start)) sum = sum.value_or(0) + *ns;
    }
  }
  return sum;
}

Cell hit_rate_cell(const std::optional<double>& rate) {
  if (!rate) return {};
  if (*rate > 1) return Cell::number(*rate, "never");
  return Cell::number(std::max(0.0, *rate));
}

}  // namespace

std::optional<double> Economics::critical_bandwidth() const {
  if (full_ns <= 0 || flops_saved <= 0) return std::nullopt;
  const double rate = flops_full / (full_ns * 1e-9);
  return rate * bytes_loaded / flops_saved;
}

std::optional<double> Economics::fetch_bandwidth() const {
  if (!fetch_ns || bytes_loaded <= 0) return std::nullopt;
  return bytes_loaded / (*fetch_ns * 1e-9);
}

std::optional<double> Economics::miss_ns() const {
  if (!encode_ns) return std::nullopt;
  return cached_ns + *encode_ns;  // - fetch + encode + write, and write = fetch
}

std::optional<double> Economics::break_even_hit_rate() const {
  const auto miss = miss_ns();
  if (!miss || *miss <= cached_ns) return std::nullopt;
  return (*miss - full_ns) / (*miss - cached_ns);
}

std::optional<double> Economics::break_even_sharing() const {
  if (!encode_ns || !fetch_ns) return std::nullopt;
  return *encode_ns / *fetch_ns;
}

std::optional<double> Economics::break_even_reads() const {
  if (!encode_ns || full_ns <= cached_ns) return std::nullopt;
  return (*encode_ns + fetch_ns.value_or(0)) / (full_ns - cached_ns);
}

void EconomicsTable::add(const Json& record) {
  const auto time = positive_field(record, "time.median");
  const auto flops = positive_field(record, "cost.flops");
  const Json* parity = field(record, "parity.ok");
  const bool failed = parity != nullptr && *parity == Json(false);
  const bool planted = text_field(record, "injected").has_value();
  if (text_field(record, "status") != "ok" || failed || planted || !time || !flops) return;
  Measured measured;
  measured.name = text_field(record, "name").value_or("");
  measured.split = number_field(record, "point.split").value_or(0);
  measured.time_ns = *time;
  measured.flops = *flops;
  measured.bytes_passage = number_field(record, "cost.bytes_cache_passage").value_or(0);
  measured.bytes_batch =
      number_field(record, "cost.bytes_cache_batch").value_or(measured.bytes_passage);
  measured.fetch_ns = phases_ns(record, {"load("});
  measured.encode_ns = phases_ns(record, {"embed(passage", "encode(passage"});
  const std::string id = text_field(record, "group").value_or("");
  if (!groups_.contains(id)) order_.push_back(id);
  Group& group = groups_[id];
  const auto variant = text_field(record, "point.variant");
  if (variant == "full") group.full = measured;
  if (variant == "decomposed") group.decomposed[measured.split] = measured;
  if (variant == "cached") group.cached.push_back(measured);
}

Table EconomicsTable::table() const {
  Table table;
  table.columns = {
      {"name", "point", "", "Name of the point", true},
      {"saved_ns", "saved", "ns", "Time a forward saves over full", false, Hint::duration},
      {"critical_bandwidth_bytes_per_s", "BW* /s", "bytes/s",
       "Loading slower than this costs more than computing what it saves, at full's rate", false,
       Hint::bytes},
      {"fetch_bandwidth_bytes_per_s", "loaded at /s", "bytes/s",
       "Rate at which passages were loaded", false, Hint::bytes},
      {"break_even_hit_rate", "hit rate", "%",
       "Share of hits from which caching beats full; a miss encodes and writes the passage", false,
       Hint::fraction},
      {"break_even_reads", "reads", "", "Reads after which encoding a passage ahead has paid",
       false, Hint::rate},
      {"break_even_questions", "r", "questions",
       "Questions sharing one encoding, without a cache, at which its share costs each what "
       "loading "
       "costs",
       false, Hint::rate},
      {"bytes_cache_passage", "passage", "bytes", "Stored bytes of one passage", false,
       Hint::bytes},
      {"bytes_million_passages", "a million", "bytes", "Stored bytes of a million passages", false,
       Hint::bytes}};
  std::size_t lacking = 0;
  for (const std::string& id : order_) {
    const Group& group = groups_.at(id);
    for (const Measured& cached : group.cached) {
      if (!group.full) {
        ++lacking;
        continue;
      }
      const auto decomposed = group.decomposed.find(cached.split);
      Economics economics;
      economics.full_ns = group.full->time_ns;
      economics.cached_ns = cached.time_ns;
      economics.fetch_ns = cached.fetch_ns;
      if (decomposed != group.decomposed.end()) economics.encode_ns = decomposed->second.encode_ns;
      economics.flops_saved = group.full->flops - cached.flops;
      economics.flops_full = group.full->flops;
      economics.bytes_loaded = cached.bytes_batch;
      economics.bytes_passage = cached.bytes_passage;
      table.rows.push_back(
          {cached.name, Cell::number(economics.full_ns - economics.cached_ns),
           Cell::number(economics.critical_bandwidth()), Cell::number(economics.fetch_bandwidth()),
           hit_rate_cell(economics.break_even_hit_rate()),
           Cell::number(economics.break_even_reads()), Cell::number(economics.break_even_sharing()),
           Cell::number(economics.bytes_passage), Cell::number(economics.bytes_passage * 1e6)});
    }
  }
  for (std::size_t c = 1; c < table.columns.size(); ++c) {
    table.notes.push_back(table.columns[c].title + ": " + table.columns[c].description);
  }
  if (lacking > 0) {
    table.notes.push_back(fmt::format(
        "{} cached points have no full measured beside them and are left out", lacking));
  }
  return table;
}

}  // namespace deformer
