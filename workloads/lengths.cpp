#include "workloads/lengths.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

#include <fmt/format.h>

#include "model/error.hpp"
#include "model/json_input.hpp"
#include "model/sha256.hpp"
#include "workloads/random.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kMaxTokens = 65536;
constexpr std::int64_t kMaxFileBytes = 64 << 20;
constexpr std::uint64_t kLengthStream = 0x6c656e67746873U;  // "lengths"

bool parse_number(std::string_view word, std::int64_t& value) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc{} && end == word.data() + word.size();
}

Lengths parse_uniform(std::string_view text) {
  const std::string_view range = text.substr(text.find(':') + 1);
  const std::size_t dash = range.find('-');
  Lengths lengths;
  lengths.kind = Lengths::Kind::uniform;
  if (dash == std::string_view::npos || !parse_number(range.substr(0, dash), lengths.low) ||
      !parse_number(range.substr(dash + 1), lengths.high) || lengths.low < 2 ||
      lengths.high < lengths.low || lengths.high > kMaxTokens) {
    throw BadInput(fmt::format(
        "--lengths {}: expected uniform:LO-HI with 2 <= LO <= HI <= {} (tokens of question and "
        "passage together)",
        text, kMaxTokens));
  }
  lengths.spelling = fmt::format("uniform:{}-{}", lengths.low, lengths.high);
  return lengths;
}

/// The file's text; a word that is no file is probably a mistyped specification.
std::string read_pairs_file(const std::string& path) {
  try {
    return read_text_file(path, kMaxFileBytes);
  } catch (const BadInput& error) {
    throw BadInput(fmt::format(
        "--lengths {}: expected fixed, uniform:LO-HI, or a file with one 'q p' pair a line; {}",
        path, error.what()));
  }
}

Lengths parse_file(const std::string& path) {
  const std::string content = read_pairs_file(path);
  Lengths lengths;
  lengths.kind = Lengths::Kind::file;
  lengths.spelling = "file:" + sha256_hex(content).substr(0, 8);
  std::istringstream lines(content);
  std::string line;
  for (std::int64_t number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    std::string first;
    if (!(words >> first) || first.starts_with('#')) {
      continue;
    }
    std::string second;
    std::string rest;
    std::int64_t q = 0;
    std::int64_t p = 0;
    words >> second;
    if (!parse_number(first, q) || !parse_number(second, p) || words >> rest || q < 1 || p < 1 ||
        q > kMaxTokens || p > kMaxTokens - q) {
      throw BadInput(fmt::format(
          "{}:{}: expected 'q p', two numbers >= 1 of together at most {} tokens, found '{}'", path,
          number, kMaxTokens, line.substr(0, 60)));
    }
    lengths.pairs.emplace_back(q, p);
  }
  if (lengths.pairs.empty()) {
    throw BadInput(fmt::format("{}: expected at least one line 'q p', found none", path));
  }
  return lengths;
}

}  // namespace

Lengths parse_lengths(std::string_view text) {
  if (text.empty() || text == "fixed") {
    return {};
  }
  Lengths lengths =
      text.starts_with("uniform") ? parse_uniform(text) : parse_file(std::string(text));
  lengths.source = text;
  return lengths;
}

Shape draw_shape(const Lengths& lengths, std::int64_t batch, std::int64_t question,
                 std::int64_t passage, std::int64_t r, std::int64_t c, std::uint64_t seed) {
  SplitMix64 random(seed ^ kLengthStream);
  if (lengths.kind == Lengths::Kind::fixed) {
    return uniform_shape(batch, question, passage, r, c);
  }
  Shape shape = uniform_shape(batch, 1, 1, r, c);  // checks the counts
  if (lengths.kind == Lengths::Kind::uniform) {
    if (lengths.low <= question) {
      throw BadInput(fmt::format(
          "--lengths {}: expected LO above the question's {} tokens, so that a passage is left",
          lengths.spelling, question));
    }
    shape.question_tokens.assign(shape.question_tokens.size(), question);
    const auto width = static_cast<std::uint64_t>(lengths.high - lengths.low + 1);
    for (std::int64_t& tokens : shape.passage_tokens) {
      tokens = lengths.low + static_cast<std::int64_t>(random.below(width)) - question;
    }
    return shape;
  }
  const std::size_t texts = std::max(shape.question_tokens.size(), shape.passage_tokens.size());
  for (std::size_t i = 0; i < texts; ++i) {
    const auto& [q, p] = lengths.pairs[random.below(lengths.pairs.size())];
    if (i < shape.question_tokens.size()) {
      shape.question_tokens[i] = q;
    }
    if (i < shape.passage_tokens.size()) {
      shape.passage_tokens[i] = p;
    }
  }
  // Different texts meet in an item; no pair may exceed the longest sequence allowed.
  (void)uniform_shape(1, longest(shape, Segment::question), longest(shape, Segment::passage));
  return shape;
}

}  // namespace deformer
