#pragma once
/// A point: one configuration that can be measured. Its name, its canonical JSON, its keys.

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/shape.hpp"
#include "model/types.hpp"

namespace deformer {

struct Point {
  std::string model;          ///< printable: built-in name, or basename@8hex
  std::string weights;        ///< hex SHA-256 of a real checkpoint's weights; empty for seeded ones
  std::string task;           ///< empty without a task
  std::int64_t question = 0;  ///< tokens; the maximum of a ragged batch
  std::int64_t passage = 0;
  std::int64_t batch = 1;
  std::int64_t r = 1;  ///< questions per item
  std::int64_t c = 1;  ///< candidates (passages) per item
  Order order = Order::question_first;
  Variant variant = Variant::full;
  std::int64_t split = 0;  ///< meaningless for full
  std::string backend = "cpu";
  DType dtype = DType::f32;
  DType cache_dtype = DType::f32;            ///< meaningful for cached only
  std::int64_t passages = 0;                 ///< --passages; 0 automatic; cached only
  CachePlace cache_at = CachePlace::device;  ///< meaningful for cached only
  bool cold = false;  ///< the device's last-level cache is emptied before each forward
  int threads = 1;
  int instances = 1;
  std::uint64_t seed = 1;
  std::string lengths;  ///< empty for fixed; "uniform:LO-HI"; "file:8hex of its content"
  std::string text;     ///< empty, or 8 hex of the texts' content

  /// Lengths drawn for this point's batch; the same for every variant of a group.
  /// Not part of the identity.
  Shape shape;
};

/// `bert-base/squad/q27/p293/k9/b1/cached/cpu/f32/t2`; parts at their default are left out.
std::string point_name(const Point& point);

/// The resolved point as JSON (keys sorted). Always: model question passage batch variant backend
/// dtype threads seed; `split` unless full; `cache_dtype` if cached; weights task order r c lengths
/// text instances passages cache_at cold only when they differ from their neutral value.
nlohmann::json point_json(const Point& point);

/// Reads it back. @throws BadInput naming the field.
Point point_from_json(const nlohmann::json& json);

/// First 16 hex digits of SHA-256 of the canonical JSON (sorted keys, no spaces).
std::string point_key(const Point& point);
/// The same without variant, split and all that applies only to cached.
std::string group_key(const Point& point);
std::string point_key(const nlohmann::json& point);
std::string group_key(const nlohmann::json& point);

}  // namespace deformer
