#include "reports/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ranges>
#include <utility>

namespace deformer {
namespace {

/// A group's name: that of a member without its split and variant.
std::string group_title(std::string name) {
  for (const std::string_view part : {"/cached", "/decomposed"}) {
    if (const std::size_t at = name.find(part); at != std::string::npos)
      name.erase(at, part.size());
  }
  const std::size_t k = name.find("/k");
  if (k != std::string::npos) name.erase(k, name.find('/', k + 1) - k);
  return name;
}

Series series_of(const std::vector<const RecordRow*>& rows, const std::string& name, bool flops) {
  static const std::size_t interval = *find_record_column("speedup_interval");
  Series series{name, {}, flops};
  for (const RecordRow* row : rows) {
    FigurePoint point{row->split, flops ? row->flop_ratio : row->speedup, {}, {}};
    if (point.y <= 0) continue;
    if (const Cell& cell = row->cell(interval); !flops && cell.is_number()) {
      point.low = cell.low();
      point.high = cell.high();
    }
    series.points.push_back(point);
  }
  std::ranges::sort(series.points, {}, &FigurePoint::x);
  return series;
}

}  // namespace

std::vector<Figure> split_figures(const std::vector<RecordRow>& rows) {
  std::vector<std::uint64_t> order;
  static const std::size_t cache_dtype = *find_record_column("cache_dtype");
  static const std::size_t cache_at = *find_record_column("cache_at");
  // By variant, then by how and where the passages are stored.
  using Curves = std::map<std::pair<int, std::string>, std::vector<const RecordRow*>>;
  std::map<std::uint64_t, Curves> groups;
  for (const RecordRow& row : rows) {
    if (row.speedup <= 0 || !row.is_ok() || !row.injected.empty()) continue;
    if (!groups.contains(row.group)) order.push_back(row.group);
    const std::string at = row.cell(cache_at).text();
    const std::string stored =
        row.cell(cache_dtype).text() + (at.empty() || at == "device" ? "" : " at " + at);
    groups[row.group][{row.variant_rank, stored}].push_back(&row);
  }
  std::vector<Figure> figures;
  for (const std::uint64_t group : order) {
    Figure figure{group_title(groups[group].begin()->second.front()->name),
                  "split layer k",
                  "speedup over full",
                  {}};
    bool curve = false;
    const Curves& curves = groups[group];
    for (const Variant variant : {Variant::cached, Variant::decomposed}) {
      const auto of_variant = [variant](const auto& entry) {
        return entry.first.first == static_cast<int>(variant);
      };
      const bool several = std::ranges::count_if(curves, of_variant) > 1;
      for (const auto& entry : curves | std::views::filter(of_variant)) {
        const auto& [which, points] = entry;
        curve = curve || points.size() > 1;
        const std::string name =
            std::string(to_string(variant)) + (several ? " " + which.second : "");
        figure.series.push_back(series_of(points, name + ", measured", false));
        figure.series.push_back(series_of(points, name + ", FLOPs", true));
      }
    }
    if (curve) figures.push_back(std::move(figure));
  }
  return figures;
}

std::string plot_splits(const std::vector<RecordRow>& rows, std::size_t most) {
  const std::vector<Figure> figures = split_figures(rows);
  if (figures.empty()) return "no plot: no shape was measured at two or more k\n";
  std::string out;
  for (std::size_t i = 0; i < std::min(most, figures.size()); ++i) {
    if (i > 0) out += '\n';
    out += terminal_plot(figures[i]);
  }
  if (figures.size() > most) {
    out += fmt::format("\n{} more shapes were measured at several k; --filter chooses\n",
                       figures.size() - most);
  }
  return out;
}

}  // namespace deformer
