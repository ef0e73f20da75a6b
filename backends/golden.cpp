#include "backends/golden.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "cache/codec.hpp"
#include "model/error.hpp"
#include "model/json_input.hpp"
#include "model/safetensors.hpp"

namespace deformer {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxJsonBytes = std::int64_t{64} << 20;

/// Reads the cases of one golden directory; messages name the file and the case.
class Reader {
 public:
  Reader(const std::filesystem::path& dir, const ModelConfig& config)
      : config_(config),
        json_path_((dir / "golden.json").string()),
        tensors_(SafetensorsFile::open(dir / "golden.safetensors")) {}

  std::vector<GoldenCase> read() {
    const json root = parse_json_object(read_text_file(json_path_, kMaxJsonBytes), json_path_);
    where_ = json_path_;
    if (integer(root, "format") != 1) {
      fail(fmt::format("expected \"format\": 1, found {}; this build reads format 1 only",
                       describe(root["format"])));
    }
    Order order = config_.family == Family::xlnet ? Order::passage_first : Order::question_first;
    order = order_or(root, order);
    const auto cases = root.find("cases");
    if (cases == root.end() || !cases->is_array() || cases->empty()) {
      fail(fmt::format("expected \"cases\", an array of at least one case, found {}",
                       cases == root.end() ? "none" : describe(*cases)));
    }
    std::vector<GoldenCase> result;
    std::set<std::string> names;
    for (const json& entry : *cases) {
      where_ = fmt::format("{}: case {}", json_path_, result.size());
      result.push_back(read_case(entry, order));
      if (!names.insert(result.back().name).second) {
        fail(fmt::format("the name {} occurs twice; expected each once",
                         in_quotes(result.back().name)));
      }
    }
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw BadInput(fmt::format("{}: {}", where_, message));
  }

  const std::string& text(const json& object, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_string() ||
        found->get_ref<const std::string&>().empty()) {
      fail(fmt::format("expected \"{}\", a string that is not empty, found {}", key,
                       found == object.end() ? "none" : describe(*found)));
    }
    return found->get_ref<const std::string&>();
  }

  std::int64_t integer(const json& object, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_number_integer() ||
        (found->is_number_unsigned() && found->get<std::uint64_t>() > INT64_MAX)) {
      fail(fmt::format("expected \"{}\", an integer, found {}", key,
                       found == object.end() ? "none" : describe(*found)));
    }
    return found->get<std::int64_t>();
  }

  Order order_or(const json& object, Order fallback) const {
    if (!object.contains("order")) {
      return fallback;
    }
    const auto order = parse_order(text(object, "order"));
    if (!order) {
      fail(fmt::format("order: expected question-first or passage-first, found {}",
                       describe(object["order"])));
    }
    return *order;
  }

  GoldenCase read_case(const json& entry, Order order) {
    if (!entry.is_object()) {
      fail(fmt::format("expected an object, found {}", describe(entry)));
    }
    GoldenCase result;
    result.name = text(entry, "name");
    where_ = fmt::format("{}: case {}", json_path_, in_quotes(result.name));
    const auto variant = parse_variant(text(entry, "variant"));
    if (!variant) {
      fail(fmt::format("variant: expected full, decomposed or cached, found {}",
                       describe(entry["variant"])));
    }
    result.variant = *variant;
    result.order = order_or(entry, order);
    if (result.variant != Variant::full) {
      result.split = integer(entry, "split");
      check_split(result.split);
    }
    read_tensors(entry, result);
    return result;
  }

  void check_split(std::int64_t split) const {
    if (split < 0 || split > config_.layers) {
      fail(fmt::format("split: expected 0 to {} (the model's layers), found {}", config_.layers,
                       split));
    }
  }

  void read_tensors(const json& entry, GoldenCase& result) const {
    result.question_ids = ids(entry, "question_ids");
    result.passage_ids = ids(entry, "passage_ids");
    try {
      result.shape();
    } catch (const BadInput& error) {
      fail(error.what());
    }
    const auto tokens =
        static_cast<std::int64_t>(result.question_ids.size() + result.passage_ids.size());
    result.expected = values(entry, "output", {tokens, config_.d_model});
    if (entry.contains("head")) {
      result.expected_head = values(entry, "head", head_shape(tokens));
    }
  }

  std::vector<std::int64_t> head_shape(std::int64_t tokens) const {
    switch (config_.head) {
      case HeadKind::span:
        return {tokens, 2};
      case HeadKind::classes:
        return {1, config_.classes};
      case HeadKind::none:
        break;
    }
    fail("it has a \"head\", but the model's weights have none");
  }

  const StoredTensor& tensor(const json& entry, const char* key) const {
    const std::string& name = text(entry, key);
    const StoredTensor* found = tensors_.find(name);
    if (found == nullptr) {
      fail(fmt::format("{}: expected a tensor {} in {}, found none", key, in_quotes(name),
                       tensors_.path().string()));
    }
    return *found;
  }

  std::vector<std::int32_t> ids(const json& entry, const char* key) const {
    const StoredTensor& stored = tensor(entry, key);
    if (stored.dtype != "I32" || stored.shape.size() != 2 || stored.shape[0] != 1 ||
        stored.shape[1] < 1) {
      fail(fmt::format("{}: expected I32 [1, tokens], found {} [{}]", key, stored.dtype,
                       fmt::join(stored.shape, ", ")));
    }
    std::vector<std::int32_t> result = read_int32(stored);
    const auto bad = std::ranges::find_if(
        result, [&](std::int32_t id) { return id < 0 || id >= config_.vocab_size; });
    if (bad != result.end()) {
      fail(fmt::format("{}: expected ids from 0 to {}, found {} at token {}", key,
                       config_.vocab_size - 1, *bad, bad - result.begin()));
    }
    return result;
  }

  std::vector<float> values(const json& entry, const char* key,
                            const std::vector<std::int64_t>& shape) const {
    const StoredTensor& stored = tensor(entry, key);
    if (stored.dtype != "F32" || stored.shape != shape) {
      fail(fmt::format("{}: expected F32 [{}], found {} [{}]", key, fmt::join(shape, ", "),
                       stored.dtype, fmt::join(stored.shape, ", ")));
    }
    std::vector<float> result(static_cast<std::size_t>(stored.elements()));
    widen(stored, result);
    if (!std::ranges::all_of(result, [](float value) { return std::isfinite(value); })) {
      fail(fmt::format("{}: expected finite values, found a NaN or an infinity", key));
    }
    return result;
  }

  const ModelConfig& config_;
  std::string json_path_;
  SafetensorsFile tensors_;
  std::string where_;
};

/// The passage's rows at the split, encoded as they would be cached.
std::vector<std::byte> encode_passage(Model& model, const GoldenCase& golden,
                                      SessionOptions options) {
  const ModelConfig& config = model.config();
  options.cache_at = CachePlace::device;  // of no meaning here
  const Plan prefill = make_prefill_plan(config, golden.split, golden.order);
  const auto session = model.prepare(prefill, golden.shape(), options);
  Inputs inputs = golden.inputs();
  inputs.question_ids = {};
  session->run(inputs);
  const auto tokens = static_cast<std::int64_t>(golden.passage_ids.size());
  std::vector<std::byte> encoded(
      static_cast<std::size_t>(encoded_bytes(options.cache_dtype, tokens, config.d_model)));
  encode_rows(options.cache_dtype, session->output(), config.d_model, encoded);
  return encoded;
}

}  // namespace

Shape GoldenCase::shape() const {
  return uniform_shape(1, static_cast<std::int64_t>(question_ids.size()),
                       static_cast<std::int64_t>(passage_ids.size()));
}

Inputs GoldenCase::inputs() const {
  return {question_ids, passage_ids, {}};
}

GoldenSet read_golden(const std::filesystem::path& dir, const std::filesystem::path& weights_dir) {
  const std::filesystem::path& source = weights_dir.empty() ? dir : weights_dir;
  GoldenSet result;
  result.weights = open_checkpoint(source, source);
  result.cases = Reader(dir, result.weights->config()).read();
  return result;
}

CaseOutput run_golden_case(Model& model, const GoldenCase& golden, const SessionOptions& options) {
  std::vector<std::byte> encoded;
  std::unique_ptr<PoolMemory> memory;
  std::vector<const std::byte*> passages;
  Inputs inputs = golden.inputs();
  if (golden.variant == Variant::cached) {
    encoded = encode_passage(model, golden, options);
    passages = {encoded.data()};
    memory = model.pool_memory(options.cache_at, static_cast<std::int64_t>(encoded.size()));
    if (memory) {
      memory->write(0, encoded);
      passages = {memory->address()};
    }
    inputs.passage_ids = {};
    inputs.cached_passages = passages;
  }
  const Plan plan = make_plan(model.config(), golden.variant, golden.split, golden.order);
  const auto session = model.prepare(plan, golden.shape(), options);
  session->run(inputs);
  const auto rows = session->output();
  const auto head = session->head_output();
  return {{rows.begin(), rows.end()}, {head.begin(), head.end()}};
}

}  // namespace deformer
