#pragma once
/// Counting the instructions of another program by callgrind: how it is started, and what its
/// output says. Format: valgrind's manual, "Callgrind Format Specification".

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace deformer {

/// valgrind in the search path; nullopt where there is none.
std::optional<std::string> find_valgrind();

/// What to put before a program so that callgrind runs it, counts only between its client requests
/// and writes every dump to `output`. Options of files and of the environment are left aside.
std::vector<std::string> callgrind_launcher(const std::string& valgrind,
                                            const std::filesystem::path& output);

/// Instructions ("Ir") of each part that a client request dumped, by its label.
struct CallgrindOutput {
  std::string creator;  ///< "callgrind-3.19.0"
  std::map<std::string, double> instructions;
};
/// @throws BadInput when the file is missing, too large, or not what callgrind writes.
CallgrindOutput read_callgrind_output(const std::filesystem::path& path);

}  // namespace deformer
