#include "harness/callgrind_output.hpp"

#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer {
namespace {

constexpr std::uintmax_t kMostBytes = std::uintmax_t{1} << 30;
constexpr std::string_view kTrigger = "desc: Trigger: Client Request: ";

std::optional<std::string_view> after(std::string_view line, std::string_view prefix) {
  return line.starts_with(prefix) ? std::optional(line.substr(prefix.size())) : std::nullopt;
}

/// Where "Ir" stands among the events; nullopt where it does not.
std::optional<std::size_t> column_of_instructions(std::string_view events) {
  std::istringstream words{std::string(events)};
  std::string word;
  for (std::size_t column = 0; words >> word; ++column) {
    if (word == "Ir") {
      return column;
    }
  }
  return std::nullopt;
}

std::optional<double> number_in(std::string_view totals, std::size_t column) {
  std::istringstream words{std::string(totals)};
  std::string word;
  for (std::size_t i = 0; i <= column; ++i) {
    if (!(words >> word)) {
      return std::nullopt;
    }
  }
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool whole = error == std::errc{} && end == word.data() + word.size();
  return whole && std::isfinite(value) && value >= 0 ? std::optional(value) : std::nullopt;
}

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& found) {
  throw BadInput(fmt::format("{}: expected callgrind's counts of each part, found {}",
                             path.filename().string(), found));
}

}  // namespace

std::optional<std::string> find_valgrind() {
  const char* path = std::getenv("PATH");
  std::istringstream folders{path == nullptr ? "" : path};
  std::string folder;
  while (std::getline(folders, folder, ':')) {
    const auto program = std::filesystem::path(folder.empty() ? "." : folder) / "valgrind";
    std::error_code error;
    if (std::filesystem::is_regular_file(program, error) && access(program.c_str(), X_OK) == 0) {
      return program.string();
    }
  }
  return std::nullopt;
}

std::vector<std::string> callgrind_launcher(const std::string& valgrind,
                                            const std::filesystem::path& output) {
  return {valgrind,
          "--command-line-only=yes",
          "--tool=callgrind",
          "-q",
          "--vgdb=no",
          "--instr-atstart=no",
          "--combine-dumps=yes",
          "--dump-line=no",
          "--callgrind-out-file=" + output.string()};
}

CallgrindOutput read_callgrind_output(const std::filesystem::path& path) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error || bytes == 0) {
    refuse(path, error ? "no such file" : "an empty file");
  }
  if (bytes > kMostBytes) {
    refuse(path, fmt::format("{} bytes", bytes));
  }
  std::ifstream file(path);
  CallgrindOutput output;
  std::optional<std::size_t> column;
  std::string label;
  std::string line;
  while (std::getline(file, line)) {
    if (const auto creator = after(line, "creator: ")) {
      output.creator = *creator;
    } else if (line.starts_with("part: ")) {
      label.clear();
    } else if (const auto text = after(line, kTrigger)) {
      label = *text;
    } else if (const auto events = after(line, "events: ")) {
      column = column_of_instructions(*events);
    } else if (const auto totals = after(line, "totals: "); totals && !label.empty()) {
      const auto value = column ? number_in(*totals, *column) : std::nullopt;
      if (!value) {
        refuse(path, fmt::format("'{}'", line.substr(0, 60)));
      }
      output.instructions[label] += *value;
    }
  }
  if (output.instructions.empty()) {
    refuse(path, "no part that the program asked for");
  }
  return output;
}

}  // namespace deformer
