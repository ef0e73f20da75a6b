#include "harness/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "harness/interrupt.hpp"
#include "harness/worker_protocol.hpp"
#include "model/error.hpp"
#include "profilers/clock.hpp"

extern char** environ;

namespace deformer {
namespace {

constexpr std::size_t kErrorsKept = 2048;
/// A signal that comes between looking at the flag and polling is seen after this much.
constexpr int kSliceMs = 200;
/// For a process whose stdout has ended: it is about to end, or will be ended.
constexpr double kEndingSeconds = 2;

double now_s() {
  return static_cast<double>(now_ns()) * 1e-9;
}

/// A pipe whose ends both close when another program is started.
std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{-1, -1};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::system_category(), "no pipe to another process");
  }
  return ends;
}

void make_non_blocking(int descriptor) {
  (void)fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

[[noreturn]] void refuse(const std::string& program, const std::string& why) {
  throw BadInput(
      fmt::format("{}: expected a program that can be run, found that it {}; name a deformer-bench",
                  program, why));
}

/// Starts it in a process group of its own with default signals. Returns 0 or an error number.
int spawn(pid_t& pid, const std::string& program, const std::vector<std::string>& arguments, int in,
          int out, int err) {
  std::vector<char*> words{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) {
    words.push_back(const_cast<char*>(argument.c_str()));
  }
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  (void)posix_spawn_file_actions_init(&actions);
  (void)posix_spawnattr_init(&attributes);
  (void)posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  (void)posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  sigset_t defaults;
  sigset_t none;
  (void)sigfillset(&defaults);
  (void)sigemptyset(&none);
  (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
  (void)posix_spawnattr_setsigmask(&attributes, &none);
  (void)posix_spawnattr_setpgroup(&attributes, 0);
  (void)posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  const int error =
      posix_spawn(&pid, program.c_str(), &actions, &attributes, words.data(), environ);
  (void)posix_spawn_file_actions_destroy(&actions);
  (void)posix_spawnattr_destroy(&attributes);
  return error;
}

std::string ending_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) {
    return fmt::format("exit code {}", info.si_status);
  }
  return fmt::format("signal {} ({})", info.si_status, strsignal(info.si_status));
}

}  // namespace

void check_program(const std::string& program) {
  struct stat status {};
  if (stat(program.c_str(), &status) != 0) {
    refuse(program, fmt::format("can't be found ({})", std::strerror(errno)));
  }
  if (!S_ISREG(status.st_mode)) {
    refuse(program, "is no regular file");
  }
  if (access(program.c_str(), X_OK) != 0) {
    refuse(program, fmt::format("may not be executed ({})", std::strerror(errno)));
  }
}

ChildProcess::ChildProcess(const std::string& program, const std::vector<std::string>& arguments) {
  check_program(program);
  std::vector<std::array<int, 2>> pipes;
  int error = 0;
  try {
    while (pipes.size() < 3) {
      pipes.push_back(make_pipe());
    }
    error = spawn(pid_, program, arguments, pipes[0][0], pipes[1][1], pipes[2][1]);
  } catch (...) {
    for (const auto& ends : pipes) {
      close(ends[0]);
      close(ends[1]);
    }
    throw;
  }
  close(pipes[0][0]);
  close(pipes[1][1]);
  close(pipes[2][1]);
  in_ = pipes[0][1];
  out_ = pipes[1][0];
  err_ = pipes[2][0];
  if (error != 0) {
    close_all();
    refuse(program, fmt::format("can't be started ({})", std::strerror(error)));
  }
  for (const int descriptor : {in_, out_, err_}) {
    make_non_blocking(descriptor);
  }
}

ChildProcess::~ChildProcess() {
  kill_and_reap();
  close_all();
}

void ChildProcess::close_all() {
  for (int* descriptor : {&in_, &out_, &err_}) {
    if (*descriptor >= 0) {
      close(std::exchange(*descriptor, -1));
    }
  }
}

/// The group first, while the child, dead or alive, still holds its number.
void ChildProcess::kill_and_reap() {
  if (pid_ < 0 || reaped_) {
    return;
  }
  (void)kill(-pid_, SIGKILL);
  (void)kill(pid_, SIGKILL);  // it may not have come as far as its own group
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  reaped_ = true;
}

/// Learns how it ended, and leaves it to be reaped.
bool ChildProcess::wait_for_end(double timeout_s) {
  const double deadline_s = now_s() + timeout_s;
  siginfo_t info{};
  while (true) {
    drain_errors();
    info.si_pid = 0;
    const int result = waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    if (result == 0 && info.si_pid == pid_) {
      ending_ = ending_of(info);
      drain_errors();
      return true;
    }
    if ((result != 0 && errno != EINTR) || now_s() > deadline_s) {
      return false;
    }
    usleep(1000);
  }
}

void ChildProcess::finish(double timeout_s) {
  if (in_ >= 0) {
    close(std::exchange(in_, -1));
  }
  if (pid_ >= 0 && !reaped_) {
    (void)wait_for_end(timeout_s);
    kill_and_reap();
  }
}

void ChildProcess::drain_errors() {
  char piece[4096];
  while (err_ >= 0) {
    const ssize_t count = read(err_, piece, sizeof piece);
    if (count <= 0) {
      if (count == 0) {
        close(std::exchange(err_, -1));
      }
      return;
    }
    errors_.append(piece, static_cast<std::size_t>(count));
    if (errors_.size() > 2 * kErrorsKept) {
      errors_.erase(0, errors_.size() - kErrorsKept);
    }
  }
}

std::string ChildProcess::last_words() const {
  std::string text =
      errors_.substr(errors_.size() > kErrorsKept ? errors_.size() - kErrorsKept : 0);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

void ChildProcess::fail_ended() {
  const bool known = wait_for_end(kEndingSeconds);
  std::string words = last_words();
  words = words.empty() ? "; it wrote nothing to stderr" : "; its last words: " + words;
  throw ChildFailure(
      ChildFailure::Kind::ended,
      fmt::format("it ended with {}{}", known ? ending_ : "its stdout closed", words));
}

/// Returns when `what` is possible. Keeps stderr flowing, so that a child that complains a lot does
/// not stop over it.
void ChildProcess::poll_until(Wait what, double deadline_s) {
  while (true) {
    if (interrupted()) {
      throw ChildInterrupted();
    }
    const double left_s = deadline_s - now_s();
    if (left_s <= 0) {
      throw ChildFailure(ChildFailure::Kind::timed_out, what == Wait::readable
                                                            ? "it did not answer in time"
                                                            : "it did not read in time");
    }
    std::array<pollfd, 2> files{
        pollfd{what == Wait::readable ? out_ : in_,
               static_cast<short>(what == Wait::readable ? POLLIN : POLLOUT), 0},
        pollfd{err_, POLLIN, 0}};
    const int slice_ms = std::clamp(static_cast<int>(left_s * 1e3) + 1, 1, kSliceMs);
    const int ready = poll(files.data(), files.size(), slice_ms);
    if (ready > 0 && files[1].revents != 0) {
      drain_errors();
    }
    if (ready > 0 && files[0].revents != 0) {
      return;
    }
  }
}

void ChildProcess::write_line(const std::string& line, double timeout_s) {
  const double deadline_s = now_s() + timeout_s;
  const std::string text = line + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = write(in_, rest.data(), rest.size());
    if (written > 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      poll_until(Wait::writable, deadline_s);
    } else if (errno != EINTR) {
      fail_ended();
    }
  }
}

/// False at the end of its stdout.
bool ChildProcess::take_output() {
  char piece[65536];
  const ssize_t count = read(out_, piece, sizeof piece);
  if (count > 0) {
    buffer_.append(piece, static_cast<std::size_t>(count));
  }
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

std::string ChildProcess::read_line(double timeout_s) {
  const double deadline_s = now_s() + timeout_s;
  while (true) {
    const std::size_t end = buffer_.find('\n', searched_);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      searched_ = 0;
      return line;
    }
    searched_ = buffer_.size();
    if (buffer_.size() > kLongestLine) {
      throw ChildFailure(ChildFailure::Kind::too_long,
                         fmt::format("a line is longer than {} bytes", kLongestLine));
    }
    poll_until(Wait::readable, deadline_s);
    if (!take_output()) {
      fail_ended();
    }
  }
}

}  // namespace deformer
