#pragma once
/// What recording ranges takes, replayed without the work around it: an estimate of its own beside
/// the paired runs, whose noise on a long forward is a thousand times more than that.

#include "profilers/range_tree.hpp"

namespace deformer {

/// Nanoseconds of one run on thread 0: opening and closing the run and its phases, a cursor past
/// every leaf, and adding the run to sums; the median of many. Barriers are not in it: all but one
/// a phase are met without recording, too. `opened`: whether leaves are opened and closed rather
/// than passed, as phases are at
/// `--detail phase`.
double replayed_recording_ns(const RangeLog& log, bool opened);

}  // namespace deformer
