#pragma once
/// XLNet's tokenizer: its clean-up of a text, then SentencePiece.

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/text.hpp"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace deformer {

/// The three switches of XLNet's `tokenizer_config.json`.
struct XlnetTextOptions {
  bool lower_case = false;
  bool remove_space = true;  ///< runs of white space become one blank, none at the ends
  bool keep_accents = false;
};

/// What XLNet does to a text before its pieces are looked up, in this order: white space, `` and ''
/// to ", accents (NFKD, then no combining marks), lower case. Invalid UTF-8 becomes U+FFFD.
std::string clean_for_xlnet(std::string_view utf8, const XlnetTextOptions& options);

/// As Hugging Face's XLNetTokenizer (the one over the sentencepiece package): a piece that ends in
/// a digit and a comma is taken apart, so that "1,000" and "in 1999, " share their pieces. A text
/// that reads "<sep>" is not a special token.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  /// Reads `spiece.model`, and `tokenizer_config.json` beside it if there is one.
  /// @throws BadInput when the model is missing, over 64 MB, no SentencePiece model, or lacks <cls>
  /// or <sep>; when the configuration is not JSON or a field has the wrong type.
  explicit SentencePieceTokenizer(const std::filesystem::path& model_dir);
  ~SentencePieceTokenizer() override;

  std::vector<std::int32_t> encode(std::string_view utf8) const override;
  /// `text <sep>` first, `text <sep> <cls>` second: XLNet's [CLS] ends the pair.
  TextFrame frame(bool first) const override;
  std::int32_t vocab_size() const override;

 private:
  void append(std::string_view clean, std::vector<std::int32_t>& ids) const;
  void append_before_comma(std::string_view piece, std::vector<std::int32_t>& ids) const;

  std::unique_ptr<sentencepiece::SentencePieceProcessor> pieces_;
  XlnetTextOptions options_;
  std::int32_t cls_ = 0;
  std::int32_t sep_ = 0;
};

}  // namespace deformer
