#pragma once
/// Resident memory and page faults of this process, looked at by another one: sampling from inside
/// would allocate and fault itself, and a thread of ours would share the cores' time unseen.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace deformer {

struct MemorySample {
  std::int64_t ns = 0;  ///< of now_ns()
  std::int64_t rss_bytes = 0;
  std::int64_t minor_faults = 0, major_faults = 0;
};

/// Of any process, from /proc; nullopt when it can't be read (any more).
std::optional<MemorySample> sample_memory(pid_t process);

/// What the sampling process does: a line "ns rss minor major" on stdout every `period_us`, until
/// its stdin closes or `process` ends. On any processor, whatever the caller was bound to.
void serve_memory_samples(pid_t process, std::int64_t period_us);

/// Runs `program sample-memory PID PERIOD_US` beside this process from construction to `stop`.
class MemorySampler {
 public:
  MemorySampler(const std::string& program, std::int64_t period_us);
  ~MemorySampler();
  MemorySampler(const MemorySampler&) = delete;
  MemorySampler& operator=(const MemorySampler&) = delete;

  /// All samples so far; the process is gone afterwards.
  std::vector<MemorySample> stop();
  /// Why there are none, or empty.
  const std::string& missing() const { return missing_; }

 private:
  pid_t child_ = -1;
  int to_child_ = -1, from_child_ = -1;
  std::string missing_;
};

}  // namespace deformer
