#pragma once
/// A figure of lines and points, and its three printers: a terminal, SVG, pgfplots. No plotting
/// program is needed.

#include <optional>
#include <string>
#include <vector>

namespace deformer {

struct FigurePoint {
  double x = 0;
  double y = 0;
  std::optional<double> low, high;  ///< 95 % interval of y
};

struct Series {
  std::string name;
  std::vector<FigurePoint> points;  ///< by x; points that are not finite are left out
  bool dashed = false;              ///< a model or a published curve rather than a measurement
};

struct Figure {
  std::string title;
  std::string x_label, y_label;
  std::vector<Series> series;
  bool from_zero = true;  ///< the y axis of positive values begins at 0
};

/// `width` x `height` characters of plot, axes and legend beside.
std::string terminal_plot(const Figure& figure, int width = 60, int height = 16);

/// A standalone SVG file that reads in light and dark viewers.
std::string svg_plot(const Figure& figure);

/// A tikzpicture; needs \usepackage{pgfplots}. `standalone`: a document of its own.
std::string pgfplots_plot(const Figure& figure, bool standalone);

/// Round values that cover [low, high], at most about `count` of them.
std::vector<double> axis_ticks(double low, double high, int count);

}  // namespace deformer
