#pragma once
/// Which processors the threads of a point get, and whether there are too few of them.

#include <string>
#include <vector>

#include "profilers/processors.hpp"
#include "workloads/point.hpp"

namespace deformer {

class ThreadPlaces {
 public:
  /// Reads what this process may use, so make it before any session runs: sessions bind threads.
  /// `pin`: whether threads are to be bound at all.
  explicit ThreadPlaces(bool pin);
  ThreadPlaces(bool pin, std::vector<CoreSite> cores, double cpu_quota);

  /// One processor for each thread of each instance, or empty where the scheduler shall place them:
  /// pinning is off, there are more threads than processors, or the backend binds none.
  Processors choose(const Point& point) const;

  /// A warning when threads x instances is more than this process may use: processors of its
  /// affinity mask, or a container's CPU quota. Empty when there are enough.
  std::string crowding(const Point& point) const;

 private:
  bool pin_;
  std::vector<CoreSite> cores_;
  double cpu_quota_;
};

}  // namespace deformer
