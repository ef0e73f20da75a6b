#include "profilers/counters.hpp"

#include <papi.h>
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

namespace deformer {
namespace {

constexpr std::size_t kMostEvents = 32;  ///< of PAPI, counted together

/// PAPI is initialised once, at the first use; why it can't be, or empty.
const std::string& initialised() {
  static const std::string missing = [] {
    const int version = PAPI_library_init(PAPI_VER_CURRENT);
    if (version != PAPI_VER_CURRENT) {
      return fmt::format("PAPI does not start: {}",
                         version < 0 ? PAPI_strerror(version) : "another version is installed");
    }
    const int threads = PAPI_thread_init(pthread_self);
    if (threads != PAPI_OK) {
      return fmt::format("PAPI knows no threads: {}", PAPI_strerror(threads));
    }
    return std::string();
  }();
  return missing;
}

std::int64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// One of the sources that need no PAPI; nullopt for another.
std::optional<std::int64_t> read_own(const std::string& source) {
  if (source == "clock::THREAD_CPUTIME") {
    return thread_cpu_ns();
  }
  rusage usage{};
  if (!source.starts_with("rusage::") || getrusage(RUSAGE_THREAD, &usage) != 0) {
    return std::nullopt;
  }
  if (source == "rusage::FAULTS") {
    return usage.ru_minflt + usage.ru_majflt;
  }
  if (source == "rusage::SWITCHES") {
    return usage.ru_nvcsw + usage.ru_nivcsw;
  }
  return std::nullopt;
}

bool is_own(const std::string& source) {
  return read_own(source).has_value();
}

/// Counts the event alone for a moment. Why it can't, or empty.
std::string try_papi(const std::string& source) {
  if (!initialised().empty()) {
    return initialised();
  }
  int code = 0;
  std::string name = source;
  int status = PAPI_event_name_to_code(name.data(), &code);
  if (status != PAPI_OK) {
    return PAPI_strerror(status);
  }
  int set = PAPI_NULL;
  status = PAPI_create_eventset(&set);
  if (status != PAPI_OK) {
    return PAPI_strerror(status);
  }
  status = PAPI_add_event(set, code);
  if (status == PAPI_OK) {
    status = PAPI_start(set);
    if (status == PAPI_OK) {
      std::array<long long, 1> value{};
      status = PAPI_stop(set, value.data());
    }
  }
  const std::string why = status == PAPI_OK ? "" : PAPI_strerror(status);
  static_cast<void>(PAPI_cleanup_eventset(set));  // of a set that was never filled it fails: fine
  static_cast<void>(PAPI_destroy_eventset(&set));
  return why;
}

CounterStatus try_event(const CounterEvent& event) {
  CounterStatus status{event.name, event.unit, "", ""};
  for (const std::string& source : event.sources) {
    const std::string why = is_own(source) ? "" : try_papi(source);
    if (why.empty()) {
      status.source = source;
      status.missing.clear();
      return status;
    }
    status.missing += fmt::format("{}{}: {}", status.missing.empty() ? "" : "; ", source, why);
  }
  return status;
}

}  // namespace

std::vector<CounterStatus> try_counters(const std::vector<CounterEvent>& events) {
  std::vector<CounterStatus> found;
  for (const CounterEvent& event : events) {
    found.push_back(try_event(event));
  }
  return found;
}

std::string papi_version() {
  return fmt::format("{}.{}.{}", PAPI_VERSION_MAJOR(PAPI_VERSION), PAPI_VERSION_MINOR(PAPI_VERSION),
                     PAPI_VERSION_REVISION(PAPI_VERSION));
}

std::string papi_missing() {
  return initialised();
}

struct ThreadCounters::Papi {
  int set = PAPI_NULL;
  std::vector<std::size_t> events;  ///< which of ours each of its counters is
  std::array<long long, kMostEvents> values{};
  bool running = false;
  int reading = PAPI_OK;  ///< the first failure of a read
};

ThreadCounters::ThreadCounters(const std::vector<CounterStatus>& events) {
  for (const CounterStatus& event : events) {
    sources_.push_back(event.source);
  }
  add_to_papi();
}

ThreadCounters::~ThreadCounters() {
  stop();
}

void ThreadCounters::refuse(std::size_t event, const std::string& why) {
  const std::string reason = fmt::format("{}: {}", sources_[event], why);
  trouble_ += (trouble_.empty() ? "" : "; ") + reason;
  refused_.push_back({event, reason});
}

void ThreadCounters::refuse_all(const std::vector<std::size_t>& events, const char* what,
                                int status) {
  for (const std::size_t event : events) {
    refuse(event, fmt::format("{}: {}", what, PAPI_strerror(status)));
  }
}

int ThreadCounters::add_event(const std::string& source) {
  int code = 0;
  std::string name = source;
  int status = PAPI_event_name_to_code(name.data(), &code);
  status = status == PAPI_OK ? PAPI_add_event(papi_->set, code) : status;
  if (status == PAPI_ECNFLCT && !multiplexed_) {  // more events than counters
    static_cast<void>(PAPI_multiplex_init());
    if (PAPI_set_multiplex(papi_->set) == PAPI_OK) {
      multiplexed_ = true;
      status = PAPI_add_event(papi_->set, code);
    }
  }
  return status;
}

void ThreadCounters::add_to_papi() {
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (!sources_[i].empty() && !is_own(sources_[i])) {
      wanted.push_back(i);
    }
  }
  if (wanted.empty()) {
    return;
  }
  if (!initialised().empty()) {
    for (const std::size_t event : wanted) {
      refuse(event, initialised());
    }
    return;
  }
  papi_ = std::make_unique<Papi>();
  int status = PAPI_create_eventset(&papi_->set);
  if (status != PAPI_OK) {
    papi_.reset();
    refuse_all(wanted, "making the event set", status);
    return;
  }
  for (const std::size_t event : wanted) {
    if (papi_->events.size() == kMostEvents) {
      refuse(event, fmt::format("at most {} events are counted together", kMostEvents));
      continue;
    }
    status = add_event(sources_[event]);
    if (status == PAPI_OK) {
      papi_->events.push_back(event);
    } else {
      refuse(event, PAPI_strerror(status));
    }
  }
  if (papi_->events.empty()) {
    return;
  }
  status = PAPI_start(papi_->set);
  papi_->running = status == PAPI_OK;
  if (!papi_->running) {
    refuse_all(papi_->events, "starting all together", status);
  }
}

void ThreadCounters::read(std::int64_t* values) {
  if (papi_ && papi_->running && papi_->reading == PAPI_OK) {
    papi_->reading = PAPI_read(papi_->set, papi_->values.data());
    for (std::size_t i = 0; papi_->reading == PAPI_OK && i < papi_->events.size(); ++i) {
      values[papi_->events[i]] = papi_->values[i];
    }
  }
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (const auto own = read_own(sources_[i])) {
      values[i] = *own;
    }
  }
}

void ThreadCounters::stop() {
  if (!papi_) {
    return;
  }
  if (papi_->reading != PAPI_OK) {
    refuse_all(papi_->events, "reading", papi_->reading);
  }
  if (papi_->running) {
    // Nothing is left to be done about a set that can't be stopped.
    static_cast<void>(PAPI_stop(papi_->set, papi_->values.data()));
  }
  static_cast<void>(PAPI_cleanup_eventset(papi_->set));
  static_cast<void>(PAPI_destroy_eventset(&papi_->set));
  papi_.reset();
}

/// Apart from its neighbours: written at every leaf.
struct alignas(128) CounterWatcher::Thread {
  std::unique_ptr<ThreadCounters> counters;
  std::vector<std::int64_t> before, now;
  std::vector<std::int64_t> counts;  ///< [leaf][event]
  bool multiplexed = false;
  std::string trouble;
  std::vector<ThreadCounters::Refused> refused;
  bool walked = false;
};

CounterWatcher::CounterWatcher(std::vector<CounterStatus> events, int leaves, int threads)
    : events_(std::move(events)), leaves_(static_cast<std::size_t>(leaves)) {
  for (int thread = 0; thread < threads; ++thread) {
    threads_.push_back(std::make_unique<Thread>());
    threads_.back()->counts.resize(leaves_ * events_.size());
    threads_.back()->before.resize(events_.size());
    threads_.back()->now.resize(events_.size());
  }
}

CounterWatcher::~CounterWatcher() = default;

void CounterWatcher::began(int thread, int leaf) {
  Thread& own = *threads_[static_cast<std::size_t>(thread)];
  if (finishing_) {
    if (own.counters) {
      own.counters->stop();
      own.multiplexed = own.counters->multiplexed();
      own.trouble = own.counters->trouble();
      own.refused = own.counters->refused();
      own.counters.reset();
    }
    return;
  }
  if (!own.counters) {  // on the very thread, in a run before those that count
    own.counters = std::make_unique<ThreadCounters>(events_);
    own.walked = true;
  }
  if (static_cast<std::size_t>(leaf) < leaves_) {
    own.counters->read(own.before.data());
  }
}

void CounterWatcher::ended(int thread, int leaf) {
  Thread& own = *threads_[static_cast<std::size_t>(thread)];
  if (finishing_ || !own.counters) {
    return;
  }
  own.counters->read(own.now.data());
  std::int64_t* counts = own.counts.data() + static_cast<std::size_t>(leaf) * events_.size();
  for (std::size_t event = 0; event < events_.size(); ++event) {
    counts[event] += own.now[event] - own.before[event];
  }
}

void CounterWatcher::drop_refused() {
  for (const auto& thread : threads_) {
    walked_ = walked_ || thread->walked;
    for (const ThreadCounters::Refused& refused : thread->refused) {
      events_[refused.event].source.clear();
      events_[refused.event].missing = refused.why;
    }
  }
  for (CounterStatus& event : events_) {
    if (!walked_ && !event.source.empty()) {
      event.missing = event.source + ": this backend's operations can't be counted apart";
      event.source.clear();
    }
  }
}

void CounterWatcher::clear() {
  for (const auto& thread : threads_) {
    std::ranges::fill(thread->counts, 0);
  }
}

std::int64_t CounterWatcher::count(int thread, int leaf, std::size_t event) const {
  return threads_[static_cast<std::size_t>(thread)]
      ->counts[static_cast<std::size_t>(leaf) * events_.size() + event];
}

bool CounterWatcher::multiplexed() const {
  return std::ranges::any_of(threads_, [](const auto& thread) { return thread->multiplexed; });
}

std::string CounterWatcher::trouble() const {
  for (const auto& thread : threads_) {
    if (!thread->trouble.empty()) {
      return thread->trouble;
    }
  }
  return "";
}

}  // namespace deformer
