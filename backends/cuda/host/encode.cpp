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

namespace {

void decode_all(std::vector<float>& values, Element element, const std::byte* from, float scale) {
  switch (element) {
    case Element::f32:
      decode_as<float>(from, scale, values);
      break;
    case Element::bf16:
      decode_as<Bf16>(from, scale, values);
      break;
    case Element::f16:
      decode_as<F16>(from, scale, values);
      break;
    case Element::e4m3:
      decode_as<E4m3>(from, scale, values);
      break;
  }
}

}  // namespace

std::vector<float> decode(Element element, const std::byte* from, std::int64_t count, float scale) {
  std::vector<float> values(static_cast<std::size_t>(count));
  decode_all(values, element, from, scale);
  return values;
}

void decode_into(std::vector<float>& to, Element element, const std::byte* from,
                 std::int64_t count) {
  to.resize(static_cast<std::size_t>(count));
  decode_all(to, element, from, 1.0F);
}

}  // namespace deformer::cuda
