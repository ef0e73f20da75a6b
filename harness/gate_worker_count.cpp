// The gate's side of `count` and `counters`.

#include <set>

#include <fmt/format.h>

#include "harness/gate_worker.hpp"
#include "harness/worker_answer.hpp"

namespace deformer {

using namespace worker_answer;
using nlohmann::ordered_json;

WorkerCounted GateWorker::read_counted(const ordered_json& answer) const {
  WorkerCounted counted{
      text(answer, "isa"), text_or_empty(answer, "by"), text_or_empty(answer, "engines"), {}};
  std::set<std::string> keys;
  for (const ordered_json& json : array(answer, "points")) {
    if (!json.is_object()) {
      garbage("a point, an object", json);
    }
    WorkerCounted::Point point{text(json, "key"), {}, {}, {}};
    if (!keys.insert(point.key).second) {
      garbage("each point once", json);
    }
    for (const ordered_json& path : array(json, "ranges")) {
      if (!path.is_string()) {
        garbage("a range's path, a string", path);
      }
      point.ranges.push_back(path.get<std::string>());
    }
    counted.points.push_back(std::move(point));
  }
  return counted;
}

WorkerCounted GateWorker::count() {
  return read_counted(ask({{"type", "count"}}, "counted", timeouts_.answer_s));
}

WorkerCounted GateWorker::count_by_counters(std::int64_t forwards) {
  const ordered_json answer = ask({{"type", "count"}, {"by", "counters"}, {"forwards", forwards}},
                                  "counted", timeouts_.answer_s);
  WorkerCounted counted = read_counted(answer);
  (void)text(answer, "by");
  for (std::size_t i = 0; i < counted.points.size(); ++i) {
    const ordered_json& json = answer["points"][i];
    WorkerCounted::Point& point = counted.points[i];
    point.forwards = instruction_counts(json, "forwards", 1);
    if (static_cast<std::int64_t>(point.forwards.size()) != forwards) {
      garbage(fmt::format("the instructions of {} forwards", forwards), json["forwards"]);
    }
    if (const auto leaves = json.find("of_ranges"); leaves != json.end() && !leaves->is_null()) {
      point.of_ranges = instruction_counts(json, "of_ranges", 0);
      if (point.of_ranges.size() != point.ranges.size()) {
        garbage("the instructions of each range", *leaves);
      }
    }
  }
  return counted;
}

WorkerCounter GateWorker::counter() {
  const ordered_json answer = ask({{"type", "counters"}}, "counters", timeouts_.answer_s);
  WorkerCounter counter{text_or_empty(answer, "source"), text_or_empty(answer, "missing")};
  if (counter.source.empty() == counter.missing.empty()) {
    garbage("a counter's source, or why it is missing", answer);
  }
  return counter;
}

}  // namespace deformer
