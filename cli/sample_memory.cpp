// `sample-memory PID PERIOD_US`: what `profile` starts beside itself. Not for people.

#include <charconv>

#include <fmt/format.h>

#include "cli/verbs.hpp"
#include "model/error.hpp"
#include "profilers/memory_sampler.hpp"

namespace deformer::cli {
namespace {

std::int64_t number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 1 || value > 1 << 30) {
    throw BadInput(fmt::format("sample-memory: expected a positive number, found '{}'", text));
  }
  return value;
}

}  // namespace

int run_sample_memory(const std::vector<std::string>& arguments) {
  if (arguments.size() != 2) {
    throw BadInput("sample-memory: expected PID and PERIOD_US; `profile` calls it");
  }
  serve_memory_samples(static_cast<pid_t>(number(arguments[0])), number(arguments[1]));
  return kDone;
}

}  // namespace deformer::cli
