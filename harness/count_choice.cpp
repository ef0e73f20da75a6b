#include "harness/count_choice.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "harness/side_count.hpp"
#include "model/error.hpp"

namespace deformer {
namespace {

/// What one side says of its counters.
struct Ability {
  bool has = false;
  bool none = false;   ///< it tried, and there are none; neither: it was not to be had from it
  std::string source;  ///< of what it has
  std::string why;     ///< it has none
};

Ability ability_of(const std::string& program, const WorkerHello& hello,
                   const WorkerTimeouts& timeouts) {
  if (!can_count(hello, CountBy::counters)) {
    return {false, false, "", "it is older: it can't count by counters"};
  }
  try {
    GateWorker worker(program, timeouts);
    const WorkerCounter counter = worker.counter();
    worker.quit();
    return {counter.missing.empty(), !counter.missing.empty(), counter.source,
            "no counters here: " + counter.missing};
  } catch (const WorkerFailure& failure) {
    return {false, false, "", failure.what()};
  }
}

CountChoice choose_automatically(const CountRequest& request, const Ability& base,
                                 const Ability& head, const PairPlans& plans) {
  if (base.has && head.has) {
    return {CountBy::counters,
            fmt::format("--counted auto: instructions are counted by {}", head.source)};
  }
  const std::string without = !head.has ? "head: " + head.why : fmt::format("base: {}", base.why);
  if (request.valgrind.empty()) {
    return {std::nullopt, fmt::format("--counted auto: instructions are not counted: {}; and no "
                                      "valgrind in the search path",
                                      without)};
  }
  for (const auto& [side, hello] :
       {std::pair{Side::base, &plans.base_hello}, {Side::head, &plans.head_hello}}) {
    if (!can_count(*hello, CountBy::callgrind)) {
      return {std::nullopt,
              fmt::format("--counted auto: instructions are not counted: {}; and {} can't count "
                          "under callgrind: it is older, or was built without valgrind's header",
                          without, side_name(side))};
    }
  }
  return {CountBy::callgrind,
          fmt::format("--counted auto: instructions are counted by callgrind: {}", without)};
}

}  // namespace

CountChoice choose_count(const CountRequest& request, const PairSetting& setting,
                         const PairPlans& plans) {
  if (request.wish == CountWish::off) {
    return {};
  }
  if (request.wish == CountWish::callgrind) {
    return {CountBy::callgrind, ""};
  }
  const Ability base = ability_of(setting.base, plans.base_hello, setting.timeouts);
  const Ability head = ability_of(setting.head, plans.head_hello, setting.timeouts);
  if (request.wish == CountWish::automatic) {
    return choose_automatically(request, base, head, plans);
  }
  if (!base.has && !head.has && (base.none || head.none)) {
    throw Unavailable(
        fmt::format("--counted counters: {}; --counted callgrind counts without (valgrind), auto "
                    "takes what there is",
                    head.none ? head.why : base.why));
  }
  return {CountBy::counters, ""};
}

}  // namespace deformer
