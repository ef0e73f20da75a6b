#include "workloads/text.hpp"

#include <algorithm>
#include <span>

#include <fmt/format.h>

#include "model/error.hpp"
#include "model/json_input.hpp"
#include "model/sha256.hpp"

namespace deformer {
namespace {

using Ids = std::vector<std::int32_t>;
namespace fs = std::filesystem;

constexpr std::int64_t kMostTextBytes = std::int64_t{1} << 30;

std::string read_text(const fs::path& file) {
  std::string text = read_text_file(file, kMostTextBytes);
  if (text.empty()) {
    throw BadInput(
        fmt::format("{}: expected text (for --text) or one question a line (for --questions), "
                    "found an empty file; give one with content",
                    file.string()));
  }
  return text;
}

Ids framed(const TextFrame& frame, std::span<const std::int32_t> body) {
  Ids ids = frame.before;
  ids.insert(ids.end(), body.begin(), body.end());
  ids.insert(ids.end(), frame.after.begin(), frame.after.end());
  return ids;
}

std::int64_t body_tokens(const TextFrame& frame, std::int64_t total, std::string_view option) {
  if (total <= frame.specials()) {
    throw BadInput(
        fmt::format("{} {}: expected at least {} with --text ({} special tokens and one of "
                    "the text); give a longer length",
                    option, total, frame.specials() + 1, frame.specials()));
  }
  return total - frame.specials();
}

// Offsets of windows in a text: side by side first, then the same shifted by 1/2, 1/4, 3/4, 1/8,
// ... of a window, so that windows overlap as little as their number allows. Every offset comes
// exactly once.
std::vector<std::int64_t> window_offsets(std::int64_t tokens, std::int64_t window,
                                         std::int64_t wanted) {
  std::vector<std::int64_t> offsets;
  std::vector<bool> used(static_cast<std::size_t>(window));
  const auto add_shifted = [&](std::int64_t shift) {
    if (used[static_cast<std::size_t>(shift)]) return;
    used[static_cast<std::size_t>(shift)] = true;
    for (std::int64_t at = shift; at + window <= tokens && std::ssize(offsets) < wanted;
         at += window) {
      offsets.push_back(at);
    }
  };
  add_shifted(0);
  // Once `parts` is at least the window, the shifts have been all of 0 ... window - 1.
  for (std::int64_t parts = 2; parts < 2 * window && std::ssize(offsets) < wanted; parts *= 2) {
    for (std::int64_t k = 1; k < parts && std::ssize(offsets) < wanted; k += 2) {
      add_shifted(k * window / parts);
    }
  }
  return offsets;
}

std::vector<Ids> cut_windows(const Ids& text, const TextFrame& frame, std::int64_t window,
                             std::int64_t wanted) {
  std::vector<Ids> windows;
  for (const std::int64_t at : window_offsets(std::ssize(text), window, wanted)) {
    windows.push_back(framed(frame, std::span(text).subspan(static_cast<std::size_t>(at),
                                                            static_cast<std::size_t>(window))));
  }
  return windows;
}

std::vector<Ids> cut_questions(const Tokenizer& tokenizer, std::string_view lines,
                               const TextFrame& frame, std::int64_t most_tokens) {
  std::vector<Ids> questions;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    Ids ids = tokenizer.encode(lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (ids.empty()) continue;
    ids.resize(static_cast<std::size_t>(std::min<std::int64_t>(std::ssize(ids), most_tokens)));
    questions.push_back(framed(frame, ids));
  }
  return questions;
}

}  // namespace

TextTokens cut_text(const Tokenizer& tokenizer, const fs::path& text_file,
                    const fs::path& questions_file, std::int64_t question_tokens,
                    std::int64_t passage_tokens, std::int64_t windows_wanted, Order order) {
  const bool question_first = order == Order::question_first;
  const TextFrame question = tokenizer.frame(question_first);
  const TextFrame passage = tokenizer.frame(!question_first);
  const std::int64_t question_body = body_tokens(question, question_tokens, "--question");
  const std::int64_t window = body_tokens(passage, passage_tokens, "--passage");

  TextTokens tokens;
  tokens.questions = cut_questions(tokenizer, read_text(questions_file), question, question_body);
  if (tokens.questions.empty()) {
    throw BadInput(
        fmt::format("{}: expected one question a line, found none with a token; give a text "
                    "file with at least one question",
                    questions_file.string()));
  }
  const Ids text = tokenizer.encode(read_text(text_file));
  if (std::ssize(text) < window) {
    throw BadInput(
        fmt::format("{}: expected at least {} tokens, one window of --passage {} without its "
                    "special tokens, found {}; give a longer text or a smaller --passage",
                    text_file.string(), window, passage_tokens, text.size()));
  }
  tokens.passages = cut_windows(text, passage, window, windows_wanted);
  return tokens;
}

std::string text_fingerprint(const fs::path& text_file, const fs::path& questions_file) {
  // A digest of digests: a line moved from one file to the other must change it.
  const std::string both = sha256_hex(read_text(text_file)) + sha256_hex(read_text(questions_file));
  return sha256_hex(both).substr(0, 8);
}

}  // namespace deformer
