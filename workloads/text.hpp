#pragma once
/// Real text as token ids: the tokenizers of the model families, and the windows cut from a text.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/types.hpp"
#include "workloads/basic_tokenizer.hpp"

namespace deformer {

/// The special tokens around a text in its place of a pair.
struct TextFrame {
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> after;

  std::int64_t specials() const { return std::ssize(before) + std::ssize(after); }
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Ids of a text, without specials.
  virtual std::vector<std::int32_t> encode(std::string_view utf8) const = 0;
  virtual TextFrame frame(bool first) const = 0;
  /// One more than the largest id `encode` can give; a model must have as many rows of word
  /// embeddings.
  virtual std::int32_t vocab_size() const = 0;
};

/// The tokenizer of a model's folder: `vocab.txt` for BERT, `spiece.model` for XLNet
/// (sentence_piece.hpp). @throws BadInput as they do.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& model_dir, Family family);

/// BERT's tokenizer: BasicTokenizer (clean-up, CJK spacing, lower-casing with accents stripped by
/// NFD, punctuation split) and greedy longest-match WordPiece. Unicode by ICU. Equal to Hugging
/// Face `tokenizers` BertWordPieceTokenizer; invalid UTF-8 becomes U+FFFD, which the clean-up
/// drops.
///
/// A text is plain text: "[SEP]" or "[MASK]" written in it are brackets around a word, never
/// special tokens, so no text can forge the structure of a sequence. (A Hugging Face tokenizer with
/// these registered as added tokens would match them; this is the one intended difference.)
class WordPieceTokenizer final : public Tokenizer {
 public:
  /// Reads `vocab.txt` (one token a line, its id the line's number from 0; of a token given twice
  /// the last counts); lower-casing from `tokenizer_config.json` beside it (`do_lower_case`,
  /// `strip_accents`, `tokenize_chinese_chars`), true when absent; `strip_accents` absent or null
  /// follows `do_lower_case`. Ids may exceed a model's vocabulary: see `vocab_size`.
  /// @throws BadInput when the vocabulary is missing, empty, over 64 MB, or lacks [UNK], [CLS] or
  /// [SEP], and when the configuration is not JSON or a field has the wrong type.
  static WordPieceTokenizer open(const std::filesystem::path& model_dir);

  std::vector<std::int32_t> encode(std::string_view utf8) const override;
  /// `[CLS] text [SEP]` first, `text [SEP]` second.
  TextFrame frame(bool first) const override;

  std::int32_t cls() const { return cls_; }
  std::int32_t sep() const { return sep_; }
  std::int32_t unk() const { return unk_; }

  std::int32_t vocab_size() const override { return vocab_size_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view piece) const {
      return std::hash<std::string_view>{}(piece);
    }
  };
  using Pieces = std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>>;

  WordPieceTokenizer() = default;
  void read_vocab(const std::filesystem::path& file);
  void read_config(const std::filesystem::path& file);
  void add_pieces(std::string_view word, std::vector<std::int32_t>& ids) const;

  Pieces starts_;         ///< pieces that begin a word
  Pieces continuations_;  ///< pieces that go on, without their "##"
  std::size_t longest_piece_bytes_ = 0;
  BasicOptions basic_;
  std::int32_t cls_ = 0, sep_ = 0, unk_ = 0, vocab_size_ = 0;
};

/// The texts of a workload as ids with specials, each in the frame of its place in a pair.
struct TextTokens {
  std::vector<std::vector<std::int32_t>> questions;  ///< each at most `question_tokens` long
  std::vector<std::vector<std::int32_t>> passages;   ///< each exactly `passage_tokens` long
};

/// Cuts the file's text into as many windows of exactly `passage_tokens` (specials included) as
/// asked, side by side while they last, then overlapping: shifted by half a window, a quarter,
/// three quarters, and so on down to single tokens, no offset twice. A text with n tokens and
/// windows of w words' tokens has n - w + 1 of them; where that is fewer than asked, fewer come
/// back. One question a line of `questions_file` that has at least one token, used as it is and cut
/// to `question_tokens`; its specials always stay.
/// @throws BadInput when a file is missing, empty, not a regular file or over 1 GB, when the text
/// has fewer tokens than one window, when there is no question, or when a length leaves no room for
/// a token beside the specials.
TextTokens cut_text(const Tokenizer& tokenizer, const std::filesystem::path& text_file,
                    const std::filesystem::path& questions_file, std::int64_t question_tokens,
                    std::int64_t passage_tokens, std::int64_t windows_wanted, Order order);

/// 8 hex digits of the two files' content, for `point.text`.
std::string text_fingerprint(const std::filesystem::path& text_file,
                             const std::filesystem::path& questions_file);

}  // namespace deformer
