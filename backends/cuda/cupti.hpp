#pragma once
/// What the device did, as CUPTI's activity interface tells it: every kernel, copy and fill of a
/// stretch of code, tied to the ranges that were pushed around the calls. libcupti is loaded at the
/// first use. Without a driver its calls fail with a code (999), and that is said.
///
/// Recording slows what it watches: a run that is recorded is never one that is timed.

#include <string>

#include "backends/cuda/host/activity_ranges.hpp"

namespace deformer::cuda {

/// One at a time in a process, as CUPTI has it.
class ActivityRecorder {
 public:
  /// Starts to record. @throws Unavailable saying what is missing.
  explicit ActivityRecorder(int ranges);
  ~ActivityRecorder();
  ActivityRecorder(const ActivityRecorder&) = delete;
  ActivityRecorder& operator=(const ActivityRecorder&) = delete;

  /// Calls of this thread until pop() belong to `range`.
  void push(int range);
  void pop();
  /// Ends recording; the device must have finished what is to be seen. Once.
  ActivityRanges finish();

  /// Why nothing can be recorded here, or empty; asks the library by starting and ending it.
  static std::string missing();

 private:
  void stop() noexcept;
  int ranges_;
  bool running_ = false;
};

}  // namespace deformer::cuda
