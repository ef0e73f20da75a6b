#include "harness/worker_group.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "harness/record.hpp"
#include "harness/worker_count.hpp"
#include "model/error.hpp"
#include "profilers/allocations.hpp"
#include "profilers/callgrind.hpp"
#include "profilers/clock.hpp"
#include "profilers/machine.hpp"
#include "profilers/or_null.hpp"
#include "profilers/statistics.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

/// Processes are started by the dozen, so that the encoding of passages counts; the rest of the
/// pool are copies at other addresses. 256 sets took 1.2 s of minilm-l6's start, 4 take 0.03 s.
constexpr std::int64_t kDistinctSets = 4;
/// For the same reason: 256 MB took 0.18 s of bert-tiny's start. Both sides load from a pool of the
/// same size, larger than a core's own caches.
constexpr std::int64_t kMostPoolBytes = 64'000'000;
/// Instructions are the same wherever data comes from.
constexpr std::int64_t kMostPoolBytesCounted = 1'000'000;

/// Rounds thrown away after the warm-up: at least one, and as many as this time allows. They tell
/// how long a round is, and a slowdown that is planted what it is a share of.
constexpr std::int64_t kSettlingRounds = 4;
constexpr double kSettlingNs = 0.03e9;

/// With several threads, an idle team spins for milliseconds before it sleeps: the other side's
/// worker must not measure beside it.
constexpr std::int64_t kTeamFallsAsleepNs = 5'000'000;

std::vector<const PlannedPoint*> possible_points(const PlannedGroup& group) {
  std::vector<const PlannedPoint*> chosen;
  for (const PlannedPoint& planned : group.points) {
    if (planned.skip == Skip::no) {
      chosen.push_back(&planned);
    }
  }
  if (chosen.empty()) {
    throw BadInput(fmt::format("expected a group with points that can be run, found none in {}",
                               group_name(group)));
  }
  return chosen;
}

GroupOptions group_options(const WorkerShelf& shelf) {
  return {.last_level_cache_bytes = shelf.machine().last_level_cache_bytes,
          .available_bytes = available_memory_bytes(),
          .detail = shelf.plan().options.detail,
          .most_distinct_sets = kDistinctSets,
          .most_pool_bytes = under_valgrind() ? kMostPoolBytesCounted : kMostPoolBytes};
}

/// The lower quartile of the rounds, which a disturbance hardly moves; nullopt without rounds.
std::optional<double> lower_quartile(std::vector<double> values) {
  if (values.empty()) {
    return std::nullopt;
  }
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 4);
  std::ranges::nth_element(values, at);
  return *at;
}

}  // namespace

WorkerShelf::WorkerShelf(const WorkerPlan& plan, const Machine& machine, const std::string& build)
    : plan_(plan),
      machine_(machine),
      places_(plan.options.pin),
      models_(plan.spec, plan.groups,
              {machine_store_folder(), choices_identity(machine, build),
               [](const std::string& message) {
                 fmt::print(stderr, "deformer-bench: warning: {}\n", message);
               }}),
      roofs_(machine, build, false, [](const std::string&) {}) {}

WorkerGroup::WorkerGroup(WorkerShelf& shelf, const PlannedGroup& group, bool parity,
                         const Injection& injection)
    : shelf_(shelf),
      group_(group),
      injection_(injection),
      team_(possible_points(group).front()->point.instances,
            shelf.places().choose(possible_points(group).front()->point)),
      options_(group_options(shelf)),
      prepared_(shelf.plan().spec, group, possible_points(group), shelf.models().model(group),
                team_, options_, [](const std::string&, std::int64_t, std::int64_t) {}),
      probe_(possible_points(group).front()->point.threads),
      meter_(prepared_.runners(), team_, probe_,
             {.max_time_s = 1e7, .rounds = 0, .seed = shelf.plan().spec.seed, .discard = false}) {
  if (parity) {
    parity_ = shelf.parity().check(prepared_, shelf.models().weights(group));
  }
  if (!under_valgrind()) {
    meter_.warm_up();
  }
  for (Runner& runner : prepared_.runners()) {
    exact_.push_back(exact_json(runner));
  }
  if (under_valgrind()) {
    round_ns_ = 1;  // nothing is timed: each has run once, which touches everything
  } else {
    settle();
  }
}

/// The first rounds are forgotten. What a planted slowdown is a share of, is their median.
void WorkerGroup::settle() {
  const std::int64_t begin_ns = now_ns();
  meter_.make_room(kSettlingRounds);
  meter_.wake();
  meter_.prime_probe();
  std::vector<std::int64_t> measured;
  while (static_cast<std::int64_t>(measured.size()) < kSettlingRounds &&
         (measured.empty() || static_cast<double>(now_ns() - begin_ns) < kSettlingNs)) {
    const std::int64_t start_ns = now_ns();
    meter_.round();
    round_ns_ = static_cast<double>(now_ns() - start_ns);
    measured.push_back(static_cast<std::int64_t>(measured.size()));
  }
  for (Runner& runner : prepared_.runners()) {
    runner.forward_ns = median(runner.samples_ns).value_or(runner.forward_ns);
  }
  if (injection_) {
    prepared_.inject(injection_);
  }
  meter_.drop(measured);
}

ordered_json WorkerGroup::exact_json(Runner& runner) {
  const PlanCost cost = plan_cost(group_.config, runner.planned->point);
  const SessionMemory memory = runner.session().memory();
  const std::int64_t calls = allocation_count.calls.load();
  team_.run_on(0, [&](int) { runner.instances.front().forward(); });
  const std::int64_t allocations = allocation_count.calls.load() - calls;
  return {{"flops", cost.total.flops()},
          {"flops_executed", or_null(runner.session().flops_executed())},
          {"requested_bytes", memory.requested_bytes},
          {"planned_bytes", memory.peak_bytes},
          {"weights_bytes", prepared_.model().weight_bytes()},
          {"launches", or_null(runner.session().launches())},
          {"allocations",
           allocation_count.counted ? ordered_json(allocations) : ordered_json(nullptr)}};
}

ordered_json WorkerGroup::prepared_json() const {
  ordered_json points = ordered_json::array();
  const std::vector<Runner>& runners = const_cast<PreparedGroup&>(prepared_).runners();
  for (std::size_t i = 0; i < runners.size(); ++i) {
    points.push_back(
        {{"key", runners[i].planned->key},
         {"forwards", runners[i].forwards},
         {"parity", parity_.empty() ? ordered_json(nullptr) : parity_json(&parity_[i])},
         {"exact", exact_[i]}});
  }
  return {{"group", group_.key},
          {"round_ns", round_ns_},
          {"injected", injection_ ? ordered_json(injection_.text) : ordered_json(nullptr)},
          {"points", std::move(points)}};
}

ordered_json WorkerGroup::round_json(std::size_t round, bool disturbed) const {
  ordered_json ns = ordered_json::array();
  ordered_json ratio = ordered_json::array();
  for (const Runner& runner : const_cast<PreparedGroup&>(prepared_).runners()) {
    ns.push_back(runner.samples_ns[round]);
    ratio.push_back(runner.ratios.empty() ? ordered_json(nullptr)
                                          : ordered_json(runner.ratios[round]));
  }
  return {{"ns", std::move(ns)}, {"ratio", std::move(ratio)}, {"disturbed", disturbed}};
}

ordered_json WorkerGroup::measure(std::int64_t rounds) {
  const std::int64_t first = meter_.rounds();
  meter_.make_room(rounds);
  std::vector<char> disturbed;
  disturbed.reserve(static_cast<std::size_t>(rounds));
  meter_.wake();  // the other side has computed meanwhile
  const std::int64_t calls = allocation_count.calls.load();
  const std::int64_t begin_ns = now_ns();
  for (std::int64_t i = 0; i < rounds; ++i) {
    meter_.round();
    disturbed.push_back(meter_.last_disturbed() ? 1 : 0);
  }
  const std::int64_t end_ns = now_ns();
  const std::int64_t allocations = allocation_count.calls.load() - calls;
  const Point& point = group_.points.front().point;
  if (point.threads * point.instances > 1) {
    while (now_ns() - end_ns < kTeamFallsAsleepNs) {
    }
  }
  ordered_json list = ordered_json::array();
  for (std::size_t i = 0; i < disturbed.size(); ++i) {
    list.push_back(round_json(static_cast<std::size_t>(first) + i, disturbed[i] != 0));
  }
  return {
      {"first", first},
      {"elapsed_ns", end_ns - begin_ns},
      {"allocations", allocation_count.counted ? ordered_json(allocations) : ordered_json(nullptr)},
      {"rounds", std::move(list)}};
}

ordered_json WorkerGroup::count() {
  return count_forwards(prepared_.runners(), team_);
}

ordered_json WorkerGroup::count_by_counters(std::int64_t forwards) {
  return deformer::count_by_counters(prepared_.runners(), team_, instruction_counter(), forwards,
                                     prepared_.model().engines());
}

ordered_json WorkerGroup::records(const std::string& run, const std::string& set,
                                  const std::vector<std::int64_t>& discard) {
  std::int64_t before = -1;
  for (const std::int64_t round : discard) {
    if (round <= before || round >= meter_.rounds()) {
      throw BadInput(
          fmt::format("discard: expected ascending indices below {}, the rounds measured; found {} "
                      "after {}",
                      meter_.rounds(), round, before));
    }
    before = round;
  }
  meter_.drop(discard);
  meter_.stop("gate");
  std::vector<Runner>& runners = prepared_.runners();
  const SweepOptions& options = shelf_.plan().options;
  const SetContext context{.run = run,
                           .set = set,
                           .set_size = static_cast<std::int64_t>(runners.size()),
                           .common_options = common_options(options, options.measure),
                           .processors = team_.processors(),
                           .memory = {.rss_anon_bytes = rss_anon_bytes(),
                                      .huge_page_bytes = huge_page_bytes(),
                                      .weights_bytes = prepared_.model().weight_bytes(),
                                      .pool_bytes = prepared_.pool_bytes(),
                                      .planned_bytes = planned_bytes(group_, options_)},
                           .engines = prepared_.model().engines(),
                           .injected = injection_.text,
                           .device = nullptr,
                           .roofs = &shelf_.roofs()};
  const auto full = std::ranges::find_if(runners, &Runner::is_full);
  const auto parity_of = [&](const Runner* runner) {
    return runner == nullptr || parity_.empty()
               ? nullptr
               : &parity_[static_cast<std::size_t>(runner - runners.data())];
  };
  const Runner* full_runner = full == runners.end() ? nullptr : &*full;
  ordered_json list = ordered_json::array();
  for (std::size_t i = 0; i < runners.size(); ++i) {
    ordered_json record = measured_record(
        group_, runners[i], meter_, full_runner, parity_of(&runners[i]), parity_of(full_runner),
        context,
        reproduce_command(shelf_.plan().spec.models[group_.model], shelf_.plan().spec,
                          runners[i].planned->point, context.common_options));
    for (std::size_t range = 0; range < runners[i].range_ns.size(); ++range) {
      const auto low = lower_quartile(runners[i].range_ns[range]);
      record["ranges"][range]["low_ns"] = low ? ordered_json(*low) : ordered_json(nullptr);
    }
    record["memory"]["allocations"] = exact_[i]["allocations"];
    list.push_back(std::move(record));
  }
  return {{"records", std::move(list)}};
}

}  // namespace deformer
