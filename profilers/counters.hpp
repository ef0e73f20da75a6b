#pragma once
/// Events counted by PAPI, found by trying: what a machine has not (hardware counters on most
/// virtual machines) or the kernel refuses is missing with its reason, and the kernel's own events,
/// getrusage and clocks stand in where they can.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "profilers/counter_groups.hpp"
#include "profilers/range_tree.hpp"

namespace deformer {

/// An event as this machine has it.
struct CounterStatus {
  std::string name;
  std::string unit;
  std::string source;   ///< the first of its sources that works; empty when none does
  std::string missing;  ///< why none does, source by source; empty when one does
};

/// Tries each event alone, on the calling thread.
std::vector<CounterStatus> try_counters(const std::vector<CounterEvent>& events);

/// PAPI's version, and why it can't be used, or empty.
std::string papi_version();
std::string papi_missing();

/// The events of one thread, those of `try_counters` that have a source. To be made, read and
/// stopped on that thread.
class ThreadCounters {
 public:
  /// An event that could not be counted beside the others, though it could alone.
  struct Refused {
    std::size_t event;
    std::string why;  ///< names its source
  };

  explicit ThreadCounters(const std::vector<CounterStatus>& events);
  ~ThreadCounters();
  ThreadCounters(const ThreadCounters&) = delete;
  ThreadCounters& operator=(const ThreadCounters&) = delete;

  /// Counts since construction, parallel to the events; a missing or refused one is left
  /// alone. Allocates nothing.
  void read(std::int64_t* values);
  void stop();
  /// The processor has fewer counters than events: they took turns and counts are extrapolated.
  bool multiplexed() const { return multiplexed_; }
  /// What PAPI refused when all events were to be counted together; empty when nothing.
  const std::string& trouble() const { return trouble_; }
  /// The same, event by event; complete after `stop`.
  const std::vector<Refused>& refused() const { return refused_; }

 private:
  struct Papi;
  void add_to_papi();
  int add_event(const std::string& source);
  void refuse(std::size_t event, const std::string& why);
  void refuse_all(const std::vector<std::size_t>& events, const char* what, int status);

  std::vector<std::string> sources_;
  std::unique_ptr<Papi> papi_;
  bool multiplexed_ = false;
  std::string trouble_;
  std::vector<Refused> refused_;
};

/// Hangs counters on the leaves of a RangeLog. Reading them costs up to some microseconds a leaf
/// and thread, so runs that are watched are not those that are timed.
class CounterWatcher final : public RangeWatcher {
 public:
  CounterWatcher(std::vector<CounterStatus> events, int leaves, int threads);
  ~CounterWatcher() override;

  void began(int thread, int leaf) override;
  void ended(int thread, int leaf) override;
  /// In the next run each thread stops its counters instead.
  void finish() { finishing_ = true; }
  /// After that run: an event that any thread was refused has no source any more, and says why. Its
  /// count is not one. Nor is any of a backend that finds its leaves' times otherwise than by
  /// walking.
  void drop_refused();
  void clear();

  const std::vector<CounterStatus>& events() const { return events_; }
  /// Whether any thread walked its leaves; else no event has a source and each says why.
  bool walked() const { return walked_; }
  std::int64_t count(int thread, int leaf, std::size_t event) const;
  bool multiplexed() const;
  std::string trouble() const;

 private:
  struct Thread;
  std::vector<CounterStatus> events_;
  std::size_t leaves_;
  std::vector<std::unique_ptr<Thread>> threads_;
  bool finishing_ = false;
  bool walked_ = false;
};

}  // namespace deformer
