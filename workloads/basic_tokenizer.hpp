#pragma once
/// The first half of BERT's tokenizer: from raw text to clean words, before any vocabulary.

#include <functional>
#include <string_view>

namespace deformer {

/// The three switches of a Hugging Face `tokenizer_config.json`.
struct BasicOptions {
  bool lower_case = true;
  bool strip_accents = true;  ///< decompose (NFD), then drop the nonspacing marks
  bool space_cjk = true;      ///< each CJK ideograph is a word of its own
};

/// Longest word, in characters, that WordPiece takes apart; longer ones are [UNK].
inline constexpr int kLongestWord = 100;

/// Calls `take(word, characters)` for each word of a text, in order: the text is cleaned (control
/// characters dropped, white space turned to blanks), accents and case are removed as asked, and
/// what is left is split at blanks, with every punctuation character a word of its own. Words are
/// UTF-8; of one longer than `kLongestWord` only the beginning is handed over, with a count above
/// `kLongestWord`. Invalid UTF-8 reads as U+FFFD, which the cleaning drops. The time is linear in
/// the text (n log n in a run of combining marks).
///
/// Unicode versions: Hugging Face `tokenizers` has the character categories of Unicode 8, the
/// decompositions of Unicode 9 and the lower-casing of its Rust compiler. This function follows the
/// first two exactly, through ICU's "age" of a character; lower-casing is ICU's own (72:
/// Unicode 15.0), so capital letters that Unicode added later stay as they are.
void for_each_word(std::string_view utf8, const BasicOptions& options,
                   const std::function<void(std::string_view word, int characters)>& take);

}  // namespace deformer
