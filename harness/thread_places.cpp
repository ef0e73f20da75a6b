#include "harness/thread_places.hpp"

#include <utility>

#include <fmt/format.h>

#include "profilers/cgroup.hpp"

namespace deformer {

ThreadPlaces::ThreadPlaces(bool pin)
    : ThreadPlaces(pin, read_cores(allowed_processors()), read_cgroup_limits().cpu_quota) {}

ThreadPlaces::ThreadPlaces(bool pin, std::vector<CoreSite> cores, double cpu_quota)
    : pin_(pin), cores_(std::move(cores)), cpu_quota_(cpu_quota) {}

Processors ThreadPlaces::choose(const Point& point) const {
  // The reference's threads are its BLAS library's, which nobody binds.
  const bool bound = pin_ && point.backend != "reference";
  return bound ? choose_processors(cores_, point.instances, point.threads) : Processors{};
}

std::string ThreadPlaces::crowding(const Point& point) const {
  std::size_t processors = 0;
  for (const CoreSite& core : cores_) {
    processors += core.processors.size();
  }
  const auto threads =
      static_cast<std::size_t>(point.threads) * static_cast<std::size_t>(point.instances);
  const std::string asked =
      fmt::format("{} threads ({} instances x {})", threads, point.instances, point.threads);
  if (threads > processors) {
    return fmt::format(
        "{} share {} processors: times hold the scheduler's turns too, and no thread is pinned",
        asked, processors);
  }
  if (cpu_quota_ > 0 && static_cast<double>(threads) > cpu_quota_) {
    return fmt::format("{} have a CPU quota of {:g} processors: the system stops them in turns",
                       asked, cpu_quota_);
  }
  return {};
}

}  // namespace deformer
