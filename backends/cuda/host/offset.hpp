#pragma once
/// Addresses in blocks that may not exist yet: a program is made once with null bases, to learn how
/// large they must be, and adding to a null pointer is not defined.

#include <cstddef>
#include <cstdint>

namespace deformer::cuda {

template <class Byte>
Byte* offset(Byte* base, std::int64_t bytes) {
  return reinterpret_cast<Byte*>(reinterpret_cast<std::uintptr_t>(base) +
                                 static_cast<std::uintptr_t>(bytes));
}

}  // namespace deformer::cuda
