#include "reports/figure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "reports/table.hpp"
#include "reports/text.hpp"

namespace deformer {
namespace {

bool is_drawable(const FigurePoint& point) {
  return std::isfinite(point.x) && std::isfinite(point.y);
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  /// An axis of no length would divide by zero.
  Range opened() const {
    if (empty()) return {0, 1};
    if (low < high) return *this;
    const double half = low == 0 ? 1 : std::abs(low) / 2;
    return {low - half, high + half};
  }
  double at(double value) const { return (value - low) / (high - low); }
};

struct Axes {
  Range x, y;
  std::vector<double> x_ticks, y_ticks;
};

Axes axes_of(const Figure& figure, int x_count, int y_count) {
  Axes axes;
  for (const Series& series : figure.series) {
    for (const FigurePoint& point : series.points) {
      if (!is_drawable(point)) continue;
      axes.x.take(point.x);
      axes.y.take(point.y);
      if (point.low && std::isfinite(*point.low)) axes.y.take(*point.low);
      if (point.high && std::isfinite(*point.high)) axes.y.take(*point.high);
    }
  }
  const bool positive = !axes.y.empty() && axes.y.low > 0 && axes.y.low < axes.y.high;
  if (figure.from_zero && positive) axes.y.take(0);
  axes.x = axes.x.opened();
  axes.y = axes.y.opened();
  axes.x_ticks = axis_ticks(axes.x.low, axes.x.high, x_count);
  axes.y_ticks = axis_ticks(axes.y.low, axes.y.high, y_count);
  axes.y.take(axes.y_ticks.back());
  return axes;
}

std::string tick_text(double value) {
  return fmt::format("{:.6g}", std::abs(value) < 1e-12 ? 0.0 : value);
}

constexpr std::array<std::string_view, 8> kColours = {"#3b82f6", "#d97706", "#10b981", "#ef4444",
                                                      "#8b5cf6", "#0891b2", "#db2777", "#64748b"};
constexpr std::array<std::string_view, 6> kMarks = {"o", "x", "+", "*", "#", "@"};

}  // namespace

std::vector<double> axis_ticks(double low, double high, int count) {
  const double rough = (high - low) / std::max(1, count);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.999) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  for (double tick = std::floor(low / step) * step; ticks.size() < 100; tick += step) {
    if (tick >= low - step * 1e-6) ticks.push_back(tick);
    if (tick >= high - step * 1e-6) break;
  }
  return ticks;
}

std::string terminal_plot(const Figure& figure, int width, int height) {
  const Axes axes = axes_of(figure, 8, 6);
  std::vector<std::string> canvas(static_cast<std::size_t>(height),
                                  std::string(static_cast<std::size_t>(width), ' '));
  const auto column = [&](double x) {
    return static_cast<std::size_t>(
        std::clamp(std::lround(axes.x.at(x) * (width - 1)), 0L, static_cast<long>(width - 1)));
  };
  const auto line = [&](double y) {
    return static_cast<std::size_t>(std::clamp(std::lround((1 - axes.y.at(y)) * (height - 1)), 0L,
                                               static_cast<long>(height - 1)));
  };
  const auto mark_of = [&](std::size_t s) {
    return figure.series[s].dashed ? '.' : kMarks[s % kMarks.size()][0];
  };
  for (std::size_t s = figure.series.size(); s-- > 0;) {
    for (const FigurePoint& point : figure.series[s].points) {
      if (!is_drawable(point)) continue;
      if (point.low && point.high) {
        for (std::size_t l = line(*point.high); l <= line(*point.low); ++l) {
          canvas[l][column(point.x)] = '|';
        }
      }
      canvas[line(point.y)][column(point.x)] = mark_of(s);
    }
  }
  std::string out = one_line(figure.title) + "\n";
  std::vector<std::string> labels(canvas.size());
  for (const double tick : axes.y_ticks) labels[line(tick)] = tick_text(tick);
  for (std::size_t l = 0; l < canvas.size(); ++l) {
    canvas[l].erase(canvas[l].find_last_not_of(' ') + 1);
    out += fmt::format("{:>8} |{}\n", labels[l], canvas[l]);
  }
  out += fmt::format("{:>8} +{}\n", "", std::string(static_cast<std::size_t>(width), '-'));
  std::string below(static_cast<std::size_t>(width) + 8, ' ');
  for (const double tick : axes.x_ticks) {
    if (tick > axes.x.high * (1 + 1e-9)) continue;
    const std::string text = tick_text(tick);
    below.replace(column(tick), text.size(), text);
  }
  below.erase(below.find_last_not_of(' ') + 1);
  out += fmt::format("{:>8}  {}   {}\n", "", below, one_line(figure.x_label));
  for (std::size_t s = 0; s < figure.series.size(); ++s) {
    out += fmt::format("{:>8}  {}  {}\n", "", mark_of(s), one_line(figure.series[s].name));
  }
  return out;
}

std::string svg_plot(const Figure& figure) {
  constexpr double kLeft = 60, kTop = 40, kWidth = 480, kHeight = 280, kLegend = 20;
  const Axes axes = axes_of(figure, 10, 8);
  const auto x_of = [&](double x) { return kLeft + axes.x.at(x) * kWidth; };
  const auto y_of = [&](double y) { return kTop + (1 - axes.y.at(y)) * kHeight; };
  const double total = kTop + kHeight + 50 + kLegend * static_cast<double>(figure.series.size());
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 {:.0f}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"12\">\n<style>text{{fill:#1b1f24}}.g{{stroke:#d0d7de}}.b{{fill:#fff}}"
      "@media(prefers-color-scheme:dark){{text{{fill:#e6edf3}}.g{{stroke:#30363d}}.b{{fill:#10151b}"
      "}}}"
      "</style>\n<rect class=\"b\" width=\"100%\" height=\"100%\"/>\n"
      "<text x=\"60\" y=\"22\" font-size=\"14\">{}</text>\n",
      total, html_text(figure.title));
  for (const double tick : axes.y_ticks) {
    out += fmt::format(
        "<line class=\"g\" x1=\"{0:.1f}\" y1=\"{2:.1f}\" x2=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
        "<text x=\"{3:.1f}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        kLeft, kLeft + kWidth, y_of(tick), kLeft - 6, y_of(tick) + 4, tick_text(tick));
  }
  for (const double tick : axes.x_ticks) {
    if (tick > axes.x.high * (1 + 1e-9)) continue;
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                       x_of(tick), kTop + kHeight + 18, tick_text(tick));
  }
  out += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n"
      "<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
      kLeft + kWidth / 2, kTop + kHeight + 38, html_text(figure.x_label), kTop + kHeight / 2,
      html_text(figure.y_label));
  for (std::size_t s = 0; s < figure.series.size(); ++s) {
    const Series& series = figure.series[s];
    const std::string_view colour = kColours[s % kColours.size()];
    std::string path;
    for (const FigurePoint& point : series.points) {
      if (!is_drawable(point)) continue;
      path +=
          fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x_of(point.x), y_of(point.y));
      if (point.low && point.high && std::isfinite(*point.low) && std::isfinite(*point.high)) {
        out += fmt::format(
            "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\"/>\n",
            x_of(point.x), y_of(*point.low), y_of(*point.high), colour);
      }
      out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n",
                         x_of(point.x), y_of(point.y), colour);
    }
    const std::string dash = series.dashed ? " stroke-dasharray=\"6 4\"" : "";
    if (!path.empty()) {
      out += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"{}/>\n",
                         path, colour, dash);
    }
    const double y = kTop + kHeight + 56 + kLegend * static_cast<double>(s);
    out += fmt::format(
        "<line x1=\"60\" x2=\"84\" y1=\"{0:.1f}\" y2=\"{0:.1f}\" stroke=\"{1}\" "
        "stroke-width=\"2\"{2}/>"
        "<text x=\"92\" y=\"{3:.1f}\">{4}</text>\n",
        y - 4, colour, dash, y, html_text(series.name));
  }
  return out + "</svg>\n";
}

std::string pgfplots_plot(const Figure& figure, bool standalone) {
  std::string out;
  if (standalone) {
    out +=
        "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage[utf8]{inputenc}\n"
        "\\usepackage{pgfplots}\n\\pgfplotsset{compat=1.17}\n\\pagestyle{empty}\n\\begin{document}"
        "\n";
  }
  out += fmt::format(
      "\\begin{{tikzpicture}}\n\\begin{{axis}}[title={{{}}},xlabel={{{}}},ylabel={{{}}},ymin=0,"
      "legend pos=north west,legend cell align=left,grid=major,width=12cm,height=8cm]\n",
      latex_text(figure.title), latex_text(figure.x_label), latex_text(figure.y_label));
  for (const Series& series : figure.series) {
    out += fmt::format("\\addplot+[{}error bars/.cd,y dir=both,y explicit] coordinates {{\n",
                       series.dashed ? "dashed," : "");
    for (const FigurePoint& point : series.points) {
      if (!is_drawable(point)) continue;
      out += fmt::format("({},{})", point.x, point.y);
      if (point.low && point.high && std::isfinite(*point.low) && std::isfinite(*point.high)) {
        out += fmt::format(" += (0,{}) -= (0,{})", *point.high - point.y, point.y - *point.low);
      }
      out += '\n';
    }
    out += "};\n\\addlegendentry{" + latex_text(series.name) + "}\n";
  }
  out += "\\end{axis}\n\\end{tikzpicture}\n";
  return standalone ? out + "\\end{document}\n" : out;
}

}  // namespace deformer
