#pragma once
/// Counts what code of the test program asks the heap for, from any thread. Shared libraries
/// (oneDNN) keep their own books; our rooms are linked into the program, so theirs count.
/// A program that links allocation_count.cpp has its operator new replaced.

#include <functional>

namespace deformer {

/// Calls of operator new while `action` runs. Not to be nested.
int allocations_during(const std::function<void()>& action);

}  // namespace deformer
