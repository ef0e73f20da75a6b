#pragma once
/// The page that `deformer-bench VERB --help` prints.

#include <cstddef>
#include <string>

#include <CLI/CLI.hpp>

namespace deformer::cli {

/// The description (an example comes first), usage, and each option with its kind of value, what it
/// does and its default, points before the rest. Lines have at most `width` columns, where that is
/// at least 60; the example is never broken.
std::string help_page(const CLI::App& app, std::size_t width);

}  // namespace deformer::cli
