#pragma once
/// Reading a run file that is already open, as the writer does under its lock. Internal to
/// records/.

#include <filesystem>

#include "records/run_file.hpp"

namespace deformer {

/// Reads from the descriptor's position to the end; `path` is for messages.
RunFile read_open_run_file(int descriptor, const std::filesystem::path& path);

}  // namespace deformer
