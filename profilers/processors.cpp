#include "profilers/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <cstddef>
#include <optional>

namespace deformer {
namespace {

/// A core's processors that are to be used, and how many of them are taken.
struct Seat {
  const CoreSite* site;
  std::size_t usable = 0;
  std::size_t taken = 0;

  std::size_t free() const { return usable - taken; }
};

/// Opens the first processor of every core, then the second of every core, until there are enough.
std::vector<Seat> open_seats(const std::vector<CoreSite>& cores, std::size_t threads) {
  std::vector<Seat> seats;
  std::size_t widest = 0;
  for (const CoreSite& core : cores) {
    seats.push_back({&core});
    widest = std::max(widest, core.processors.size());
  }
  std::size_t opened = 0;
  for (std::size_t level = 0; level < widest; ++level) {
    for (Seat& seat : seats) {
      const bool one_core_each = level == 0;  // all first ones: teams choose among the cores
      if (level < seat.site->processors.size() && (one_core_each || opened < threads)) {
        ++seat.usable;
        ++opened;
      }
    }
    if (opened >= threads) return seats;
  }
  return {};
}

using Domain = int CoreSite::*;

/// The number of the domain with the fewest free processors of those with room for `threads`.
std::optional<int> fullest_with_room(const std::vector<Seat>& seats, Domain domain,
                                     std::size_t threads) {
  std::optional<int> best;
  std::size_t best_room = 0;
  for (const Seat& candidate : seats) {
    const int number = candidate.site->*domain;
    std::size_t room = 0;
    for (const Seat& seat : seats) room += seat.site->*domain == number ? seat.free() : 0;
    if (room >= threads && (!best || room < best_room)) {
      best = number;
      best_room = room;
    }
  }
  return best;
}

template <typename Accept>
std::vector<int> take(std::vector<Seat>& seats, std::size_t threads, const Accept& accept) {
  std::vector<int> chosen;
  for (Seat& seat : seats) {
    while (accept(*seat.site) && seat.free() > 0 && chosen.size() < threads) {
      chosen.push_back(seat.site->processors[seat.taken++]);
    }
  }
  return chosen;
}

std::vector<int> seat_team(std::vector<Seat>& seats, std::size_t threads) {
  for (const Domain domain : {&CoreSite::cache, &CoreSite::numa}) {
    if (const auto number = fullest_with_room(seats, domain, threads)) {
      return take(seats, threads, [&](const CoreSite& site) { return site.*domain == *number; });
    }
  }
  return take(seats, threads, [](const CoreSite&) { return true; });
}

}  // namespace

Processors choose_processors(const std::vector<CoreSite>& cores, int instances, int threads) {
  const auto team = static_cast<std::size_t>(std::max(threads, 1));
  const auto teams = static_cast<std::size_t>(std::max(instances, 1));
  std::vector<Seat> seats = open_seats(cores, team * teams);
  Processors chosen;
  for (std::size_t i = 0; i < teams && !seats.empty(); ++i) {
    chosen.push_back(seat_team(seats, team));
  }
  return chosen;
}

bool bind_this_thread(const std::vector<int>& processors) {
  if (processors.empty()) return false;
  const auto highest = static_cast<std::size_t>(std::ranges::max(processors));
  const std::size_t bytes = CPU_ALLOC_SIZE(highest + 1);
  std::vector<unsigned long> storage(bytes / sizeof(unsigned long));
  auto* mask = reinterpret_cast<cpu_set_t*>(storage.data());
  for (const int number : processors) CPU_SET_S(static_cast<std::size_t>(number), bytes, mask);
  return sched_setaffinity(0, bytes, mask) == 0;
}

}  // namespace deformer
