#pragma once
/// A trace in the Chrome JSON format, which Perfetto and chrome://tracing read: one process a run
/// that is told apart, one track for the nested ranges and one a thread, counters as counter
/// tracks.
/// ("Trace Event Format", the public document of the Chrome project.)

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "profilers/range_tree.hpp"

namespace deformer {

class Trace {
 public:
  /// Starts a process: what follows belongs to it. Returns its number.
  int add_process(const std::string& name, int threads);
  /// The last run of a log. `arguments`: by range, shown when it is clicked on; may be empty.
  void add_run(int process, const RangeLog& log,
               const std::vector<nlohmann::ordered_json>& arguments);
  void add_counter(int process, const std::string& name, std::int64_t at_ns, double value);
  /// Said in the trace's metadata, e.g. that a slowdown was planted.
  void add_note(const std::string& name, const std::string& text);

  /// {"traceEvents":[...],"displayTimeUnit":"ns","otherData":{...}}; times from the first event on.
  /// Processes follow each other without what was done between them.
  std::string json() const;

 private:
  void add_complete(int process, int track, const std::string& name, std::int64_t start_ns,
                    std::int64_t end_ns, const nlohmann::ordered_json& arguments);
  /// What is zero for each process.
  std::vector<std::int64_t> starts_ns() const;

  std::vector<nlohmann::ordered_json> events_;
  nlohmann::ordered_json notes_ = nlohmann::ordered_json::object();
  int processes_ = 0;
};

}  // namespace deformer
