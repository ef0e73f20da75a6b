// `gate history plot`, and what every action reads of a history.

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <regex>

#include <fmt/format.h>

#include "cli/app.hpp"
#include "cli/gate.hpp"
#include "cli/gate_history.hpp"
#include "cli/verbs.hpp"
#include "model/error.hpp"
#include "reports/name_match.hpp"

namespace deformer::cli {
namespace {

/// A name as a file's: what a shell or another system may stumble over becomes '_'.
std::string file_name(const std::string& name) {
  std::string text = name.substr(0, 150);
  std::ranges::replace_if(
      text, [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '.'; }, '_');
  return text;
}

void write_figures(const std::vector<Figure>& figures, const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::vector<std::string> taken;
  for (const Figure& figure : figures) {
    std::string name = file_name(figure.title);
    if (std::ranges::find(taken, name) != taken.end()) {
      name += fmt::format("-{}", taken.size());
    }
    taken.push_back(name);
    const std::filesystem::path path = std::filesystem::path(folder) / (name + ".svg");
    std::ofstream file(path);
    file << svg_plot(figure);
    if (!file.flush()) {
      throw BadInput(fmt::format("{}: expected to write a figure there, could not", path.string()));
    }
    print_piece(path.string() + "\n");
  }
  finish_result();
}

}  // namespace

HistoryView view_of(const HistoryArguments& arguments, bool points) {
  History history(arguments.database, History::Access::read);
  HistoryView view;
  view.machines = history.machines();
  view.runs = history.runs(arguments.last);
  if (!points) {
    return view;
  }
  std::regex wanted;
  try {
    wanted = std::regex(arguments.filter);
  } catch (const std::regex_error& error) {
    throw BadInput(fmt::format("--filter: expected a regular expression, found '{}' ({})",
                               arguments.filter, error.what()));
  }
  view.series = history.series(view.runs, [&](const std::string& name) {
    return arguments.filter.empty() || name_matches(name, wanted);
  });
  return view;
}

void find_changes_of(HistoryView& view, const HistoryArguments& arguments) {
  FindChanges what;
  what.smallest = parse_fraction("--threshold", arguments.threshold);
  std::size_t too_small = 0;
  view.changes = find_changes(view.series, what, too_small);
  if (too_small > 0) {
    fmt::print(stderr, "deformer-bench: {} change{} below --threshold {} not shown\n", too_small,
               too_small == 1 ? " is" : "s are", arguments.threshold);
  }
}

int plot_history(const HistoryArguments& arguments) {
  constexpr std::size_t kMost = 12;  // as `report --plot`
  HistoryView view = view_of(arguments, true);
  find_changes_of(view, arguments);
  const std::vector<Figure> figures = trend_figures(view, arguments.metric);
  if (figures.empty()) {
    fmt::print(stderr, "deformer-bench: no point has two runs to plot\n");
    return kUndecided;
  }
  if (!arguments.out.empty()) {
    write_figures(figures, arguments.out);
    return kDone;
  }
  if (arguments.format == "svg") {
    if (figures.size() > 1) {
      throw BadInput(fmt::format(
          "gate history plot --format svg: expected one point on one machine, found {}; narrow "
          "--filter, or give --out FOLDER for a file of each",
          figures.size()));
    }
    print_result(svg_plot(figures.front()));
    return kDone;
  }
  for (std::size_t i = 0; i < std::min(kMost, figures.size()); ++i) {
    print_piece((i > 0 ? "\n" : "") + terminal_plot(figures[i]));
  }
  if (figures.size() > kMost) {
    print_piece(fmt::format("\n{} more points; --filter chooses\n", figures.size() - kMost));
  }
  finish_result();
  return kDone;
}

}  // namespace deformer::cli
