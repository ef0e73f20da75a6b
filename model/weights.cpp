#include "model/weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace deformer {
namespace {

/// Which families have a role.
enum class Has { all, bert, xlnet };
enum class Size { d, d_ff, vocab, positions, types, outputs, none };

struct RoleInfo {
  Role role;
  std::string_view name;
  bool per_layer;
  Has has;
  Size rows;
  Size columns;  ///< `none` for a vector
};

/// One line a role, in the order of `needed_tensors`.
constexpr std::array kRoles = {
    RoleInfo{Role::word_embedding, "word_embedding", false, Has::all, Size::vocab, Size::d},
    RoleInfo{Role::position_embedding, "position_embedding", false, Has::bert, Size::positions,
             Size::d},
    RoleInfo{Role::type_embedding, "type_embedding", false, Has::bert, Size::types, Size::d},
    RoleInfo{Role::embedding_norm_weight, "embedding_norm_weight", false, Has::bert, Size::d,
             Size::none},
    RoleInfo{Role::embedding_norm_bias, "embedding_norm_bias", false, Has::bert, Size::d,
             Size::none},
    RoleInfo{Role::query_weight, "query_weight", true, Has::all, Size::d, Size::d},
    RoleInfo{Role::query_bias, "query_bias", true, Has::bert, Size::d, Size::none},
    RoleInfo{Role::key_weight, "key_weight", true, Has::all, Size::d, Size::d},
    RoleInfo{Role::key_bias, "key_bias", true, Has::bert, Size::d, Size::none},
    RoleInfo{Role::value_weight, "value_weight", true, Has::all, Size::d, Size::d},
    RoleInfo{Role::value_bias, "value_bias", true, Has::bert, Size::d, Size::none},
    RoleInfo{Role::position_weight, "position_weight", true, Has::xlnet, Size::d, Size::d},
    RoleInfo{Role::content_bias, "content_bias", true, Has::xlnet, Size::d, Size::none},
    RoleInfo{Role::position_bias, "position_bias", true, Has::xlnet, Size::d, Size::none},
    RoleInfo{Role::segment_bias, "segment_bias", true, Has::xlnet, Size::d, Size::none},
    RoleInfo{Role::segment_embedding, "segment_embedding", true, Has::xlnet, Size::types, Size::d},
    RoleInfo{Role::attention_out_weight, "attention_out_weight", true, Has::all, Size::d, Size::d},
    RoleInfo{Role::attention_out_bias, "attention_out_bias", true, Has::bert, Size::d, Size::none},
    RoleInfo{Role::attention_norm_weight, "attention_norm_weight", true, Has::all, Size::d,
             Size::none},
    RoleInfo{Role::attention_norm_bias, "attention_norm_bias", true, Has::all, Size::d, Size::none},
    RoleInfo{Role::ffn1_weight, "ffn1_weight", true, Has::all, Size::d_ff, Size::d},
    RoleInfo{Role::ffn1_bias, "ffn1_bias", true, Has::all, Size::d_ff, Size::none},
    RoleInfo{Role::ffn2_weight, "ffn2_weight", true, Has::all, Size::d, Size::d_ff},
    RoleInfo{Role::ffn2_bias, "ffn2_bias", true, Has::all, Size::d, Size::none},
    RoleInfo{Role::ffn_norm_weight, "ffn_norm_weight", true, Has::all, Size::d, Size::none},
    RoleInfo{Role::ffn_norm_bias, "ffn_norm_bias", true, Has::all, Size::d, Size::none},
    RoleInfo{Role::pooler_weight, "pooler_weight", false, Has::all, Size::d, Size::d},
    RoleInfo{Role::pooler_bias, "pooler_bias", false, Has::all, Size::d, Size::none},
    RoleInfo{Role::head_weight, "head_weight", false, Has::all, Size::outputs, Size::d},
    RoleInfo{Role::head_bias, "head_bias", false, Has::all, Size::outputs, Size::none},
};

const RoleInfo& info_of(Role role) {
  const auto found =
      std::ranges::find_if(kRoles, [role](const RoleInfo& info) { return info.role == role; });
  if (found == kRoles.end()) {
    throw std::invalid_argument(fmt::format("no tensor role {}", static_cast<int>(role)));
  }
  return *found;
}

std::int64_t size_of(const ModelConfig& config, Size size) {
  switch (size) {
    case Size::d:
      return config.d_model;
    case Size::d_ff:
      return config.d_ff;
    case Size::vocab:
      return config.vocab_size;
    case Size::positions:
      return config.max_positions;
    case Size::types:
      return config.type_vocab_size;
    case Size::outputs:
      return config.head == HeadKind::classes ? config.classes : 2;
    case Size::none:
      break;
  }
  return 1;
}

/// Whether a model of this configuration has tensors of that role at all.
bool has_role(const ModelConfig& config, const RoleInfo& info) {
  switch (info.role) {
    case Role::pooler_weight:
    case Role::pooler_bias:
      return config.head == HeadKind::classes;
    case Role::head_weight:
    case Role::head_bias:
      return config.head != HeadKind::none;
    default:
      return info.has == Has::all ||
             info.has == (config.family == Family::xlnet ? Has::xlnet : Has::bert);
  }
}

void require_tensor(const ModelConfig& config, TensorId id) {
  const RoleInfo& info = info_of(id.role);
  const bool layer_ok = info.per_layer ? id.layer >= 0 && id.layer < config.layers : id.layer == -1;
  if (!layer_ok || !has_role(config, info)) {
    throw std::invalid_argument(fmt::format("{} has no tensor '{}' ({} layers)", config.name,
                                            to_string(id), config.layers));
  }
}

void require_size(TensorId id, std::int64_t expected, std::size_t found) {
  if (static_cast<std::size_t>(expected) != found) {
    throw std::invalid_argument(fmt::format("tensor '{}': expected room for {} elements, found {}",
                                            to_string(id), expected, found));
  }
}

}  // namespace

std::string to_string(TensorId id) {
  const std::string_view name = info_of(id.role).name;
  return id.layer < 0 ? std::string(name) : fmt::format("layer {} {}", id.layer, name);
}

std::vector<std::int64_t> tensor_shape(const ModelConfig& config, TensorId id) {
  const RoleInfo& info = info_of(id.role);
  std::vector<std::int64_t> shape = {size_of(config, info.rows)};
  if (info.columns != Size::none) shape.push_back(size_of(config, info.columns));
  return shape;
}

std::vector<TensorId> needed_tensors(const ModelConfig& config) {
  const auto first_layer_role = std::ranges::find_if(kRoles, &RoleInfo::per_layer);
  const auto after_layers =
      std::find_if_not(first_layer_role, kRoles.end(), [](const auto& r) { return r.per_layer; });
  std::vector<TensorId> ids;
  const auto append = [&](auto begin, auto end, std::int64_t layer) {
    for (auto info = begin; info != end; ++info) {
      if (has_role(config, *info)) ids.push_back({info->role, layer});
    }
  };
  append(kRoles.begin(), first_layer_role, -1);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    append(first_layer_role, after_layers, layer);
  }
  append(after_layers, kRoles.end(), -1);
  return ids;
}

void WeightSource::read(TensorId id, std::span<float> out) const {
  require_tensor(config_, id);
  std::int64_t elements = 1;
  for (const std::int64_t extent : tensor_shape(config_, id)) elements *= extent;
  require_size(id, elements, out.size());
  do_read(id, 0, out);
}

void WeightSource::read_rows(Role table, std::int64_t first, std::span<float> out) const {
  const TensorId id{table, -1};
  require_tensor(config_, id);
  if (table != Role::word_embedding && table != Role::position_embedding &&
      table != Role::type_embedding) {
    throw std::invalid_argument(fmt::format("'{}' is not an embedding table", to_string(id)));
  }
  const auto width = static_cast<std::size_t>(config_.d_model);
  if (out.size() % width != 0) {
    throw std::invalid_argument(
        fmt::format("table '{}': expected room for whole rows of {}, found {}", to_string(id),
                    width, out.size()));
  }
  const auto rows = static_cast<std::int64_t>(out.size() / width);
  const std::int64_t stored = size_of(config_, info_of(table).rows);
  const bool grows = table == Role::position_embedding && config_.positions_grow;
  if (first < 0 || (!grows && (first > stored || rows > stored - first))) {
    throw std::invalid_argument(fmt::format("table '{}' has {} rows, asked for {} from row {}",
                                            to_string(id), stored, rows, first));
  }
  do_read(id, first * config_.d_model, out);
}

}  // namespace deformer
