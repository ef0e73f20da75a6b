#pragma once
/// A group in a worker: everything that a set of a sweep has, kept ready between requests.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/group.hpp"
#include "harness/meter.hpp"
#include "harness/model_shelf.hpp"
#include "harness/parity.hpp"
#include "harness/run_roofs.hpp"
#include "harness/thread_places.hpp"
#include "harness/worker.hpp"

namespace deformer {

/// What outlives a group: weights, reference outputs, the machine.
class WorkerShelf {
 public:
  WorkerShelf(const WorkerPlan& plan, const Machine& machine, const std::string& build);

  const WorkerPlan& plan() const { return plan_; }
  const Machine& machine() const { return machine_; }
  const RunRoofs& roofs() const { return roofs_; }
  const ThreadPlaces& places() const { return places_; }
  ModelShelf& models() { return models_; }
  ParityChecker& parity() { return parity_; }

 private:
  const WorkerPlan& plan_;
  Machine machine_;
  ThreadPlaces places_;
  ModelShelf models_;
  RunRoofs roofs_;  ///< off: a gate compares times, not shares of a roof
  ParityChecker parity_;
};

class WorkerGroup {
 public:
  /// Prepares the points of `group` that can be run, checks parity if asked, warms up, measures a
  /// few rounds and forgets them, plants `injection`. @throws BadInput, Unavailable.
  WorkerGroup(WorkerShelf& shelf, const PlannedGroup& group, bool parity,
              const Injection& injection);

  /// Answers of the protocol, without `type` and `id`.
  nlohmann::ordered_json prepared_json() const;
  nlohmann::ordered_json measure(std::int64_t rounds);
  /// Instructions of a forward (worker_count.hpp), by callgrind or by counters.
  nlohmann::ordered_json count();
  nlohmann::ordered_json count_by_counters(std::int64_t forwards);
  /// Nothing can be measured any more. @throws BadInput for indices that are no rounds, or not
  /// ascending.
  nlohmann::ordered_json records(const std::string& run, const std::string& set,
                                 const std::vector<std::int64_t>& discard);

 private:
  void settle();
  nlohmann::ordered_json exact_json(Runner& runner);
  nlohmann::ordered_json round_json(std::size_t round, bool disturbed) const;

  WorkerShelf& shelf_;
  const PlannedGroup& group_;
  Injection injection_;
  const KeptAffinity kept_;  ///< sessions bind the thread that runs them
  InstanceTeam team_;
  GroupOptions options_;
  PreparedGroup prepared_;
  Probe probe_;
  Meter meter_;
  std::vector<ParityRecord> parity_;
  std::vector<nlohmann::ordered_json> exact_;
  double round_ns_ = 0;  ///< of the last round that was thrown away
};

}  // namespace deformer
