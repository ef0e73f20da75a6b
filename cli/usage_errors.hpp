#pragma once
/// How a wrong command line is told: what was expected, what was found, what was probably meant.

#include <string>
#include <string_view>
#include <vector>

namespace deformer::cli {

/// The word nearest to `word` by edit distance, or empty when none is near (over a third differs).
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

/// "; did you mean squad?" when one of the words in `choices`, separated by spaces, is near to
/// `word`, else empty.
std::string did_you_mean(const std::string& word, std::string_view choices);

/// What CLI11's lenient reader would let pass: a line that is neither `key = value` nor a section,
/// brackets or quotes that do not close. Empty when there is nothing to say.
std::string toml_fault(const std::string& path);

/// CLI11's message about one option in the words of this program: "--format: expected one of
/// console json, found 'xml'". A message that is no known one comes back as it is.
std::string plain_words(const std::string& message);

/// The same of an option that the file `path` of --config holds. `options` as "--max-time".
std::string config_error(const std::string& path, const std::string& message,
                         const std::vector<std::string>& options);

}  // namespace deformer::cli
