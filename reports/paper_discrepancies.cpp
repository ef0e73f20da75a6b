/// What of the paper does not reproduce, each shown by a number.

#include <fmt/format.h>

#include "model/config.hpp"
#include "reports/fields.hpp"
#include "reports/paper.hpp"
#include "reports/paper_data.hpp"
#include "reports/paper_model.hpp"
#include "workloads/tasks.hpp"

namespace deformer {
namespace {

std::string ratio(const std::optional<double>& value) {
  return value ? human_ratio(*value) : "no cost model";
}

double flops_of(const PaperShape& shape, Variant variant) {
  const auto cost = paper_cost(shape, variant);
  return cost ? static_cast<double>(cost->total.flops()) : 0;
}

/// FLOP ratio of a pair's model with the first or the second text cached.
double cached_ratio(std::int64_t run_time_tokens, std::int64_t cached_tokens) {
  const ModelConfig base = *builtin_model("bert-base");
  const double joint = static_cast<double>(layer_flops(base, run_time_tokens + cached_tokens));
  const double alone = static_cast<double>(layer_flops(base, run_time_tokens));
  return 12 * joint / (9 * alone + 3 * joint);
}

std::string load_share(const PaperRecords& records) {
  const auto* record = records.find("bert-base", "squad", Variant::cached, 9);
  if (record == nullptr) return "not measured in these run files";
  const auto time = positive_field(*record, "time.median");
  const auto* phases = field(*record, "phases");
  if (!time || phases == nullptr || !phases->is_array()) return "no phases in the record";
  for (const auto& phase : *phases) {
    const auto ns = number_field(phase, "median_ns");
    if (ns && text_field(phase, "name").value_or("").starts_with("load")) {
      return fmt::format("loading is {} of a cached forward here", human_percent(*ns / *time));
    }
  }
  return "no load phase in the record";
}

}  // namespace

Table paper_discrepancies(const PaperRecords& records) {
  const PaperShape squad{"bert-base", "squad", 9};
  const PaperShape race{"bert-base", "race", 9};
  const PaperShape large{"bert-large", "squad", 20};
  const PaperShape xlnet_squad{"xlnet-base", "squad", 8};
  const PaperShape xlnet_race{"xlnet-base", "race", 8};
  const PaperShape xlnet_boolq{"xlnet-base", "boolq", 8};
  const Task& qqp = *find_task("qqp");
  const double flop_reduction = 100 * (1 - 1 / paper_flop_ratio(squad).value_or(1));

  Table table;
  table.title = "what does not reproduce";
  table.columns = {{"number", "#", "", "Number of the item", false, Hint::count},
                   {"claim", "the paper", "", "What it says", true},
                   {"shown", "shown by", "", "The number that shows it", true}};
  const auto add = [&table](const char* claim, const std::string& shown) {
    table.rows.push_back(
        {Cell::number(static_cast<double>(table.rows.size() + 1)), Cell(claim), Cell(shown)});
  };
  add("speedups of tables 1-2 and figure 4 read as latency",
      fmt::format(
          "squad 3.2x is the FLOP ratio {}, large 4.3x is {}; its latencies give {}, {}, {}",
          ratio(paper_flop_ratio(squad)), ratio(paper_flop_ratio(large)), human_ratio(0.22 / 0.07),
          human_ratio(5.90 / 1.66), human_ratio(10.20 / 3.28)));
  // The preset caches the first text: its passage is what the paper's text says is cached.
  add("qqp 2.0x", fmt::format("{} caching the second segment, {} caching the first",
                              human_ratio(cached_ratio(qqp.passage, qqp.question)),
                              human_ratio(cached_ratio(qqp.question, qqp.passage))));
  add("DeFormer-large is 1.6x faster than BERT-base",
      fmt::format("1.6x is the memory ratio {}; the FLOP ratio is {}", human_ratio(584.2 / 359.7),
                  human_ratio(flops_of(squad, Variant::full) / flops_of(large, Variant::cached))));
  add("decomposition speeds up",
      fmt::format("without a cache squad needs {} of full's FLOPs",
                  human_percent(1 / paper_flop_ratio(squad, Variant::decomposed).value_or(1))));
  add("memory reduction 70.3 % (squad)",
      fmt::format(
          "of bytes requested in all, {}; FLOPs fall by {:.1f} %; peak and weights are not in it",
          human_percent(paper_memory_reduction(squad).value_or(0) / 100), flop_reduction));
  add("latency with a cache, loading left out", load_share(records));
  add("gain roughly quadratic in k (3.4)",
      fmt::format("hyperbolic: {} at k=9 under a ceiling n/(n-k) of {}; k=6 gives {}, a quadratic "
                  "through k=9 would give {}",
                  ratio(paper_flop_ratio(squad)), human_ratio(4.0),
                  ratio(paper_flop_ratio({"bert-base", "squad", 6})),
                  human_ratio(1 + (paper_flop_ratio(squad).value_or(1) - 1) * 36.0 / 81.0)));
  add("XLNet 2.7x, 2.8x, 3.0x",
      fmt::format("squad {}, race {}, boolq {} at k=8", ratio(paper_flop_ratio(xlnet_squad)),
                  ratio(paper_flop_ratio(xlnet_race)), ratio(paper_flop_ratio(xlnet_boolq))));
  add("race without sharing its article",
      fmt::format("encoding the article once for its four pairs saves {} of FLOPs without a cache",
                  ratio(paper_flop_ratio(race, Variant::decomposed))));
  add("XLNet boolq loses 0.6", fmt::format("80.4 - 78.8 = {:.1f}", 80.4 - 78.8));
  return table;
}

}  // namespace deformer
