#pragma once
/// The two errors that carry an exit code of the interface. Everything else that escapes is a bug
/// or an operating-system failure and is reported as such.

#include <stdexcept>
#include <string>

namespace deformer {

/// What the user gave is wrong: bad usage, or a file that does not hold what it should. Exit
/// code 2. The message says what was expected, what was found, and what to do.
class BadInput : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What the user asked for is right, but this machine or build does not have it. Exit code 3.
class Unavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace deformer
