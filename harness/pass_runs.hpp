#pragma once
/// What the passes of `profile` share (profile_passes.hpp): forwards for a while, and watching
/// them.

#include <cstdint>
#include <functional>

#include "harness/looks.hpp"

namespace deformer {

constexpr std::int64_t kPassNs = 300'000'000;  ///< what a pass lasts

/// Forwards for about `limit_ns`, two at least, `each` after every one; how many. An interrupt ends
/// them early.
int forwards_for(
    Look& look, std::int64_t limit_ns, const std::function<void()>& each = [] {});

/// Watches for the time of one scope.
class Watched {
 public:
  Watched(Look& look, RangeWatcher& watcher) : log_(*look.session->ranges()) {
    log_.set_watcher(&watcher);
  }
  ~Watched() { log_.set_watcher(nullptr); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

 private:
  RangeLog& log_;
};

}  // namespace deformer
