#include "reports/gate/verdict.hpp"

namespace deformer {

std::string_view verdict_name(Verdict verdict) {
  constexpr std::array<std::string_view, 7> kNames = {
      "INVALID", "REGRESSED", "MISSING", "INCOMPARABLE", "AMBIGUOUS", "IMPROVED", "PASS"};
  return kNames.at(static_cast<std::size_t>(verdict));
}

int exit_code(Verdict verdict) {
  switch (verdict) {
    case Verdict::invalid:
    case Verdict::regressed:
      return 1;
    case Verdict::missing:
    case Verdict::incomparable:
    case Verdict::ambiguous:
      return 4;
    case Verdict::improved:
    case Verdict::pass:
      return 0;
  }
  return 4;
}

}  // namespace deformer
