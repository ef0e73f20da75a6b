#include "reports/gate/draw.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace deformer {

Draw::Draw(const DrawSetting& setting, std::mt19937_64& random) : setting_(setting) {
  const GateInput& recorded = *setting.recorded;
  gate_.base = recorded.base;
  gate_.head = recorded.head;
  gate_.identical_allowed = true;
  injected_ = std::uniform_int_distribution<std::size_t>(0, recorded.points.size() - 1)(random);
  for (const GatePoint& point : recorded.points) {
    const std::size_t count = setting.side_by_side
                                  ? point.pairs.size()
                                  : std::min(point.base_alone.size(), point.head_alone.size());
    const bool same = !drawn_.empty() && drawn_.back().places.size() == count;
    drawn_.push_back(same ? drawn_.back() : order_of(count, random));
    GatePoint& next = gate_.points.emplace_back();
    next.key = point.key;
    next.name = point.name;
    next.group = point.group;
    next.variant = point.variant;
    next.base.status = next.head.status = "ok";
  }
}

void Draw::add(std::int64_t first, std::int64_t last, bool confirming) {
  for (std::size_t p = 0; p < gate_.points.size(); ++p) {
    for (std::int64_t i = first; i < last; ++i) {
      GatePair pair = recorded_pair(p, static_cast<std::size_t>(i));
      pair.confirming = confirming;
      shorten(pair);
      slow_down(pair, p);
      gate_.points[p].pairs.push_back(std::move(pair));
    }
  }
}

Draw::Order Draw::order_of(std::size_t count, std::mt19937_64& random) const {
  Order order;
  order.places.resize(count);
  std::iota(order.places.begin(), order.places.end(), std::size_t{0});
  std::ranges::shuffle(order.places, random);
  for (std::size_t i = 0; i < count; ++i) {
    order.exchanged.push_back(setting_.exchanged && (random() & 1) != 0);
  }
  return order;
}

GatePair Draw::recorded_pair(std::size_t p, std::size_t i) const {
  const GatePoint& point = setting_.recorded->points[p];
  const Order& order = drawn_[p];
  GatePair pair;
  if (setting_.side_by_side) {
    pair = point.pairs[order.places[i]];
  } else if (setting_.exchanged) {  // one pool of processes for both sides: neighbours in a random
                                    // order
    pair.base = point.base_alone[order.places[2 * i]].rounds;
    pair.head = point.base_alone[order.places[2 * i + 1]].rounds;
  } else {
    pair.base = point.base_alone[order.places[i]].rounds;
    pair.head = point.head_alone[order.places[i]].rounds;
  }
  const std::size_t common = std::min(pair.base.size(), pair.head.size());
  pair.base.resize(common);
  pair.head.resize(common);
  if (order.exchanged[i]) {
    std::swap(pair.base, pair.head);
  }
  return pair;
}

void Draw::shorten(GatePair& pair) const {
  const auto most = static_cast<std::size_t>(setting_.plan->rounds);
  if (most > 0 && pair.base.size() > most) {
    pair.base.resize(most);
    pair.head.resize(most);
  }
}

/// A slower `full` is also slower where it stood beside the variants of its group.
void Draw::slow_down(GatePair& pair, std::size_t p) const {
  if (setting_.plan->inject == 0) {
    return;
  }
  const GatePoint& at = gate_.points[injected_];
  const bool full_of_group = at.variant == "full" && gate_.points[p].group == at.group;
  for (GateRound& round : pair.head) {
    round.ns *= p == injected_ ? 1 + setting_.plan->inject : 1;
    round.full_ns *= full_of_group ? 1 + setting_.plan->inject : 1;
  }
}

}  // namespace deformer
