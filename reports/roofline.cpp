#include "reports/roofline.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "reports/table.hpp"

namespace deformer {
namespace {

/// Both axes by powers of ten, wide enough for every point and the corner of the roof.
struct Axes {
  double left, right, bottom, top;  ///< log10

  double x(double intensity) const { return (std::log10(intensity) - left) / (right - left); }
  double y(double gflops) const { return (std::log10(gflops) - bottom) / (top - bottom); }
};

bool drawable(const RooflinePoint& point) {
  return std::isfinite(point.intensity) && std::isfinite(point.gflops) && point.intensity > 0 &&
         point.gflops > 0;
}

double peak_of(const Roofline& roofline) {
  double peak = 0;
  for (const RooflineCeiling& ceiling : roofline.ceilings) {
    peak = std::max(peak, ceiling.gflops);
  }
  return peak;
}

Axes axes_for(const Roofline& roofline) {
  double lowest_x = 0.1;
  double highest_x = 10;
  double lowest_y = 10;
  double highest_y = std::max(peak_of(roofline), 10.0);
  for (const RooflinePoint& point : roofline.points) {
    if (drawable(point)) {
      lowest_x = std::min(lowest_x, point.intensity);
      highest_x = std::max(highest_x, point.intensity);
      lowest_y = std::min(lowest_y, point.gflops);
      highest_y = std::max(highest_y, point.gflops);
    }
  }
  return {std::floor(std::log10(lowest_x)), std::ceil(std::log10(highest_x * 1.01)),
          std::floor(std::log10(lowest_y)), std::ceil(std::log10(highest_y * 1.2))};
}

/// What a ceiling allows at an intensity; a slope ends at the peak.
double allowed(const RooflineCeiling& ceiling, double intensity, double peak) {
  if (ceiling.gb_per_s <= 0) {
    return ceiling.gflops;
  }
  const double rate = intensity * ceiling.gb_per_s;
  return peak > 0 ? std::min(rate, peak) : rate;
}

char letter(std::size_t index) {
  return static_cast<char>(index < 26 ? 'A' + static_cast<char>(index) : '*');
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '&':
        result += "&amp;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return result;
}

/// A picture of one roofline, its upper left corner at (0, top).
class SvgPanel {
 public:
  static constexpr double kWidth = 820, kHeight = 440;
  SvgPanel(const Roofline& roofline, double top)
      : roofline_(roofline), axes_(axes_for(roofline)), top_(top) {}

  std::string draw() {
    text(kLeft, 22, "start", "15", roofline_.title);
    grid();
    for (std::size_t i = 0; i < roofline_.ceilings.size(); ++i) {
      ceiling(roofline_.ceilings[i], i);
    }
    for (std::size_t i = 0; i < roofline_.points.size(); ++i) {
      point(i);
    }
    for (const Label& one : labels_) {
      text(one.x, one.y, "start", "12", one.words);
    }
    return std::move(out_);
  }

 private:
  static constexpr double kLeft = 64, kRight = 560, kTop = 48, kBottom = 392;

  struct Label {
    double x, y;
    std::string words;
  };

  double x(double intensity) const { return kLeft + axes_.x(intensity) * (kRight - kLeft); }
  double y(double gflops) const { return kBottom - axes_.y(gflops) * (kBottom - kTop); }

  /// Words in the picture. Those that would cover others stand behind them.
  void label(double at_x, double at_y, const std::string& words) {
    constexpr double kLetter = 8;
    constexpr double kLine = 12;
    for (Label& other : labels_) {
      const auto end = [](double x, const std::string& of) {
        return x + kLetter * static_cast<double>(of.size());
      };
      if (at_x < end(other.x, other.words) && other.x < end(at_x, words) &&
          std::abs(at_y - other.y) < kLine) {
        other.x = std::min(other.x, at_x);
        other.words += " " + words;
        return;
      }
    }
    labels_.push_back({at_x, at_y, words});
  }
  void text(double at_x, double at_y, const char* anchor, const char* size,
            const std::string& words) {
    out_ += fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\">{}</text>\n", at_x,
        at_y + top_, anchor, size, escaped(words));
  }
  void line(double x1, double y1, double x2, double y2, const char* style) {
    out_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1,
                        y1 + top_, x2, y2 + top_, style);
  }

  void grid() {
    for (double decade = axes_.left; decade <= axes_.right; ++decade) {
      const double at = x(std::pow(10, decade));
      line(at, kTop, at, kBottom, "stroke=\"#ddd\"");
      text(at, kBottom + 18, "middle", "12", fmt::format("{:g}", std::pow(10, decade)));
    }
    for (double decade = axes_.bottom; decade <= axes_.top; ++decade) {
      const double at = y(std::pow(10, decade));
      line(kLeft, at, kRight, at, "stroke=\"#ddd\"");
      text(kLeft - 8, at + 4, "end", "12", fmt::format("{:g}", std::pow(10, decade)));
    }
    text((kLeft + kRight) / 2, kBottom + 38, "middle", "12", "FLOPs a byte");
    text(kLeft, kTop - 6, "start", "12", "GFLOP/s");
  }

  void ceiling(const RooflineCeiling& which, std::size_t index) {
    const double peak = peak_of(roofline_);
    double from = std::pow(10, axes_.left);
    double to = std::pow(10, axes_.right);
    if (which.gb_per_s > 0) {
      from = std::max(from, std::pow(10, axes_.bottom) / which.gb_per_s);
      to = peak > 0 ? std::min(to, peak / which.gb_per_s) : to;
      if (from >= to) {
        return;
      }
    }
    line(x(from), y(allowed(which, from, peak)), x(to), y(allowed(which, to, peak)),
         "stroke=\"#555\" stroke-width=\"1.5\"");
    label(which.gb_per_s > 0 ? x(to) : kLeft + 6, y(allowed(which, to, peak)) - 5, which.name);
    text(kRight + 16, kTop + 14 + 18 * static_cast<double>(index), "start", "12",
         which.gb_per_s > 0 ? fmt::format("{}: {:.0f} GB/s", which.name, which.gb_per_s)
                            : fmt::format("{}: {:.0f} GFLOP/s", which.name, which.gflops));
  }

  void point(std::size_t index) {
    const RooflinePoint& which = roofline_.points[index];
    const double legend = kTop + 32 + 18 * static_cast<double>(roofline_.ceilings.size() + index);
    text(kRight + 16, legend, "start", "12",
         fmt::format("{} {}: {:.3g} FLOP/B, {:.3g} GFLOP/s", letter(index), which.name,
                     which.intensity, which.gflops));
    if (!drawable(which)) {
      return;
    }
    out_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"#06c\"/>\n",
                        x(which.intensity), y(which.gflops) + top_);
    label(x(which.intensity) + 6, y(which.gflops) - 5, std::string(1, letter(index)));
  }

  const Roofline& roofline_;
  Axes axes_;
  double top_;
  std::string out_;
  std::vector<Label> labels_;
};

}  // namespace

std::vector<RooflineCeiling> roofline_ceilings(const Roofs& roofs, std::string_view dtype) {
  std::vector<RooflineCeiling> ceilings;
  const ArithmeticRoof* peak = roofs.peak(dtype);
  const ArithmeticRoof* vectors = roofs.vector_peak(dtype);
  if (peak != nullptr) {
    ceilings.push_back({fmt::format("peak {}", dtype), 0, peak->best_gflops});
  }
  if (dtype == "f32" && peak != nullptr && vectors != nullptr && vectors != peak) {
    ceilings.back().name = "f32 by AMX";
    ceilings.push_back({"f32 by FMA", 0, vectors->best_gflops});
  }
  for (const BandwidthRoof& level : roofs.bandwidth) {
    if (level.missing.empty() && level.threads == roofs.threads) {
      ceilings.push_back({level.level, level.rate.read_gb_per_s, 0});
    }
  }
  return ceilings;
}

std::string roofline_text(const Roofline& roofline) {
  constexpr int kWidth = 66;
  constexpr int kHeight = 18;
  const Axes axes = axes_for(roofline);
  const double peak = peak_of(roofline);
  std::vector<std::string> canvas(kHeight, std::string(kWidth, ' '));
  const auto put = [&](double fx, double fy, char c, bool over) {
    const int column = static_cast<int>(std::lround(fx * (kWidth - 1)));
    const int row = kHeight - 1 - static_cast<int>(std::lround(fy * (kHeight - 1)));
    if (column >= 0 && column < kWidth && row >= 0 && row < kHeight) {
      char& cell = canvas[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
      cell = over || cell == ' ' ? c : cell;
    }
  };
  for (const RooflineCeiling& ceiling : roofline.ceilings) {
    for (int column = 0; column < kWidth; ++column) {
      const double fx = static_cast<double>(column) / (kWidth - 1);
      const double intensity = std::pow(10, axes.left + fx * (axes.right - axes.left));
      const double rate = allowed(ceiling, intensity, peak);
      const bool flat = ceiling.gb_per_s <= 0 || (peak > 0 && rate >= peak);
      if (rate > 0 && !(flat && ceiling.gb_per_s > 0)) {
        put(fx, axes.y(rate), flat ? '-' : '/', false);
      }
    }
  }
  for (std::size_t i = 0; i < roofline.points.size(); ++i) {
    const RooflinePoint& point = roofline.points[i];
    if (drawable(point)) {
      put(axes.x(point.intensity), axes.y(point.gflops), letter(i), true);
    }
  }
  std::string text = roofline.title + "\n\n";
  for (int row = 0; row < kHeight; ++row) {
    const double fy = static_cast<double>(kHeight - 1 - row) / (kHeight - 1);
    const double rate = std::pow(10, axes.bottom + fy * (axes.top - axes.bottom));
    const bool labelled = row % 3 == 0 || row == kHeight - 1;
    text += (labelled ? fmt::format("{:>8.3g} |", rate) : std::string(8, ' ') + " |") +
            canvas[static_cast<std::size_t>(row)] + "\n";
  }
  text += std::string(9, ' ') + "+" + std::string(kWidth, '-') + "\n";
  text += fmt::format("{:>10}{:<33.3g}{:>33.3g}\n", "", std::pow(10, axes.left),
                      std::pow(10, axes.right));
  text += "GFLOP/s over FLOPs a byte;";
  for (const RooflineCeiling& ceiling : roofline.ceilings) {
    text += ceiling.gb_per_s > 0 ? fmt::format(" {} {:.0f} GB/s", ceiling.name, ceiling.gb_per_s)
                                 : fmt::format(" {} {:.0f} GFLOP/s", ceiling.name, ceiling.gflops);
  }
  text += "\n";
  for (std::size_t i = 0; i < roofline.points.size(); ++i) {
    text += fmt::format("{} {}{}", letter(i), roofline.points[i].name,
                        i + 1 == roofline.points.size() ? "\n" : "  ");
  }
  return text;
}

std::string roofline_svg(const std::vector<Roofline>& rooflines) {
  const double height = SvgPanel::kHeight * static_cast<double>(rooflines.size());
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"sans-serif\" fill=\"#222\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      SvgPanel::kWidth, height);
  for (std::size_t i = 0; i < rooflines.size(); ++i) {
    svg += SvgPanel(rooflines[i], SvgPanel::kHeight * static_cast<double>(i)).draw();
  }
  return svg + "</svg>\n";
}

}  // namespace deformer
