#pragma once
/// Which processors the threads of a measurement are bound to, and binding a thread.

#include <vector>

#include "profilers/machine_parts.hpp"

namespace deformer {

/// Operating system's numbers, [instance][thread].
using Processors = std::vector<std::vector<int>>;

/// A processor for each thread of `instances` teams of `threads`. No core is taken twice while
/// another is free, so hyper-threads come last. The cores of a team are neighbours: behind one
/// last-level cache if one has room for the whole team (the fullest such), else in one memory node,
/// else beside each other. Empty when there are more threads than processors.
Processors choose_processors(const std::vector<CoreSite>& cores, int instances, int threads);

/// Binds the calling thread, and the threads it will start, to these processors. False, and nothing
/// is changed, when the system refuses (none of them is allowed).
bool bind_this_thread(const std::vector<int>& processors);

/// Gives the calling thread back, at the end of a scope, the processors it might use before: a
/// session binds the thread that runs it.
class KeptAffinity {
 public:
  KeptAffinity() : before_(allowed_processors()) {}
  ~KeptAffinity() { (void)bind_this_thread(before_); }
  KeptAffinity(const KeptAffinity&) = delete;
  KeptAffinity& operator=(const KeptAffinity&) = delete;

 private:
  std::vector<int> before_;
};

}  // namespace deformer
