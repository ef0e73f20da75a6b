#pragma once
/// Threads that run the instances of a point side by side: each instance is called from one and the
/// same thread all its life, because OpenMP keeps a team of threads for each thread that calls.

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "profilers/processors.hpp"

namespace deformer {

class InstanceTeam {
 public:
  /// `processors`: for each instance those its threads may use; empty leaves all to the scheduler.
  /// A single instance runs on the calling thread and is bound by nobody here; several have
  /// threads of their own, bound from the start, so that what they start and touch stays there.
  explicit InstanceTeam(int instances, Processors processors = {});
  ~InstanceTeam();
  InstanceTeam(const InstanceTeam&) = delete;
  InstanceTeam& operator=(const InstanceTeam&) = delete;

  int instances() const { return instances_; }
  /// [instance][thread], or empty.
  const Processors& processors() const { return processors_; }

  /// Calls work(instance) for all instances at once, behind a common start. Returns the nanoseconds
  /// from that start to the end of the last. Allocates nothing. @throws what the first instance
  /// that failed threw, after all have ended.
  template <typename Work>
  std::int64_t run(const Work& work) {
    return run_task({call<Work>, &work, kAll});
  }

  /// Calls work(instance) on the thread of one instance alone.
  template <typename Work>
  void run_on(int instance, const Work& work) {
    (void)run_task({call<Work>, &work, instance});
  }

 private:
  static constexpr int kAll = -1;
  struct Task {
    void (*call)(const void* work, int instance) = nullptr;
    const void* work = nullptr;
    int instance = kAll;
  };
  /// Apart from its neighbours: each is written by another core in the timed region.
  struct alignas(64) Outcome {
    std::int64_t end_ns = 0;
    std::exception_ptr error;
  };

  template <typename Work>
  static void call(const void* work, int instance) {
    (*static_cast<const Work*>(work))(instance);
  }

  std::int64_t run_task(const Task& task);
  void begin_round();
  void serve(int instance);
  void line_up(int round);

  int instances_;
  Processors processors_;
  Task task_;
  bool stopping_ = false;
  std::vector<Outcome> outcomes_;
  std::int64_t start_ns_ = 0;
  alignas(64) std::atomic<int> round_ = 0;    ///< threads sleep until it changes
  alignas(64) std::atomic<int> arrived_ = 0;  ///< at the line
  alignas(64) std::atomic<int> started_ = 0;  ///< the round that is under way
  alignas(64) std::atomic<int> running_ = 0;  ///< the caller sleeps until it is 0
  std::vector<std::thread> threads_;
};

}  // namespace deformer
