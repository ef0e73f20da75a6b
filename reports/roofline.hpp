#pragma once
/// The roofline: operations by FLOPs a byte and rate, under the measured roofs (Williams, Waterman,
/// Patterson: Roofline, CACM 2009). As text for a console and as SVG.

#include <string>
#include <vector>

#include "profilers/roofs.hpp"

namespace deformer {

struct RooflinePoint {
  std::string name;
  double intensity = 0;  ///< FLOPs over all bytes read and written
  double gflops = 0;
};

struct RooflineCeiling {
  std::string name;
  double gb_per_s = 0;  ///< a slope
  double gflops = 0;    ///< or a flat one
};

struct Roofline {
  std::string title;
  std::vector<RooflineCeiling> ceilings;
  std::vector<RooflinePoint> points;
};

/// The peak of the dtype and the bandwidth of memory and of each cache, as far as measured.
std::vector<RooflineCeiling> roofline_ceilings(const Roofs& roofs, std::string_view dtype);

/// Log-log, letters for the points, a legend below. Plain ASCII, at most 78 wide.
std::string roofline_text(const Roofline& roofline);

/// A picture that stands alone: no script, no font or style from elsewhere.
std::string roofline_svg(const std::vector<Roofline>& rooflines);

}  // namespace deformer
