#include "reports/paper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/fields.hpp"
#include "reports/paper_data.hpp"
#include "reports/paper_model.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kNeedsTraining =
    "accuracy needs fine-tuned weights and the task's data; not measured";
constexpr const char* kNotMeasured = "not measured in these run files; paper --run measures it";

const Json& json_at(const Json* record) {
  static const Json none;
  return record == nullptr ? none : *record;
}

void set_measured(PaperItem& item, const Json* record, std::string_view centre,
                  std::string_view low = "", std::string_view high = "", double scale = 1) {
  item.measured = number_field(json_at(record), centre);
  if (!item.measured) return;
  *item.measured *= scale;
  item.low = number_field(*record, low);
  item.high = number_field(*record, high);
  if (item.low) *item.low *= scale;
  if (item.high) *item.high *= scale;
  item.run = text_field(*record, "run").value_or("?");
  item.why.clear();
}

PaperItem item_of(std::string_view where, std::string what, double published, int decimals,
                  std::string unit, std::string why) {
  PaperItem item;
  item.where = where;
  item.what = std::move(what);
  item.published = published;
  item.decimals = decimals;
  item.unit = std::move(unit);
  item.why = std::move(why);
  return item;
}

PaperItem speedup_item(std::string_view where, const PaperShape& shape, double published,
                       const PaperRecords& records, std::int64_t batch = 0) {
  PaperItem item =
      item_of(where, fmt::format("{} {} k={} speedup", shape.model, shape.task, shape.split),
              published, 1, "x", kNotMeasured);
  item.model = paper_flop_ratio(shape);
  set_measured(item, records.find(shape.model, shape.task, Variant::cached, shape.split, batch),
               "speedup.median", "speedup.ci_low", "speedup.ci_high");
  return item;
}

/// What cached requests less than full, in percent: of the same batch, or it says nothing.
std::optional<double> measured_reduction(const PaperShape& shape, const Json* cached,
                                         const PaperRecords& records) {
  if (cached == nullptr) return std::nullopt;
  const auto batch = static_cast<std::int64_t>(number_field(*cached, "point.batch").value_or(1));
  const Json* full = records.find(shape.model, shape.task, Variant::full, 0, batch);
  const auto whole = positive_field(json_at(full), "memory.requested_bytes");
  const auto part = positive_field(*cached, "memory.requested_bytes");
  if (!whole || !part) return std::nullopt;
  return 100 * (1 - *part / *whole);
}

void add_tasks(std::vector<PaperItem>& items, const PaperRecords& records) {
  for (const paper::TaskRow& row : paper::kTasks) {
    const PaperShape shape{row.model, row.task, paper_split(row.model)};
    const std::string name = fmt::format("{} {}", row.model, row.task);
    items.push_back(item_of(row.table, name + " original", row.original, 1, "", kNeedsTraining));
    items.push_back(item_of(row.table, name + " DeFormer", row.deformer, 1, "", kNeedsTraining));
    items.push_back(item_of(row.table, name + " drop", row.drop, 1, "", kNeedsTraining));
    items.push_back(speedup_item(row.table, shape, row.speedup, records));
    PaperItem memory =
        item_of(row.table, name + " memory reduction", row.memory_reduction, 1, "%", kNotMeasured);
    memory.model = paper_memory_reduction(shape);
    const Json* cached = records.find(row.model, row.task, Variant::cached, shape.split);
    memory.measured = measured_reduction(shape, cached, records);
    if (memory.measured) {
      memory.run = text_field(*cached, "run").value_or("?");
      memory.why.clear();
    }
    items.push_back(std::move(memory));
  }
}

void add_resources(std::vector<PaperItem>& items, const PaperRecords& records) {
  for (const paper::ResourceRow& row : paper::kResources) {
    const Variant variant = row.cached ? Variant::cached : Variant::full;
    const PaperShape shape{row.model, "squad", paper_split(row.model)};
    const auto cost = paper_cost(shape, variant);
    const Json* record = records.find(row.model, "squad", variant, shape.split);
    const std::string name(row.name);
    items.push_back(item_of("table 3", name + " F1", row.f1, 1, "", kNeedsTraining));
    PaperItem flops =
        item_of("table 3", name + " GFLOP", row.gflops, 1, "GFLOP", "a count, not a measurement");
    if (cost) flops.model = static_cast<double>(cost->total.flops()) * 1e-9;
    items.push_back(std::move(flops));
    PaperItem memory = item_of("table 3", name + " memory", row.megabytes, 1, "MB", kNotMeasured);
    if (cost) memory.model = static_cast<double>(cost->total.bytes_requested) * 1e-6;
    set_measured(memory, record, "memory.requested_bytes", "", "", 1e-6);
    items.push_back(std::move(memory));
  }
}

void add_latencies(std::vector<PaperItem>& items, const PaperRecords& records) {
  for (const paper::LatencyRow& row : paper::kLatencies) {
    const PaperShape shape{"bert-base", "squad", 9, row.batch};
    const std::string name = fmt::format("{} batch {}", row.device, row.batch);
    const std::string why = fmt::format("batch {} was not measured in these run files", row.batch);
    PaperItem full = item_of("table 4", name + " BERT-base", row.full_s, 2, "s", why);
    set_measured(full, records.find("bert-base", "squad", Variant::full, 0, row.batch),
                 "time.median", "time.ci_low", "time.ci_high", 1e-9);
    PaperItem cached = item_of("table 4", name + " DeFormer-base", row.deformer_s, 2, "s", why);
    const Json* record = records.find("bert-base", "squad", Variant::cached, 9, row.batch);
    set_measured(cached, record, "time.median", "time.ci_low", "time.ci_high", 1e-9);
    PaperItem ratio = item_of("table 4", name + " ratio", row.full_s / row.deformer_s, 1, "x", why);
    ratio.model = paper_flop_ratio(shape);
    set_measured(ratio, record, "speedup.median", "speedup.ci_low", "speedup.ci_high");
    items.insert(items.end(), {std::move(full), std::move(cached), std::move(ratio)});
  }
}

void add_ablations(std::vector<PaperItem>& items) {
  for (const paper::AblationRow& row : paper::kAblations) {
    items.push_back(
        item_of("table 5", fmt::format("{} base F1", row.name), row.base, 1, "", kNeedsTraining));
    items.push_back(
        item_of("table 5", fmt::format("{} large F1", row.name), row.large, 1, "", kNeedsTraining));
  }
}

void add_figures(std::vector<PaperItem>& items, const PaperRecords& records) {
  for (std::size_t i = 0; i < paper::kVariance.size(); ++i) {
    items.push_back(item_of("figure 2", fmt::format("layer {} variance", i + 1),
                            paper::kVariance[i], 2, "",
                            "needs a fine-tuned checkpoint and its passages; read off the curve"));
  }
  const auto curve = [&](std::string_view where, std::string_view model, std::int64_t first,
                         const auto& speedups, const auto& drops) {
    for (std::size_t i = 0; i < speedups.size(); ++i) {
      const std::int64_t k = first + static_cast<std::int64_t>(i);
      items.push_back(speedup_item(where, {model, "squad", k}, speedups[i], records));
      if (i < drops.size()) {
        items.push_back(item_of(where, fmt::format("{} k={} F1 drop", model, k), drops[i], 1, "",
                                kNeedsTraining));
      }
    }
  };
  curve("figure 4a", "bert-base", 1, paper::kBaseSpeedups, paper::kBaseDrops);
  curve("figure 4b", "bert-large", 13, paper::kLargeSpeedups, paper::kLargeDrops);
}

/// Dollars a month for all pairs, computed at `seconds` a pair; with or without the cache.
double month_dollars(double seconds, double bytes_passage, bool cached, const PaperPrices& prices) {
  const double computing = paper::kPairs * seconds / 3600 * prices.machine_hour;
  if (!cached) return computing;
  return computing + paper::kPassages * bytes_passage * 1e-9 * prices.storage_gb_month +
         paper::kPairs / 10'000 * prices.reads_10k;
}

void add_appendix(std::vector<PaperItem>& items, const PaperRecords& records,
                  const PaperPrices& prices) {
  const double bytes = paper::kPassageTokens * 768 * 2;
  PaperItem size = item_of("appendix", "stored passage, 150 tokens in bf16",
                           paper::kPassageKilobytes, 0, "kB", "a count, not a measurement");
  size.model = bytes * 1e-3;
  items.push_back(std::move(size));
  // The paper's own batch times, at these prices; measured: this machine's times a pair, priced as
  // if its hour cost the same.
  for (const bool cached : {false, true}) {
    const double batch_s = cached ? paper::kCachedBatchSeconds : paper::kFullBatchSeconds;
    PaperItem dollars =
        item_of("appendix", cached ? "a month with the cache" : "a month without",
                cached ? paper::kCachedDollars : paper::kFullDollars, 1, "$", kNotMeasured);
    dollars.model = month_dollars(batch_s / paper::kBatch, bytes, cached, prices);
    const Variant variant = cached ? Variant::cached : Variant::full;
    if (const Json* record = records.find("bert-base", "squad", variant, 9)) {
      const double batch = number_field(*record, "point.batch").value_or(1);
      if (const auto ns = positive_field(*record, "time.median")) {
        dollars.measured = month_dollars(*ns * 1e-9 / batch, bytes, cached, prices);
        dollars.run = text_field(*record, "run").value_or("?");
        dollars.why.clear();
      }
    }
    items.push_back(std::move(dollars));
  }
}

Cell fixed_cell(double value, int decimals) {
  return Cell::number(value, fmt::format("{:.{}f}", value, decimals));
}

/// The texts are as long, as many and in the order that the paper's were.
bool at_paper_shape(const Json& record, std::string_view model, const Task& task) {
  const auto is = [&record](std::string_view path, std::int64_t expected) {
    return number_field(record, path).value_or(1) == static_cast<double>(expected);
  };
  const std::string order =
      text_field(record, "point.order").value_or(std::string(to_string(Order::question_first)));
  return is("point.question", task.question) && is("point.passage", task.passage) &&
         is("point.r", task.r) && is("point.c", 1) &&
         order == to_string(paper_order(model, task)) &&
         field(record, "point.lengths") == nullptr && field(record, "point.text") == nullptr;
}

/// Measured as it is, not slowed on purpose, beside other instances or with a cache that is
/// narrower than what computes.
bool measured_plainly(const Json& record, Variant variant) {
  const Json* parity_ok = field(record, "parity.ok");
  const bool other_cache = variant == Variant::cached && text_field(record, "point.cache_dtype") !=
                                                             text_field(record, "point.dtype");
  return text_field(record, "status") == "ok" &&
         (parity_ok == nullptr || *parity_ok != Json(false)) &&
         field(record, "injected") == nullptr && field(record, "point.instances") == nullptr &&
         !other_cache;
}

}  // namespace

bool PaperItem::model_agrees() const {
  if (!model) return false;
  const double unit_of_last = std::pow(10, -decimals);
  return std::abs(*model - published) <= unit_of_last / 2 * (1 + 1e-9);
}

const Json* PaperRecords::find(std::string_view model, std::string_view task, Variant variant,
                               std::int64_t split, std::int64_t batch) const {
  const Task* preset = find_task(task);
  if (preset == nullptr) return nullptr;
  const Json* best = nullptr;
  double best_batch = 0;
  for (const Json& record : records_) {
    if (text_field(record, "point.model") != model || text_field(record, "point.task") != task ||
        text_field(record, "point.variant") != to_string(variant) ||
        !at_paper_shape(record, model, *preset) || !measured_plainly(record, variant)) {
      continue;
    }
    if (variant != Variant::full &&
        number_field(record, "point.split") != static_cast<double>(split)) {
      continue;
    }
    const double this_batch = number_field(record, "point.batch").value_or(1);
    if (batch > 0 && this_batch != static_cast<double>(batch)) continue;
    if (best == nullptr || this_batch <= best_batch) {
      best = &record;
      best_batch = this_batch;
    }
  }
  return best;
}

std::vector<PaperItem> paper_items(const PaperRecords& records, const PaperPrices& prices) {
  std::vector<PaperItem> items;
  add_tasks(items, records);
  add_resources(items, records);
  add_latencies(items, records);
  add_ablations(items);
  add_figures(items, records);
  add_appendix(items, records, prices);
  return items;
}

std::vector<Table> paper_tables(const std::vector<PaperItem>& items, const PaperPrices& prices) {
  std::vector<Table> tables;
  std::size_t agrees = 0;
  std::size_t measured = 0;
  std::size_t neither = 0;
  for (const PaperItem& item : items) {
    if (tables.empty() || tables.back().title != item.where) {
      tables.push_back(
          {item.where,
           {{"item", "item", "", "What the paper printed", true},
            {"published", "published", "", "As printed", false, Hint::number},
            {"cost_model", "cost model", "", "From the cost model", false, Hint::rate},
            {"agrees", "to rounding", "", "Whether the cost model gives the printed digits", true},
            {"measured", "measured here", "", "On this machine", false, Hint::rate},
            {"measured_interval", "95 % interval", "", "Of the measurement", false,
             Hint::ratio_interval},
            {"unit", "unit", "", "Unit of the numbers", true},
            {"run", "run, or why not", "", "The run that measured it, or why it is not measured",
             true}},
           {}});
    }
    const bool close = item.model_agrees();
    agrees += close ? 1 : 0;
    measured += item.measured ? 1 : 0;
    neither += !close && !item.measured ? 1 : 0;
    tables.back().rows.push_back(
        {item.what, fixed_cell(item.published, item.decimals), Cell::number(item.model),
         item.model ? Cell(close ? "yes" : "no") : Cell(), Cell::number(item.measured),
         Cell::interval(item.measured, item.low, item.high), item.unit,
         item.measured ? "run " + item.run : item.why});
  }
  if (tables.empty()) return tables;
  tables.back().notes = {
      fmt::format("prices of {}: ${} a machine hour, ${} a GB and month, ${} for 10 000 reads",
                  prices.date, prices.machine_hour, prices.storage_gb_month, prices.reads_10k),
      fmt::format("{} numbers of the paper: {} given by the cost model to the digits printed, {} "
                  "measured here, {} neither",
                  items.size(), agrees, measured, neither)};
  return tables;
}

std::vector<std::pair<std::string, Figure>> paper_figures(const std::vector<PaperItem>& items) {
  std::vector<std::pair<std::string, Figure>> figures;
  Figure variance{
      "Figure 2: variance of a passage over layers", "layer", "normalised variance", {}};
  variance.series.push_back({"published", {}, true});
  Figure base{"Figure 4a: BERT-base, SQuAD", "split layer k", "speedup", {}};
  Figure large{"Figure 4b: BERT-large, SQuAD", "split layer k", "speedup", {}};
  for (Figure* figure : {&base, &large}) {
    figure->series = {
        {"published", {}, true}, {"FLOP ratio", {}, true}, {"measured here", {}, false}};
  }
  double layer = 0;
  for (const PaperItem& item : items) {
    if (item.where == "figure 2")
      variance.series[0].points.push_back({++layer, item.published, {}, {}});
    if (!item.where.starts_with("figure 4") || item.unit != "x") continue;
    Figure& figure = item.where == "figure 4a" ? base : large;
    const double k = (item.where == "figure 4a" ? 1.0 : 13.0) +
                     static_cast<double>(figure.series[0].points.size());
    figure.series[0].points.push_back({k, item.published, {}, {}});
    if (item.model) figure.series[1].points.push_back({k, *item.model, {}, {}});
    if (item.measured) figure.series[2].points.push_back({k, *item.measured, item.low, item.high});
  }
  figures.emplace_back("figure2", std::move(variance));
  for (auto& [name, figure] :
       {std::pair<std::string, Figure&>{"figure4a", base}, {"figure4b", large}}) {
    if (figure.series[2].points.empty()) figure.series.pop_back();
    figures.emplace_back(name, figure);
  }
  return figures;
}

}  // namespace deformer
