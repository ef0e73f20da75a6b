#include "workloads/basic_tokenizer.hpp"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

namespace deformer {
namespace {

constexpr int kCategoriesOf = 8;      // Unicode version of the categories, see the header
constexpr int kDecompositionsOf = 9;  // and of decompositions and combining classes
constexpr UChar32 kReplacement = 0xFFFD;
constexpr UChar32 kCapitalDottedI = 0x130;

bool is_ascii(UChar32 c) {
  return c < 0x80;
}

bool known_to_unicode(int version, UChar32 c) {
  UVersionInfo age;
  u_charAge(c, age);
  return age[0] != 0 && (age[0] < version || (age[0] == version && age[1] == 0));
}

// The general category as it was in Unicode 8: unassigned where the character came later, and the
// six that have changed since.
std::uint32_t category_mask(UChar32 c) {
  switch (c) {
    case 0x166D:   // CANADIAN SYLLABICS CHI SIGN, now a symbol
    case 0x111C9:  // SHARADA SANDHI MARK, now a mark
      return U_GC_PO_MASK;
    case 0x1734:  // HANUNOO SIGN PAMUDPOD, now a spacing mark
      return U_GC_MN_MASK;
    case 0x1885:  // MONGOLIAN LETTER ALI GALI BALUDA and THREE BALUDA, now marks
    case 0x1886:
      return U_GC_LO_MASK;
    case 0xA9BD:  // JAVANESE CONSONANT SIGN KERET, now nonspacing
      return U_GC_MC_MASK;
    default:
      return known_to_unicode(kCategoriesOf, c) ? U_GET_GC_MASK(c) : U_GC_CN_MASK;
  }
}

bool is_blank(UChar32 c) {
  if (is_ascii(c)) return c == ' ' || c == '\t' || c == '\n' || c == '\r';
  return c != 0x85 &&
         u_hasBinaryProperty(c, UCHAR_WHITE_SPACE);  // NEL counts as a control character
}

// Unassigned code points are none of these: they stay in the text.
bool is_dropped(UChar32 c) {
  if (is_ascii(c)) return c < 0x20 || c == 0x7F;
  return c == kReplacement ||
         (category_mask(c) & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK)) != 0;
}

bool is_punctuation(UChar32 c) {
  if (is_ascii(c)) {  // every ASCII character that is neither letter, digit, blank nor control
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  }
  return (category_mask(c) & U_GC_P_MASK) != 0;
}

// The blocks of ideographs that BERT names. BERT's own code starts the fifth at 2B820; Hugging
// Face's starts it at 2B920, and so do the token ids that its users have seen.
bool is_cjk(UChar32 c) {
  struct Range {
    UChar32 first, last;
  };
  static constexpr Range kRanges[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
                                      {0x20000, 0x2A6DF}, {0x2A700, 0x2B81F}, {0x2B920, 0x2CEAF},
                                      {0x2F800, 0x2FA1F}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [c](const Range& r) { return c >= r.first && c <= r.last; });
}

const icu::Normalizer2& nfd() {
  static const icu::Normalizer2& instance = [&]() -> const icu::Normalizer2& {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* found = icu::Normalizer2::getNFDInstance(status);
    if (U_FAILURE(status)) {
      throw std::runtime_error(std::string("ICU has no normalization data: ") +
                               u_errorName(status));
    }
    return *found;
  }();
  return instance;
}

int combining_class(UChar32 c) {
  if (is_ascii(c) || !known_to_unicode(kDecompositionsOf, c)) return 0;
  return u_getCombiningClass(c);
}

// Canonical ordering (Unicode standard, D109): each run of characters with a combining class is
// sorted by it. ICU's normalizer does it by insertion, which a text of marks alone would make
// quadratic.
void order_marks(std::u32string& text) {
  const auto is_starter = [](char32_t c) { return combining_class(static_cast<UChar32>(c)) == 0; };
  auto run = text.begin();
  while ((run = std::find_if_not(run, text.end(), is_starter)) != text.end()) {
    const auto end = std::find_if(run, text.end(), is_starter);
    if (end - run > 1) {
      std::stable_sort(run, end, [](char32_t a, char32_t b) {
        return combining_class(static_cast<UChar32>(a)) < combining_class(static_cast<UChar32>(b));
      });
    }
    run = end;
  }
}

// NFD without its nonspacing marks. They go last: one of class 0 keeps those around it apart, as
// the combining grapheme joiner is there to do.
std::u32string without_accents(const std::u32string& text) {
  std::u32string out;
  out.reserve(text.size());
  icu::UnicodeString parts;
  for (const char32_t c32 : text) {
    const auto c = static_cast<UChar32>(c32);
    if (!is_ascii(c) && known_to_unicode(kDecompositionsOf, c) &&
        nfd().getDecomposition(c, parts)) {
      for (std::int32_t i = 0; i < parts.length(); i = parts.moveIndex32(i, 1)) {
        out.push_back(static_cast<char32_t>(parts.char32At(i)));
      }
    } else {
      out.push_back(c32);
    }
  }
  order_marks(out);
  std::erase_if(out, [](char32_t c) {
    return c >= 0x80 && (category_mask(static_cast<UChar32>(c)) & U_GC_MN_MASK) != 0;
  });
  return out;
}

// One character at a time, without context: a final sigma is as any other.
std::u32string lower_case(const std::u32string& text) {
  std::u32string out;
  out.reserve(text.size());
  for (const char32_t c : text) {
    if (c == kCapitalDottedI) {  // the only one whose lower case is two characters
      out += U"i\u0307";
    } else {
      out.push_back(static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
    }
  }
  return out;
}

// Collects the characters of a word as UTF-8, as many as are of use, and hands the word over.
class Word {
 public:
  void add(char32_t c) {
    if (++characters_ > kLongestWord) {
      characters_ = kLongestWord + 1;
      return;
    }
    std::uint8_t bytes[U8_MAX_LENGTH];
    std::int32_t length = 0;
    U8_APPEND_UNSAFE(bytes, length, c);
    utf8_.append(bytes, bytes + length);
  }

  template <class Take>
  void finish(const Take& take) {
    if (characters_ > 0) take(utf8_, characters_);
    utf8_.clear();
    characters_ = 0;
  }

 private:
  std::string utf8_;
  int characters_ = 0;
};

template <class Take>
void split_chunk(std::u32string& chunk, const BasicOptions& options, Word& word, const Take& take) {
  if (chunk.empty()) return;
  if (options.strip_accents) chunk = without_accents(chunk);
  if (options.lower_case) chunk = lower_case(chunk);
  for (const char32_t c : chunk) {
    if (is_punctuation(static_cast<UChar32>(c))) {
      word.finish(take);
      word.add(c);
      word.finish(take);
    } else {
      word.add(c);
    }
  }
  word.finish(take);
  chunk.clear();
}

}  // namespace

void for_each_word(std::string_view utf8, const BasicOptions& options,
                   const std::function<void(std::string_view word, int characters)>& take) {
  std::u32string chunk;  // what stands between two blanks: no step reaches across a blank
  Word word;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(utf8.data());
  const auto size = static_cast<std::int64_t>(utf8.size());
  for (std::int64_t at = 0; at < size;) {
    UChar32 c = 0;
    U8_NEXT_OR_FFFD(bytes, at, size, c);
    if (is_blank(c)) {
      split_chunk(chunk, options, word, take);
    } else if (options.space_cjk && is_cjk(c)) {
      split_chunk(chunk, options, word, take);
      chunk.push_back(static_cast<char32_t>(c));
      split_chunk(chunk, options, word, take);
    } else if (!is_dropped(c)) {
      chunk.push_back(static_cast<char32_t>(c));
    }
  }
  split_chunk(chunk, options, word, take);
}

}  // namespace deformer
