#pragma once
/// The gate's side of the worker protocol: asks a program to plan, prepare and measure, believes
/// nothing unchecked, and says in one of few ways what went wrong. See worker_protocol.hpp.

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/child_process.hpp"
#include "harness/clock_watch.hpp"

namespace deformer {

/// Why a program gave no measurement.
class WorkerFailure : public std::runtime_error {
 public:
  enum class Kind {
    crashed,       ///< it ended, or was ended by a signal
    hung,          ///< no answer in time, or it stopped reading
    garbage,       ///< an answer that is none
    old_protocol,  ///< it speaks no version that we do: no decision is possible
    refused,       ///< it answered with an error
    clock,         ///< a clock stepped, or tells a time that did not pass here
    changed,       ///< another build, or another machine, than when it was started first
  };
  WorkerFailure(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

struct WorkerHello {
  std::string version, revision, build, flags;
  nlohmann::ordered_json machine;
  std::vector<std::string> counts;  ///< by what it can count instructions; none: older
};

struct WorkerPoint {
  std::string key, name, reproduce;
  nlohmann::ordered_json point;
  std::optional<std::string> skip;  ///< why it can't be run there
};

struct WorkerGroupPlan {
  std::string key, name;
  std::vector<WorkerPoint> points;
};

struct WorkerPrepared {
  double round_s = 0;             ///< about
  std::vector<std::string> keys;  ///< of the points that are measured
  std::string parity_failed;      ///< of the first that failed, in words; empty when none did
};

/// What was counted, see worker_protocol.hpp: callgrind has written its counts, counters' are here.
struct WorkerCounted {
  std::string isa;
  std::string by, engines;  ///< of counters
  struct Point {
    std::string key;
    std::vector<std::string> ranges;  ///< path of each leaf
    std::vector<double> forwards;     ///< by counters: of each
    std::vector<double> of_ranges;    ///< by counters: of each leaf; empty where unknown
  };
  std::vector<Point> points;
};

/// A program's hardware counter of instructions, or why it has none.
struct WorkerCounter {
  std::string source, missing;  ///< one of them is empty
};

/// Longest silences, in seconds.
struct WorkerTimeouts {
  double start_s = 20;
  double answer_s = 600;  ///< planning, preparing
};

class GateWorker {
 public:
  /// Starts `program` as a worker and hears its hello. @throws BadInput when it can't be started,
  /// WorkerFailure, ChildInterrupted.
  /// `launcher`: a program with its arguments that starts it, as valgrind does; empty: none.
  GateWorker(const std::string& program, const WorkerTimeouts& timeouts,
             const std::vector<std::string>& launcher = {});

  const WorkerHello& hello() const { return hello_; }

  // Each @throws WorkerFailure, ChildInterrupted.

  std::vector<WorkerGroupPlan> plan(const std::vector<std::string>& arguments);
  WorkerPrepared prepare(const std::string& group, bool parity, const std::string& inject);
  /// Rounds of the prepared group; of each whether the worker's probe saw a disturbance.
  std::vector<bool> measure(std::int64_t rounds);
  /// The records of all rounds but those discarded.
  std::vector<nlohmann::ordered_json> records(const std::string& run, const std::string& set,
                                              const std::vector<std::int64_t>& discard);
  WorkerCounted count();
  WorkerCounted count_by_counters(std::int64_t forwards);
  WorkerCounter counter();
  /// From now on.
  void limit_answers(double seconds) { timeouts_.answer_s = seconds; }
  /// Asks it to end, and ends it.
  void quit(double timeout_s = 2);

 private:
  nlohmann::ordered_json ask(nlohmann::ordered_json request, const char* expected,
                             double timeout_s);
  nlohmann::ordered_json read(double timeout_s);
  void read_hello(double timeout_s);
  void check_clock(const nlohmann::ordered_json& answer);
  WorkerCounted read_counted(const nlohmann::ordered_json& answer) const;

  WorkerTimeouts timeouts_;
  ChildProcess child_;
  WorkerHello hello_;
  ClockWatch its_clock_;
  ClockWatch our_clock_;
  std::int64_t asked_ = 0;
  std::vector<std::string> prepared_;  ///< keys of the prepared group
  std::int64_t measured_ = 0;          ///< its rounds
  double round_s_ = 0;
};

}  // namespace deformer
