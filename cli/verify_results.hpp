#pragma once
/// What `verify` found, and how it is told.

#include <string>
#include <vector>

#include "backends/golden.hpp"

namespace deformer::cli {

struct CaseResult {
  std::string directory;
  std::string name;
  ParityResult parity;
  Tolerance tolerance;
  bool ok = false;
};

/// A directory of which nothing was run.
struct SkippedDirectory {
  std::string directory;
  std::string reason;
};

struct VerifyResults {
  std::vector<CaseResult> cases;
  std::vector<SkippedDirectory> skipped;
};

/// "2 directories skipped"
std::string skipped_count(const VerifyResults& results);

/// A line a case, with its directory where there are `several`; then those skipped, and the count.
void print_verify_lines(const VerifyResults& results, bool several);

/// The same as JSON rows: what a skipped directory has no value of is null.
void print_verify_rows(const VerifyResults& results);

}  // namespace deformer::cli
