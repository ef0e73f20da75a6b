#pragma once
/// Another program that is asked by lines and answers by lines. It is always reaped, together with
/// whatever it started in its process group; nothing waits for it without end.

#include <sys/types.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace deformer {

/// What a child did instead of answering. The message says it in words, with the end of what the
/// child wrote to stderr.
class ChildFailure : public std::runtime_error {
 public:
  enum class Kind {
    ended,      ///< it exited, or a signal ended it
    timed_out,  ///< it did not answer, or did not read, in time
    too_long,   ///< a line longer than any answer
  };
  ChildFailure(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// SIGINT or SIGTERM came while we waited for a child.
class ChildInterrupted : public std::runtime_error {
 public:
  ChildInterrupted() : std::runtime_error("interrupted") {}
};

/// posix_spawn's own errors do not tell these apart on every file system. @throws BadInput when
/// `program` is missing, no regular file or may not be executed.
void check_program(const std::string& program);

class ChildProcess {
 public:
  /// Starts `program` (a path; the search path is not looked at) in a process group of its own, the
  /// three standard streams connected to us. SIGPIPE must be ignored in this process.
  /// @throws BadInput when it can't be started: missing, a folder, not executable, no program.
  ChildProcess(const std::string& program, const std::vector<std::string>& arguments);
  /// Kills and reaps it.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// @throws ChildFailure, ChildInterrupted.
  void write_line(const std::string& line, double timeout_s);
  std::string read_line(double timeout_s);

  /// Closes its stdin and waits for its end; kills it after `timeout_s`.
  void finish(double timeout_s);

  pid_t pid() const { return pid_; }
  /// The last of what it wrote to stderr, at most 2 kB.
  std::string last_words() const;

 private:
  enum class Wait { readable, writable };
  void poll_until(Wait what, double deadline_s);
  void drain_errors();
  bool take_output();
  [[noreturn]] void fail_ended();
  bool wait_for_end(double timeout_s);
  void kill_and_reap();
  void close_all();

  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
  bool reaped_ = false;
  std::string ending_;  ///< "exit code 1", "signal 11 (Segmentation fault)"
  std::string buffer_;
  std::size_t searched_ = 0;  ///< bytes of the buffer known to hold no newline
  std::string errors_;
};

}  // namespace deformer
