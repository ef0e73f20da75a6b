#pragma once
/// Groups of events with the figures made of them, in the manner of likwid's: data files
/// (profilers/counter_groups/*.json) that are compiled in.
///
///   {"name":"branch","description":"...",
///    "events":[{"name":"branches","unit":"","sources":["PAPI_BR_INS","perf::BRANCHES"]}, ...],
///    "metrics":[{"name":"mispredicted","unit":"%","formula":"100 * branch_misses / branches"}]}
///
/// An event's sources are tried in order: a PAPI name (preset or native), or one of
/// clock::THREAD_CPUTIME, rusage::FAULTS, rusage::SWITCHES, which every Linux has. A formula may
/// use
/// + - * / ( ), numbers, the group's events, `elapsed_ns` and `task_time_ns` (elapsed_ns of all
/// threads together).

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace deformer {

struct CounterEvent {
  std::string name;
  std::string unit;
  std::vector<std::string> sources;
};

struct CounterMetric {
  std::string name, unit, formula;
};

struct CounterGroup {
  std::string name, description;
  std::vector<CounterEvent> events;
  std::vector<CounterMetric> metrics;
};

/// @throws std::runtime_error naming the field when the text is not such a group.
CounterGroup parse_counter_group(std::string_view json);

/// Those that are compiled in, by name.
const std::vector<CounterGroup>& counter_groups();

/// The groups and single events named: a group's name, an event's, or a source's ("PAPI_TOT_CYC",
/// which becomes a group of its own). nullopt for a word that is none of them.
std::optional<CounterGroup> find_counters(std::string_view word);

/// What a formula yields; nullopt where a name is unknown (its event is missing), it divides by
/// zero or is malformed.
std::optional<double> evaluate(std::string_view formula,
                               const std::function<std::optional<double>(std::string_view)>& value);

namespace detail {
const std::vector<const char*>& counter_group_texts();
}  // namespace detail

}  // namespace deformer
