#pragma once
/// From what a user asks for to the points of a sweep: axes, defaults, and the groups they form.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/config.hpp"
#include "model/weights.hpp"
#include "workloads/lengths.hpp"
#include "workloads/point.hpp"

namespace deformer {

/// A model as named on the command line.
struct ModelChoice {
  std::string argument;
  ModelConfig config;
  std::filesystem::path directory;                 ///< empty for a built-in model
  std::shared_ptr<const WeightSource> checkpoint;  ///< open for a directory; null for a built-in
};

/// A built-in name or a directory in the Hugging Face layout. Without `weights_needed` a directory
/// that holds only `config.json` will do (its name is then the plain basename).
/// @throws BadInput naming the choices.
ModelChoice resolve_model(const std::string& argument, bool weights_needed = true);

/// What was asked for. Empty lists mean the default: it depends on model or task where the
/// interface says so.
struct SweepSpec {
  std::vector<ModelChoice> models;
  std::vector<std::string> tasks;
  std::vector<std::int64_t> splits, batches, questions, passages, r, c, threads, instances;
  std::vector<Variant> variants;
  std::vector<std::string> backends;
  std::vector<DType> dtypes, cache_dtypes;
  std::vector<CachePlace> cache_places;
  std::vector<Order> orders;
  Lengths lengths;
  std::filesystem::path text_file, questions_file;
  std::uint64_t seed = 1;
  std::int64_t pool_passages = 0;
  bool cold = false;
  std::string filter;  ///< ECMAScript regular expression on names; empty keeps all
  int default_threads = 1;
};

/// Why a point is not measured.
enum class Skip { no, impossible, unavailable };

struct PlannedPoint {
  Point point;
  std::string name;
  std::string key;
  Skip skip = Skip::no;
  std::string reason;
};

/// The variants and splits of one shape; full first if it is there.
struct PlannedGroup {
  std::string key;
  std::size_t model = 0;  ///< index into SweepSpec::models
  ModelConfig config;     ///< with the head the task calls for
  std::vector<PlannedPoint> points;
};

/// Every point of the spec, in the order of its axes. Points that can't be (split beyond the
/// layers, lengths beyond a real model's position table, XLNet question-first, ...) are marked with
/// the reason.
/// @throws BadInput when something is missing (lengths without a task), contradictory (--text with
/// --lengths), a duplicate, over 1 000 000 points, or when every point is impossible (its reason).
std::vector<PlannedGroup> expand(const SweepSpec& spec);

}  // namespace deformer
