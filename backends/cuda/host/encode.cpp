#include "backends/cuda/host/encode.hpp"

#include <cstring>

#include "backends/cuda/kernels/numbers.cuh"

namespace deformer::cuda {
namespace {

template <class T>
void encode_as(std::span<const float> values, float scale, std::byte* out) {
  for (const float value : values) {
    const T stored = Rounded<T>::from(scale == 1.0F ? value : value / scale);
    std::memcpy(out, &stored, sizeof stored);
    out += sizeof stored;
  }
}

template <class T>
void decode_as(const std::byte* from, float scale, std::span<float> out) {
  for (float& value : out) {
    T stored;
    std::memcpy(&stored, from, sizeof stored);
    value = to_float(stored) * scale;
    from += sizeof stored;
  }
}

}  // namespace

std::vector<std::byte> encode(Element element, std::span<const float> values, float scale) {
  std::vector<std::byte> bytes(values.size() * static_cast<std::size_t>(bytes_of(element)));
  switch (element) {
    case Element::f32:
      encode_as<float>(values, scale, bytes.data());
      break;
    case Element::bf16:
      encode_as<Bf16>(values, scale, bytes.data());
      break;
    case Element::f16:
      encode_as<F16>(values, scale, bytes.data());
      break;
    case Element::e4m3:
      encode_as<E4m3>(values, scale, bytes.data());
      break;
  }
  return bytes;
}

void decode_into(std::vector<float>& to, Element element, const std::byte* from, std::int64_t count,
                 float scale) {
  to.resize(static_cast<std::size_t>(count));
  switch (element) {
    case Element::f32:
      decode_as<float>(from, scale, to);
      break;
    case Element::bf16:
      decode_as<Bf16>(from, scale, to);
      break;
    case Element::f16:
      decode_as<F16>(from, scale, to);
      break;
    case Element::e4m3:
      decode_as<E4m3>(from, scale, to);
      break;
  }
}

std::vector<float> decode(Element element, const std::byte* from, std::int64_t count, float scale) {
  std::vector<float> values;
  decode_into(values, element, from, count, scale);
  return values;
}

}  // namespace deformer::cuda
