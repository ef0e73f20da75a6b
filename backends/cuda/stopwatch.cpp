#include "backends/cuda/stopwatch.hpp"

#include <cstdio>

#include <fmt/format.h>

#include "backends/cuda/device.hpp"

namespace deformer::cuda {

void tell_time(std::string_view tried, double us) {
  static const bool asked = is_asked(kTellTimes);
  if (asked) {
    fmt::print(stderr, "cuda: {:9.2f} us: {}\n", us, tried);
  }
}

}  // namespace deformer::cuda
