#pragma once
/// The order in which a thread asks for weights that come from memory, ahead of where it reads.
///
/// A core has 16 line buffers; a line from memory (178 ns on a virtual Sapphire Rapids) keeps one
/// long, and only the processor's own prefetcher, which follows a stream inside its page of 4 KiB,
/// brings lines without one. So kPages pages are fetched at a time, a line of each in turns, and
/// each is begun an eighth of a page after the one before: what the prefetcher misses at every
/// beginning then does not come all at once. Products of bert-base at 27 rows, 2 threads, weights
/// from memory, ms: four streams inside a page of 4 KiB 14.6, eight pages that begin together 11.8,
/// these eight 11.1 to 11.4 (a noisier time: 11.9, four 12.9, sixteen 12.0); loads that use nothing
/// of it 9.2 to 10.4.

#include <cstdint>

namespace deformer {

/// What one thread reads: whole pages in the order of memory, then others.
struct WeightStream {
  static constexpr std::int64_t kPages = 8;
  static constexpr std::int64_t kPageFloats = 1024;
  static constexpr std::int64_t kLineFloats = 16;
  static constexpr std::int64_t kPageLines = kPageFloats / kLineFloats;
  /// Lines that have been asked for lie at least these many pages ahead of what is read.
  static constexpr std::int64_t kAhead = 4;

  const float* first = nullptr;  ///< where the thread begins to read; a page's beginning
  std::int64_t pages = 0;        ///< whole pages it reads from there
  const float* then = nullptr;   ///< where it goes on; `first` once more when nobody knows

  /// What to fetch while line `read`, counted from `first`, is read: as `read` goes up, each line
  /// of each page comes once.
  const float* fetched(std::int64_t read) const {
    constexpr std::uint64_t kStreams = kPages;
    constexpr std::uint64_t kLines = kPageLines;
    const auto turn = static_cast<std::uint64_t>(read + kAhead * kPageLines);
    const std::uint64_t stream = turn % kStreams;
    const std::uint64_t line = turn / kStreams + (kStreams - 1 - stream) * (kLines / kStreams);
    const auto page = static_cast<std::int64_t>(line / kLines * kStreams + stream);
    const float* from = page < pages ? first : then - pages * kPageFloats;
    return from + page * kPageFloats + static_cast<std::int64_t>(line % kLines) * kLineFloats;
  }
};

}  // namespace deformer
