#include "harness/instance_team.hpp"

#include <algorithm>
#include <utility>

#include "profilers/clock.hpp"

namespace deformer {
namespace {

/// Looks at the line before the processor is offered to others: some tens of microseconds, more
/// than the last thread to wake needs where each has a processor of its own.
constexpr int kLooksBeforeYield = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

InstanceTeam::InstanceTeam(int instances, Processors processors)
    : instances_(std::max(instances, 1)),
      processors_(std::move(processors)),
      outcomes_(static_cast<std::size_t>(instances_)) {
  for (int i = 0; instances_ > 1 && i < instances_; ++i) {
    threads_.emplace_back([this, i] { serve(i); });
  }
}

InstanceTeam::~InstanceTeam() {
  stopping_ = true;
  begin_round();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void InstanceTeam::begin_round() {
  round_.fetch_add(1);
  round_.notify_all();
}

std::int64_t InstanceTeam::run_task(const Task& task) {
  if (instances_ == 1) {
    const std::int64_t start_ns = now_ns();
    task.call(task.work, 0);
    return now_ns() - start_ns;
  }
  task_ = task;
  running_.store(instances_);
  begin_round();
  for (int left = running_.load(); left > 0; left = running_.load()) {
    running_.wait(left);
  }
  std::int64_t end_ns = start_ns_;
  std::exception_ptr first_error;
  for (Outcome& outcome : outcomes_) {
    const std::exception_ptr error = std::exchange(outcome.error, nullptr);
    first_error = first_error ? first_error : error;
    end_ns = std::max(end_ns, outcome.end_ns);
  }
  if (first_error) {
    std::rethrow_exception(first_error);
  }
  return end_ns - start_ns_;
}

/// Everyone is awake before the clock starts; the last to arrive reads it.
void InstanceTeam::line_up(int round) {
  if (arrived_.fetch_add(1) + 1 == instances_) {
    arrived_.store(0);
    start_ns_ = now_ns();
    started_.store(round);
    return;
  }
  for (int looks = 0; started_.load() != round; ++looks) {
    if (looks < kLooksBeforeYield) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
}

void InstanceTeam::serve(int instance) {
  const auto index = static_cast<std::size_t>(instance);
  if (index < processors_.size()) {
    (void)bind_this_thread(processors_[index]);
  }
  for (int seen = 0;;) {
    round_.wait(seen);
    seen = round_.load();
    if (stopping_) {
      return;
    }
    Outcome& outcome = outcomes_[index];
    try {
      if (task_.instance == kAll) {
        line_up(seen);
      }
      if (task_.instance == kAll || task_.instance == instance) {
        task_.call(task_.work, instance);
      }
    } catch (...) {
      outcome.error = std::current_exception();
    }
    outcome.end_ns = now_ns();
    if (running_.fetch_sub(1) == 1) {
      running_.notify_one();
    }
  }
}

}  // namespace deformer
