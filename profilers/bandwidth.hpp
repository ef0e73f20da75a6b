#pragma once
/// Read and copy bandwidth of one level of memory: every thread streams through a buffer of its
/// own, again and again, with the widest loads and stores the processor has.

#include <cstdint>
#include <memory>
#include <vector>

namespace deformer {

struct Bandwidth {
  double read_gb_per_s = 0;         ///< bytes loaded, 1e9 bytes a second, all threads; best burst
  double read_median_gb_per_s = 0;  ///< median burst
  /// Bytes loaded plus bytes stored, ordinary stores. A line that is fetched before it is stored to
  /// is not counted again, as in STREAM.
  double copy_gb_per_s = 0;
  double copy_median_gb_per_s = 0;
};

class StreamBuffers {
 public:
  /// `bytes` for each of `threads`, rounded down to 4 KiB, at least one of them; touched by the
  /// thread that will use it, in huge pages where granted. @throws std::bad_alloc.
  StreamBuffers(int threads, std::int64_t bytes);

  std::int64_t bytes() const { return bytes_; }  ///< of one thread

  /// Bursts of at least `burst_ns` (and one pass), until `limit_ns` is over, three at least.
  /// Copying goes from the first half of a buffer to the second, so that its working set is that of
  /// reading.
  Bandwidth measure(std::int64_t burst_ns, std::int64_t limit_ns);

 private:
  using Stream = void (*)(char* data, std::int64_t bytes, std::int64_t passes);
  void measure(Stream stream, std::int64_t burst_ns, std::int64_t limit_ns, double& best_gb_per_s,
               double& median_gb_per_s);

  struct Free {
    void operator()(char* pointer) const;
  };
  int threads_;
  std::int64_t bytes_;
  std::vector<std::unique_ptr<char, Free>> buffers_;
};

}  // namespace deformer
