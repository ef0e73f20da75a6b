#include "profilers/memory_sampler.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "profilers/clock.hpp"

extern char** environ;

namespace deformer {

std::optional<MemorySample> sample_memory(pid_t process) {
  MemorySample sample;
  sample.ns = now_ns();
  std::ifstream statm(fmt::format("/proc/{}/statm", process));
  std::int64_t size = 0;
  std::int64_t resident = 0;
  std::ifstream stat(fmt::format("/proc/{}/stat", process));
  std::string line;
  if (!(statm >> size >> resident) || !std::getline(stat, line)) {
    return std::nullopt;
  }
  sample.rss_bytes = resident * sysconf(_SC_PAGESIZE);
  // The name, in brackets, may hold anything; fields 3 to 9 follow it, then minflt cminflt majflt
  // (proc(5)).
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string skipped;
  for (int i = 3; i <= 9; ++i) {
    fields >> skipped;
  }
  std::int64_t of_children = 0;
  if (!(fields >> sample.minor_faults >> of_children >> sample.major_faults)) {
    return std::nullopt;
  }
  return sample;
}

namespace {

/// A process starts on the processors of the thread that made it, which may be bound to one where
/// it measures. The kernel cuts the mask to what there is and the cgroup allows (sched(7)).
void run_anywhere() {
  constexpr std::size_t kMostProcessors = 8192;  // more than CPU_SETSIZE: the kernel's own limit
  std::array<unsigned long, kMostProcessors / (8 * sizeof(unsigned long))> words;
  words.fill(~0UL);
  cpu_set_t* set = reinterpret_cast<cpu_set_t*>(words.data());
  // Where it is refused, samples come all the same.
  static_cast<void>(sched_setaffinity(0, sizeof words, set));
}

}  // namespace

void serve_memory_samples(pid_t process, std::int64_t period_us) {
  run_anywhere();
  pollfd input{STDIN_FILENO, POLLIN, 0};
  while (const auto sample = sample_memory(process)) {
    fmt::print("{} {} {} {}\n", sample->ns, sample->rss_bytes, sample->minor_faults,
               sample->major_faults);
    if (std::fflush(stdout) != 0 || poll(&input, 1, 0) != 0) {
      return;
    }
    usleep(static_cast<useconds_t>(period_us));
  }
}

MemorySampler::MemorySampler(const std::string& program, std::int64_t period_us) {
  std::array<int, 2> in{-1, -1};
  std::array<int, 2> out{-1, -1};
  if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0) {
    missing_ = fmt::format("no pipe to the sampling process: {}", std::strerror(errno));
    if (in[0] >= 0) {  // the second failed
      close(in[0]);
      close(in[1]);
    }
    return;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::string verb = "sample-memory";
  std::string pid = std::to_string(getpid());
  std::string period = std::to_string(period_us);
  std::string name = program;
  std::array<char*, 5> arguments{name.data(), verb.data(), pid.data(), period.data(), nullptr};
  const int error =
      posix_spawn(&child_, program.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  to_child_ = in[1];
  from_child_ = out[0];
  // Room for all its lines: it must never wait for us to read.
  static_cast<void>(fcntl(from_child_, F_SETPIPE_SZ, 1 << 20));
  if (error != 0) {
    child_ = -1;
    missing_ = fmt::format("the sampling process did not start: {}", std::strerror(error));
  }
}

MemorySampler::~MemorySampler() {
  static_cast<void>(stop());
}

std::vector<MemorySample> MemorySampler::stop() {
  std::vector<MemorySample> samples;
  if (to_child_ >= 0) {
    close(to_child_);
    to_child_ = -1;
  }
  if (child_ > 0) {
    std::string text;
    std::array<char, 65536> block{};
    for (ssize_t got = 0; (got = read(from_child_, block.data(), block.size())) > 0;) {
      text.append(block.data(), static_cast<std::size_t>(got));
    }
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    std::istringstream lines(text);
    for (MemorySample sample;
         lines >> sample.ns >> sample.rss_bytes >> sample.minor_faults >> sample.major_faults;) {
      samples.push_back(sample);
    }
    missing_ = samples.empty() ? "the sampling process saw nothing" : missing_;
  }
  if (from_child_ >= 0) {
    close(from_child_);
    from_child_ = -1;
  }
  return samples;
}

}  // namespace deformer
