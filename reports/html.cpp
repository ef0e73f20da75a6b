#include "reports/html.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <unordered_map>

#include "profilers/statistics.hpp"
#include "records/run_file.hpp"
#include "reports/fields.hpp"
#include "reports/text.hpp"
#include "reports/web_assets.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

Json number_or_null(const Json& record, std::string_view path) {
  const auto value = number_field(record, path);
  return value ? Json(*value) : Json(nullptr);
}

struct LabelPart {
  const char* path;
  const char* prefix;
};
constexpr LabelPart kLengthsAndBatch[] = {
    {"point.task", " "}, {"point.question", " q"}, {"point.passage", " p"}, {"point.batch", " b"}};
constexpr LabelPart kRest[] = {
    {"point.r", " r"},      {"point.c", " c"},        {"point.order", " "},
    {"point.lengths", " "}, {"point.text", " text "}, {"point.backend", " "},
    {"point.dtype", " "},   {"point.threads", " t"},  {"point.instances", " i"}};

std::string label_of(const Json& record, std::span<const LabelPart> parts) {
  std::string label;
  for (const LabelPart& part : parts)
    if (const auto text = text_field(record, part.path)) label += part.prefix + *text;
  return label;
}

/// The shape that the variants and splits of a group share, for people.
std::string group_label(const Json& record) {
  return text_field(record, "point.model").value_or("?") + label_of(record, kLengthsAndBatch) +
         label_of(record, kRest);
}

/// What one line of latency over lengths or batches shares.
std::string line_label(const Json& record) {
  return text_field(record, "point.model").value_or("?") + label_of(record, kRest);
}

/// How the passages are stored, which tells two cached points of one split apart.
std::string storage_label(const Json& record) {
  std::string label = text_field(record, "point.cache_dtype").value_or("");
  if (const auto place = text_field(record, "point.cache_at")) label += " " + *place;
  return label;
}

void html_row(const Table& table, std::size_t r, const std::vector<bool>& best, const Sink& sink) {
  std::string line = "<tr>";
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Cell cell = c < table.rows[r].size() ? table.rows[r][c] : Cell();
    line += "<td";
    if (cell.is_number()) line += fmt::format(" data-v=\"{}\"", exact_number(cell.value()));
    if (table.columns[c].left) line += " class=l";
    if (best[c]) line += " data-best";
    line += fmt::format(">{}</td>", html_text(human_cell(table.columns[c], cell)));
  }
  sink(line + "</tr>\n");
}

void html_table(const Table& table, const Sink& sink) {
  sink(
      "<div class=scroll tabindex=0 role=region aria-label=\"table of results\"><table "
      "id=results>\n<caption>");
  sink(html_text(table.title) + "</caption>\n<thead><tr>");
  for (const Column& column : table.columns) {
    const std::string unit = column.unit.empty() ? "" : fmt::format(" ({})", column.unit);
    sink(fmt::format("<th scope=col{}><button type=button title=\"{}\">{}</button></th>",
                     column.left ? " class=l" : "", html_text(column.description + unit),
                     html_text(column.title)));
  }
  sink("</tr></thead>\n<tbody>\n");
  const auto best = best_cells(table);
  // Means and the like stand in no group, and stay below whatever is sorted.
  const std::size_t body =
      table.groups.empty() ? table.rows.size() : std::min(table.groups.size(), table.rows.size());
  for (std::size_t r = 0; r < body; ++r) html_row(table, r, best[r], sink);
  sink("</tbody><tfoot>\n");
  for (std::size_t r = body; r < table.rows.size(); ++r) html_row(table, r, best[r], sink);
  sink("</tfoot></table></div>\n");
}

void html_list(const std::vector<std::string>& lines, std::string_view kind, const Sink& sink) {
  if (lines.empty()) return;
  sink(fmt::format("<ul class={}>\n", kind));
  for (const std::string& line : lines) sink(fmt::format("<li>{}</li>\n", html_text(line)));
  sink("</ul>\n");
}

void html_fingerprint(const HtmlPage& page, const Sink& sink) {
  for (const Json& run : page.runs) {
    const Json* machine = field(run, "machine");
    if (machine == nullptr || !machine->is_object()) continue;
    sink(fmt::format("<details><summary>run {} of {}</summary><dl>\n",
                     html_text(text_field(run, "id").value_or("?")),
                     html_text(text_field(run, "started").value_or("?"))));
    for (const auto& [name, value] : machine->items()) {
      if (name == "deciding") continue;
      const std::string text = value.is_string() ? value.get<std::string>() : to_line(value);
      sink(fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_text(name), html_text(text)));
    }
    sink("</dl></details>\n");
  }
}

/// Best arithmetic rate and memory bandwidth of the runs, for the roofline.
Json roofs_of(const std::vector<Json>& runs) {
  Json roofs = Json::array();
  for (const Json& run : runs) {
    const Json* teams = field(run, "roofs.teams");
    if (teams == nullptr || !teams->is_array()) continue;
    for (const Json& team : *teams) {
      const auto bandwidth = number_field(team, "memory.read_gb_per_s");
      const Json* arithmetic = field(team, "arithmetic");
      if (!bandwidth || arithmetic == nullptr || !arithmetic->is_array()) continue;
      for (const Json& peak : *arithmetic) {
        const auto gflops = number_field(peak, "best_gflops");
        if (!gflops) continue;
        roofs.push_back({{"label", fmt::format("{} t{}", text_field(peak, "dtype").value_or("?"),
                                               text_field(peak, "threads").value_or("?"))},
                         {"gflops", *gflops},
                         {"gb_per_s", *bandwidth}});
      }
    }
    if (!roofs.empty()) return roofs;  // runs shown together are of one machine, or said not to be
  }
  return roofs;
}

}  // namespace

std::string html_text(std::string_view raw) {
  std::string out;
  for (const char c : one_line(raw)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string script_json(const Json& json) {
  std::string out;
  for (const char c : to_line(json)) {
    if (c == '<' || c == '>' || c == '&') {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out;
}

std::vector<std::string> HtmlPage::choose_details(const std::vector<RecordRow>& rows,
                                                  ReportOptions& options) {
  if (rows.size() > kMostRows && options.group_by.empty() && !options.pivot) {
    options.group_by = {"model", "variant", "k", "backend", "dtype"};
    capped.push_back(fmt::format(
        "the table shows {} rows aggregated by model, variant, k, backend and dtype", rows.size()));
  }
  std::vector<std::vector<const RecordRow*>> groups;
  std::unordered_map<std::uint64_t, std::size_t> index;
  std::size_t drawable = 0;
  for (const RecordRow& row : rows) {
    if (!row.injected.empty()) continue;
    const auto [found, first] = index.try_emplace(row.group, groups.size());
    if (first) groups.emplace_back();
    groups[found->second].push_back(&row);
    ++drawable;
  }
  if (drawable < rows.size()) {
    capped.push_back(
        fmt::format("{} {} NOT A MEASUREMENT: a slowdown was planted (--inject); in no chart",
                    rows.size() - drawable, rows.size() - drawable == 1 ? "row is" : "rows are"));
  }
  if (drawable <= kMostRows) {
    for (const RecordRow& row : rows) {
      if (row.injected.empty()) add_drawn(row);
    }
    return capped;
  }
  const std::size_t average = std::max<std::size_t>(1, drawable / groups.size());
  const auto picked =
      thin(static_cast<std::int64_t>(groups.size()),
           std::max<std::int64_t>(1, static_cast<std::int64_t>(kMostRows / average)));
  for (const std::int64_t group : picked) {
    for (const RecordRow* row : groups[static_cast<std::size_t>(group)]) {
      if (details.size() < kMostRows) add_drawn(*row);
    }
  }
  capped.push_back(
      fmt::format("the charts show {} of {} groups, evenly spread", picked.size(), groups.size()));
  return capped;
}

void HtmlPage::add_drawn(const RecordRow& row) {
  details.push_back(row);
  details.back().cells.clear();
}

void HtmlPage::add_detail(const Json& record) {
  Json point{{"name", text_field(record, "name").value_or("?")},
             {"group", group_label(record)},
             {"line", line_label(record)},
             {"storage", storage_label(record)},
             {"variant", text_field(record, "point.variant").value_or("?")},
             {"ok", text_field(record, "status") == "ok"}};
  for (const auto& [name, path] : {std::pair{"k", "point.split"},
                                   {"q", "point.question"},
                                   {"p", "point.passage"},
                                   {"b", "point.batch"},
                                   {"median", "time.median"},
                                   {"low", "time.ci_low"},
                                   {"high", "time.ci_high"},
                                   {"speedup", "speedup.median"},
                                   {"slow", "speedup.ci_low"},
                                   {"shigh", "speedup.ci_high"},
                                   {"flops", "speedup.flop_ratio"},
                                   {"gflops", "achieved.gflops"},
                                   {"weights", "memory.weights_bytes"},
                                   {"pool", "memory.pool_bytes"},
                                   {"peak", "memory.peak_bytes"}}) {
    point[name] = number_or_null(record, path);
  }
  const auto flops = positive_field(record, "cost.flops");
  const double bytes = number_field(record, "cost.bytes_weights").value_or(0) +
                       number_field(record, "cost.bytes_cache_batch").value_or(0);
  point["intensity"] = flops && bytes > 0 ? Json(*flops / bytes) : Json(nullptr);
  Json phases = Json::array();
  if (const Json* listed = field(record, "phases"); listed != nullptr && listed->is_array()) {
    for (const Json& phase : *listed) {
      phases.push_back(
          {text_field(phase, "name").value_or("?"), number_or_null(phase, "median_ns")});
    }
  }
  point["phases"] = std::move(phases);
  points.push_back(std::move(point));
}

void print_html(const HtmlPage& page, const Sink& sink) {
  sink(
      "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
      "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; script-src "
      "'unsafe-inline'; style-src 'unsafe-inline'; img-src data:\">\n"
      "<link rel=icon href=\"data:,\">\n<title>deformer-bench report</title>\n<style>\n");
  sink(web_style());
  sink(
      "</style>\n</head>\n<body>\n<header><h1>deformer-bench</h1>"
      "<button type=button id=theme>light / dark</button></header>\n<main>\n");
  html_list(page.provenance, "provenance", sink);
  html_list(page.capped, "capped", sink);
  html_list(page.machines, "capped", sink);
  sink(
      "<section><h2>Results</h2>\n<label>Rows that contain <input id=filter "
      "type=search></label>\n");
  html_table(page.table, sink);
  html_list(page.table.notes, "notes", sink);
  sink(
      "</section>\n<section id=charts><h2>Charts</h2>\n<label>Shape <select id=group></select>"
      "</label>\n<div class=grid>\n");
  for (const auto& [id, title] : {std::pair{"split", "Speedup against k"},
                                  {"phases", "Phases of a forward"},
                                  {"length", "Latency against length"},
                                  {"batch", "Latency against batch"},
                                  {"roofline", "Roofline"},
                                  {"memory", "Memory"}}) {
    sink(
        fmt::format("<figure id=figure-{0}><figcaption>{1}</figcaption><div class=canvas><canvas "
                    "id={0} role=img "
                    "aria-label=\"{1}\"></canvas></div><p class=why></p></figure>\n",
                    id, title));
  }
  sink("</div></section>\n<section><h2>Fingerprint</h2>\n");
  html_fingerprint(page, sink);
  if (!page.table.commands.empty()) {
    sink("<details><summary>commands that measure each row again</summary>\n");
    html_list(page.table.commands, "commands", sink);
    sink("</details>\n");
  }
  sink(
      "</section>\n</main>\n<footer>Charts by Chart.js 3.9.1, MIT licence, (c) Chart.js "
      "contributors</footer>\n<script type=\"application/json\" id=data>");
  sink(script_json({{"points", page.points}, {"roofs", roofs_of(page.runs)}}));
  sink("</script>\n<script>\n");
  sink(web_chart_library());
  sink("</script>\n<script>\n");
  sink(web_script());
  sink("</script>\n</body>\n</html>\n");
}

}  // namespace deformer
