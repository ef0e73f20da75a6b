#include "support/allocation_count.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<bool> counting{false};
std::atomic<int> allocations{0};

const void* module_of(const void* address) {
  Dl_info info{};
  return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

void* take(std::size_t size, void* caller) noexcept {
  if (counting.load(std::memory_order_relaxed) && module_of(caller) == module_of(&counting)) {
    allocations.fetch_add(1);
  }
  return std::malloc(size == 0 ? 1 : size);
}

}  // namespace

// Not inlined, so that the return address is the place that allocates.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* memory = take(size, __builtin_return_address(0))) {
    return memory;
  }
  throw std::bad_alloc();
}
// The standard library's stable_sort takes its buffer here, and gives it to the same delete.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return take(size, __builtin_return_address(0));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace deformer {

int allocations_during(const std::function<void()>& action) {
  allocations = 0;
  counting = true;
  action();
  counting = false;
  return allocations;
}

}  // namespace deformer
