#include "workloads/sentence_piece.hpp"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/error.hpp"
#include "model/json_input.hpp"
#include "workloads/json_field.hpp"

namespace deformer {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostModelBytes = std::int64_t{64} << 20;
constexpr std::int64_t kMostConfigBytes = std::int64_t{64} << 20;
constexpr std::string_view kBlank = "\xE2\x96\x81";  ///< U+2581, SentencePiece's mark of a blank
/// A long text is cleaned and looked up in parts of about this size, cut at white space, which no
/// piece crosses: ICU counts in 32 bits, and the search keeps every node.
constexpr std::size_t kPartBytes = std::size_t{1} << 20;

/// Python's str.isspace, which has the information separators beside Unicode's White_Space.
bool is_space(UChar32 c) {
  return (c >= 0x1C && c <= 0x1F) || u_isUWhiteSpace(c) != 0;
}

/// Python's str.isdigit.
bool is_digit(UChar32 c) {
  const std::int32_t kind = u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE);
  return kind == U_NT_DECIMAL || kind == U_NT_DIGIT;
}

icu::UnicodeString from_utf8(std::string_view text) {
  return icu::UnicodeString::fromUTF8({text.data(), static_cast<std::int32_t>(text.size())});
}

/// The characters of `text` that `keep` wants, each as `keep` gives it back; < 0 drops one.
template <class Keep>
icu::UnicodeString filter(const icu::UnicodeString& text, const Keep& keep) {
  icu::UnicodeString result;
  for (std::int32_t at = 0; at < text.length();) {
    const UChar32 c = text.char32At(at);
    at += U16_LENGTH(c);
    if (const UChar32 kept = keep(c); kept >= 0) result.append(kept);
  }
  return result;
}

icu::UnicodeString join_words(const icu::UnicodeString& text) {
  bool pending = false;
  icu::UnicodeString result;
  for (std::int32_t at = 0; at < text.length();) {
    const UChar32 c = text.char32At(at);
    at += U16_LENGTH(c);
    if (is_space(c)) {
      pending = !result.isEmpty();
      continue;
    }
    if (pending) result.append(static_cast<UChar32>(' '));
    pending = false;
    result.append(c);
  }
  return result;
}

icu::UnicodeString without_accents(const icu::UnicodeString& text) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfkd = icu::Normalizer2::getNFKDInstance(error);
  if (U_FAILURE(error) != 0) throw Unavailable("ICU has no NFKD data");
  const icu::UnicodeString apart = nfkd->normalize(text, error);
  if (U_FAILURE(error) != 0) throw BadInput("the text is too long to be normalised");
  return filter(apart, [](UChar32 c) { return u_getCombiningClass(c) != 0 ? -1 : c; });
}

/// The end of the part that begins at `begin`: behind white space, or the text's.
std::size_t end_of_part(std::string_view text, std::size_t begin) {
  if (text.size() - begin <= kPartBytes) return text.size();
  const std::size_t blank = text.find_first_of(" \t\r\n", begin + kPartBytes);
  return blank == std::string_view::npos ? text.size() : blank + 1;
}

}  // namespace

std::string clean_for_xlnet(std::string_view utf8, const XlnetTextOptions& options) {
  icu::UnicodeString text = from_utf8(utf8);
  if (options.remove_space) text = join_words(text);
  text.findAndReplace("``", "\"").findAndReplace("''", "\"");
  if (!options.keep_accents) text = without_accents(text);
  if (options.lower_case) text.toLower(icu::Locale::getRoot());
  std::string clean;
  text.toUTF8String(clean);
  return clean;
}

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

SentencePieceTokenizer::SentencePieceTokenizer(const fs::path& model_dir)
    : pieces_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
  const fs::path file = model_dir / "spiece.model";
  if (std::error_code error; !fs::exists(file, error)) {
    throw BadInput(fmt::format(
        "{}: --text needs spiece.model (a SentencePiece model) in the model's folder, found none; "
        "put it there",
        file.string()));
  }
  const auto status = pieces_->LoadFromSerializedProto(read_text_file(file, kMostModelBytes));
  if (!status.ok()) {
    throw BadInput(fmt::format("{}: expected a SentencePiece model, found something else ({})",
                               file.string(), status.message()));
  }
  const auto special = [&](const char* piece) {
    const int id = pieces_->PieceToId(piece);
    if (id == pieces_->unk_id()) {
      throw BadInput(fmt::format(
          "{}: expected a piece {} among its {} pieces, found none; give the spiece.model of an "
          "XLNet model",
          file.string(), piece, pieces_->GetPieceSize()));
    }
    return id;
  };
  cls_ = special("<cls>");
  sep_ = special("<sep>");
  const fs::path config_file = model_dir / "tokenizer_config.json";
  if (std::error_code error; !fs::exists(config_file, error)) return;
  const auto config =
      parse_json_object(read_text_file(config_file, kMostConfigBytes), config_file.string());
  options_.lower_case = json_bool(config, "do_lower_case", false, config_file);
  options_.remove_space = json_bool(config, "remove_space", true, config_file);
  options_.keep_accents = json_bool(config, "keep_accents", false, config_file);
}

std::vector<std::int32_t> SentencePieceTokenizer::encode(std::string_view utf8) const {
  std::vector<std::int32_t> ids;
  for (std::size_t begin = 0; begin < utf8.size();) {
    const std::size_t end = end_of_part(utf8, begin);
    append(clean_for_xlnet(utf8.substr(begin, end - begin), options_), ids);
    begin = end;
  }
  return ids;
}

void SentencePieceTokenizer::append(std::string_view clean, std::vector<std::int32_t>& ids) const {
  std::vector<std::string> found;
  if (const auto status = pieces_->Encode(clean, &found); !status.ok()) {
    throw BadInput(fmt::format("the text can't be taken apart: {}", status.message()));
  }
  for (const std::string& piece : found) {
    const icu::UnicodeString text = from_utf8(piece);
    const std::int32_t comma = text.length() - 1;
    if (comma > 0 && text.charAt(comma) == u',' &&
        is_digit(text.char32At(text.moveIndex32(comma, -1)))) {
      append_before_comma(piece, ids);
      ids.push_back(pieces_->PieceToId(","));
    } else {
      ids.push_back(pieces_->PieceToId(piece));
    }
  }
}

/// Looks up again what stands before a piece's comma. A text's first piece gets a blank that this
/// one may not have had.
void SentencePieceTokenizer::append_before_comma(std::string_view piece,
                                                 std::vector<std::int32_t>& ids) const {
  std::string rest(piece.substr(0, piece.size() - 1));
  for (std::size_t at = rest.find(kBlank); at != std::string::npos; at = rest.find(kBlank)) {
    rest.erase(at, kBlank.size());
  }
  std::vector<std::string> again;
  if (const auto status = pieces_->Encode(rest, &again); !status.ok()) {
    throw BadInput(fmt::format("the text can't be taken apart: {}", status.message()));
  }
  if (!piece.starts_with(kBlank) && !again.empty() && again.front().starts_with(kBlank)) {
    if (again.front() == kBlank) {
      again.erase(again.begin());
    } else {
      again.front().erase(0, kBlank.size());
    }
  }
  for (const std::string& part : again) ids.push_back(pieces_->PieceToId(part));
}

TextFrame SentencePieceTokenizer::frame(bool first) const {
  return first ? TextFrame{{}, {sep_}} : TextFrame{{}, {sep_, cls_}};
}

std::int32_t SentencePieceTokenizer::vocab_size() const {
  return pieces_->GetPieceSize();
}

}  // namespace deformer
