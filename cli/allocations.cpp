// The program counts what it asks the heap for, from any thread and any C++ library: `profile`
// tells it by range.

#include <cstdlib>
#include <new>

#include "profilers/allocations.hpp"

namespace {

void* counted(std::size_t size, std::size_t alignment) {
  deformer::AllocationCount& count = deformer::allocation_count;
  if (!count.counted.load(std::memory_order_relaxed)) {
    count.counted.store(true, std::memory_order_relaxed);
  }
  count.calls.add(1);
  count.bytes.add(static_cast<std::int64_t>(size));
  const std::size_t wanted = size == 0 ? 1 : size;
  void* memory = alignment == 0 ? std::malloc(wanted)
                                : std::aligned_alloc(
                                      alignment, (wanted + alignment - 1) / alignment * alignment);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}

}  // namespace

void* operator new(std::size_t size) {
  return counted(size, 0);
}
void* operator new[](std::size_t size) {
  return counted(size, 0);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
