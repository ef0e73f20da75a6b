#include "model/injection.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "model/error.hpp"
#include "model/layer_cost.hpp"
#include "model/plan.hpp"

namespace deformer {
namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw BadInput(fmt::format(
      "--inject: expected op=NAME[,layer=L],slowdown=P% with 0 < P <= 1000, found '{}': {}", text,
      why));
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

void read_field(Injection& injection, std::string_view text, std::string_view name,
                std::string_view value) {
  if (name == "op" && !value.empty()) {
    injection.operation = value;
  } else if (name == "layer") {
    const auto layer = number<std::int64_t>(value);
    if (!layer || *layer < 0) {
      refuse(text, fmt::format("layer '{}' is not a whole number from 0", value));
    }
    injection.layer = *layer;
  } else if (name == "slowdown" && value.ends_with('%')) {
    const auto percent = number<double>(value.substr(0, value.size() - 1));
    if (!percent || !std::isfinite(*percent) || *percent <= 0 || *percent > 1000) {
      refuse(text, fmt::format("slowdown '{}' is not a percentage in that range", value));
    }
    injection.slowdown = *percent / 100;
  } else {
    refuse(text, fmt::format("'{}={}' is none of them", name, value));
  }
}

std::vector<std::string_view> all_operations(const ModelConfig& config) {
  std::vector<std::string_view> names{"embed", "load", "join"};
  const auto inside = layer_operations(config.family);
  names.insert(names.end(), inside.begin(), inside.end());
  if (config.head != HeadKind::none) {
    names.emplace_back("head");
  }
  return names;
}

}  // namespace

Injection parse_injection(std::string_view text) {
  Injection injection;
  injection.text = text;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view field = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), field.size() + 1));
    const std::size_t equals = field.find('=');
    if (equals == std::string_view::npos) {
      refuse(text, fmt::format("'{}' has no value", field));
    }
    read_field(injection, text, field.substr(0, equals), field.substr(equals + 1));
  }
  if (injection.operation.empty() || injection.slowdown <= 0) {
    refuse(text, "op and slowdown are both needed");
  }
  return injection;
}

void check_injection(const Injection& injection, const ModelConfig& config) {
  const auto names = all_operations(config);
  if (std::ranges::find(names, injection.operation) == names.end()) {
    throw BadInput(fmt::format("--inject: expected an operation of {}, one of {}; found '{}'",
                               config.name, fmt::join(names, " "), injection.operation));
  }
  const auto inside = layer_operations(config.family);
  const bool layered = std::ranges::find(inside, injection.operation) != inside.end();
  if (injection.layer >= (layered ? config.layers : 0)) {
    throw BadInput(fmt::format(
        "--inject: expected {} for '{}' of {}, found layer={}",
        layered ? fmt::format("layer 0 to {}", config.layers - 1) : std::string("no layer"),
        injection.operation, config.name, injection.layer));
  }
}

}  // namespace deformer
