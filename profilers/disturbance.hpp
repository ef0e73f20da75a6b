#pragma once
/// Whether somebody else used the processors while something was measured.
///
/// Two things tell it. The kernel's counts (/proc/stat, proc(5)) say how long all processors were
/// busy and how long a hypervisor kept them for others; what of the former was not this process's
/// own CPU time is other processes'. And threads that never wait for anything but each other use as
/// much CPU time as wall time, unless they are held up. A neighbour behind a hypervisor that
/// reports nothing, or one that only uses memory, shows in neither: that is what several rounds are
/// for (roof_rounds.hpp).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace deformer {

/// Time since some moment in the past, of all processors of the machine together.
struct ProcessorTimes {
  std::int64_t busy_ns = 0;    ///< in processes and in the kernel for them, ours included
  std::int64_t stolen_ns = 0;  ///< wanted and not had: a hypervisor gave it to somebody else
  int processors = 0;
};

/// From the text of /proc/stat, in ticks of 1/`ticks_per_s` s. nullopt when it isn't such a text.
std::optional<ProcessorTimes> parse_processor_times(std::string_view stat,
                                                    std::int64_t ticks_per_s);

/// What the clocks said at one moment.
struct Moment {
  std::int64_t wall_ns = 0;
  std::int64_t own_ns = 0;  ///< CPU time of this process, all threads
  ProcessorTimes all;       ///< zeros where the kernel doesn't say
};
Moment this_moment();

/// What others had of the processors between two moments: 0.5 is half of one, or one half the time.
struct Disturbance {
  double others = 0;
  double stolen = 0;
  int processors = 0;  ///< of the machine
};

/// The kernel counts in ticks of 10 ms at most: a few of them are nobody's.
Disturbance disturbance_between(const Moment& from, const Moment& to);

/// Why a measurement with so many threads was disturbed: "other processes took 0.87 of 2
/// processors". Empty when it was not: what fits on the processors that the threads leave free
/// disturbs nobody.
std::string why_disturbed(const Disturbance& disturbance, int threads);

/// Which share of a stretch the threads of a team, which only wait for each other, were running. At
/// most 1.
class RunningShare {
 public:
  explicit RunningShare(int threads);
  double so_far() const;

 private:
  int threads_;
  std::int64_t wall_ns_, own_ns_;
};

/// Below this, something held the threads up. On a quiet machine stretches of 30 ms gave 0.94 and
/// above (a short wake-up of anybody is a few percent of them); beside one busy process on one of
/// two processors 0.8 at most.
inline constexpr double kRunningAll = 0.9;

}  // namespace deformer
