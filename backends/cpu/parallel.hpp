#pragma once
/// A parallel loop whose body may throw: the first exception is rethrown after the loop.

#include <cstdint>
#include <exception>

namespace deformer {

template <typename Body>
void parallel_for_throwing(std::int64_t count, int threads, const Body& body) {
  std::exception_ptr first;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (std::int64_t i = 0; i < count; ++i) {
    try {
      body(i);
    } catch (...) {
#pragma omp critical(deformer_first_exception)
      if (!first) {
        first = std::current_exception();
      }
    }
  }
  if (first) {
    std::rethrow_exception(first);
  }
}

}  // namespace deformer
