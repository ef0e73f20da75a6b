#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "model/error.hpp"
#include "model/json_input.hpp"
#include "workloads/json_field.hpp"
#include "workloads/sentence_piece.hpp"
#include "workloads/text.hpp"

namespace deformer {
namespace {

constexpr std::int64_t kMostVocabBytes = std::int64_t{64} << 20;
constexpr std::int64_t kMostConfigBytes = std::int64_t{64} << 20;
constexpr std::string_view kContinues = "##";

std::string_view without_trailing_blanks(std::string_view line) {
  const std::size_t last = line.find_last_not_of(" \t\r\v\f");
  return last == std::string_view::npos ? std::string_view{} : line.substr(0, last + 1);
}

bool is_character_start(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

}  // namespace

WordPieceTokenizer WordPieceTokenizer::open(const std::filesystem::path& model_dir) {
  WordPieceTokenizer tokenizer;
  tokenizer.read_vocab(model_dir / "vocab.txt");
  tokenizer.read_config(model_dir / "tokenizer_config.json");
  return tokenizer;
}

void WordPieceTokenizer::read_vocab(const std::filesystem::path& file) {
  if (std::error_code error; !std::filesystem::exists(file, error)) {
    throw BadInput(
        fmt::format("{}: --text needs vocab.txt (a WordPiece vocabulary, one token a line) in "
                    "the model's folder, found none; put it there",
                    file.string()));
  }
  const std::string content = read_text_file(file, kMostVocabBytes);
  for (std::size_t at = 0; at < content.size(); ++vocab_size_) {
    const std::size_t end = std::min(content.find('\n', at), content.size());
    std::string_view piece =
        without_trailing_blanks(std::string_view(content).substr(at, end - at));
    at = end + 1;
    // No word holds "##" (punctuation stands alone), so the two kinds of pieces cannot be mistaken.
    const bool continues = piece.starts_with(kContinues);
    if (continues) piece.remove_prefix(kContinues.size());
    (continues ? continuations_ : starts_).insert_or_assign(std::string(piece), vocab_size_);
    longest_piece_bytes_ = std::max(longest_piece_bytes_, piece.size());
  }
  const auto special = [&](const char* token) {
    const auto found = starts_.find(token);
    if (found == starts_.end()) {
      throw BadInput(
          fmt::format("{}: expected a line {} among its {} tokens, found none; give the "
                      "vocab.txt of a BERT model",
                      file.string(), token, vocab_size_));
    }
    return found->second;
  };
  unk_ = special("[UNK]");
  cls_ = special("[CLS]");
  sep_ = special("[SEP]");
}

void WordPieceTokenizer::read_config(const std::filesystem::path& file) {
  if (std::error_code error; !std::filesystem::exists(file, error)) return;
  nlohmann::json config = parse_json_object(read_text_file(file, kMostConfigBytes), file.string());
  if (const auto found = config.find("strip_accents"); found != config.end() && found->is_null()) {
    config.erase(found);
  }
  basic_.lower_case = json_bool(config, "do_lower_case", true, file);
  basic_.strip_accents = json_bool(config, "strip_accents", basic_.lower_case, file);
  basic_.space_cjk = json_bool(config, "tokenize_chinese_chars", true, file);
}

// Greedy: from the left the longest piece there is; a word with a rest that no piece begins is
// [UNK] as a whole. Trying nothing longer than the longest piece keeps it linear in the word.
void WordPieceTokenizer::add_pieces(std::string_view word, std::vector<std::int32_t>& ids) const {
  const std::size_t before = ids.size();
  while (!word.empty()) {
    const Pieces& pieces = ids.size() == before ? starts_ : continuations_;
    std::size_t length = std::min(word.size(), longest_piece_bytes_);
    for (; length > 0; --length) {
      if (length < word.size() && !is_character_start(word[length])) continue;
      if (const auto found = pieces.find(word.substr(0, length)); found != pieces.end()) {
        ids.push_back(found->second);
        break;
      }
    }
    if (length == 0) {
      ids.resize(before);
      ids.push_back(unk_);
      return;
    }
    word.remove_prefix(length);
  }
}

std::vector<std::int32_t> WordPieceTokenizer::encode(std::string_view utf8) const {
  std::vector<std::int32_t> ids;
  for_each_word(utf8, basic_, [&](std::string_view word, int characters) {
    if (characters > kLongestWord) {
      ids.push_back(unk_);
    } else {
      add_pieces(word, ids);
    }
  });
  return ids;
}

TextFrame WordPieceTokenizer::frame(bool first) const {
  return first ? TextFrame{{cls_}, {sep_}} : TextFrame{{}, {sep_}};
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& model_dir, Family family) {
  if (family == Family::xlnet) return std::make_unique<SentencePieceTokenizer>(model_dir);
  return std::make_unique<WordPieceTokenizer>(WordPieceTokenizer::open(model_dir));
}

}  // namespace deformer
