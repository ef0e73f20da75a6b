#include "harness/thread_limit.hpp"

#include <latch>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "profilers/processors.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kMostAProcessor = 128;

/// How many of `wanted` threads the system lets run beside one another.
std::int64_t startable(std::int64_t wanted) {
  std::latch release(1);
  std::vector<std::jthread> threads;
  try {
    while (static_cast<std::int64_t>(threads.size()) < wanted) {
      threads.emplace_back([&release] { release.wait(); });
    }
  } catch (const std::system_error&) {
    // As many as there are is the answer.
  }
  release.count_down();
  return static_cast<std::int64_t>(threads.size());
}

}  // namespace

std::string why_not_threads(std::int64_t threads) {
  const auto processors = static_cast<std::int64_t>(allowed_processors().size());
  if (threads > kMostAProcessor * processors) {
    return fmt::format("{} threads are over {} for each of the {} processors here", threads,
                       kMostAProcessor, processors);
  }
  const std::int64_t others = threads - 1;  // the caller is one of them
  if (const std::int64_t started = startable(others); started < others) {
    return fmt::format("{} threads are more than the {} that the system lets start", threads,
                       started + 1);
  }
  return {};
}

}  // namespace deformer
