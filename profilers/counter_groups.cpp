#include "profilers/counter_groups.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace deformer {
namespace {

using Json = nlohmann::json;

std::string text_at(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_string()) {
    throw std::runtime_error(std::string("counter group: expected a string as '") + name + "'");
  }
  return found->get<std::string>();
}

const Json& list_at(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_array()) {
    throw std::runtime_error(std::string("counter group: expected a list as '") + name + "'");
  }
  return *found;
}

/// Recursive descent over sums of products.
class Formula {
 public:
  Formula(std::string_view text,
          const std::function<std::optional<double>(std::string_view)>& value)
      : rest_(text), value_(value) {}

  std::optional<double> whole() {
    const auto result = sum();
    skip();
    return rest_.empty() && result && std::isfinite(*result) ? result : std::nullopt;
  }

 private:
  static constexpr int kDeepest = 64;

  void skip() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0) {
      rest_.remove_prefix(1);
    }
  }
  bool take(char c) {
    skip();
    if (rest_.empty() || rest_.front() != c) {
      return false;
    }
    rest_.remove_prefix(1);
    return true;
  }

  std::optional<double> sum() {
    auto left = product();
    while (left) {
      const bool plus = take('+');
      if (!plus && !take('-')) {
        return left;
      }
      const auto right = product();
      left = right ? std::optional(plus ? *left + *right : *left - *right) : std::nullopt;
    }
    return left;
  }
  std::optional<double> product() {
    auto left = atom();
    while (left) {
      const bool times = take('*');
      if (!times && !take('/')) {
        return left;
      }
      const auto right = atom();
      if (!right || (!times && *right == 0)) {
        return std::nullopt;
      }
      left = times ? *left * *right : *left / *right;
    }
    return left;
  }
  std::optional<double> atom() {
    if (take('(')) {
      if (++depth_ > kDeepest) {
        return std::nullopt;
      }
      const auto inner = sum();
      --depth_;
      return take(')') ? inner : std::nullopt;
    }
    skip();
    if (!rest_.empty() && std::isdigit(static_cast<unsigned char>(rest_.front())) != 0) {
      double number = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
      if (error != std::errc{}) {
        return std::nullopt;
      }
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      return number;
    }
    const auto end = std::ranges::find_if(
        rest_, [](unsigned char c) { return std::isalnum(c) == 0 && c != '_'; });
    const std::string_view name = rest_.substr(0, static_cast<std::size_t>(end - rest_.begin()));
    rest_.remove_prefix(name.size());
    return name.empty() ? std::nullopt : value_(name);
  }

  std::string_view rest_;
  const std::function<std::optional<double>(std::string_view)>& value_;
  int depth_ = 0;
};

/// Presets, and native names of a component ("perf::CYCLES", "amd64_fam17h::...").
bool names_a_source(std::string_view word) {
  return word.starts_with("PAPI_") || word.find("::") != std::string_view::npos;
}

}  // namespace

CounterGroup parse_counter_group(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) {
    throw std::runtime_error("counter group: expected a JSON object");
  }
  CounterGroup group{text_at(json, "name"), text_at(json, "description"), {}, {}};
  for (const Json& event : list_at(json, "events")) {
    CounterEvent parsed{text_at(event, "name"), text_at(event, "unit"), {}};
    for (const Json& source : list_at(event, "sources")) {
      if (!source.is_string()) {
        throw std::runtime_error("counter group: expected strings as 'sources'");
      }
      parsed.sources.push_back(source.get<std::string>());
    }
    group.events.push_back(std::move(parsed));
  }
  for (const Json& metric : list_at(json, "metrics")) {
    group.metrics.push_back(
        {text_at(metric, "name"), text_at(metric, "unit"), text_at(metric, "formula")});
  }
  return group;
}

const std::vector<CounterGroup>& counter_groups() {
  static const std::vector<CounterGroup> groups = [] {
    std::vector<CounterGroup> parsed;
    for (const char* text : detail::counter_group_texts()) {
      parsed.push_back(parse_counter_group(text));
    }
    std::ranges::sort(parsed, {}, &CounterGroup::name);
    return parsed;
  }();
  return groups;
}

std::optional<CounterGroup> find_counters(std::string_view word) {
  for (const CounterGroup& group : counter_groups()) {
    if (group.name == word) {
      return group;
    }
    for (const CounterEvent& event : group.events) {
      if (event.name == word) {
        return CounterGroup{event.name, group.description, {event}, {}};
      }
    }
  }
  if (names_a_source(word)) {
    const std::string name(word);
    return CounterGroup{name, "asked for by name", {{name, "", {name}}}, {}};
  }
  return std::nullopt;
}

std::optional<double> evaluate(
    std::string_view formula, const std::function<std::optional<double>(std::string_view)>& value) {
  return Formula(formula, value).whole();
}

}  // namespace deformer
