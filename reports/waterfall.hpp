#pragma once
/// From the FLOP ratio to the measured one, for every speedup of a report. Records of `profile`
/// hold it step by step, each step measured on its own. Of any other record its phases and those of
/// the full that it was measured with tell it more coarsely, by the same arithmetic:
///
///     FLOP ratio     full's time over its share for as many FLOPs as the variant needs
///     layers         the variant's encode phases less full's for as many FLOPs
///     load           its load phase
///     fixed cost     its other phases less full's share
///     remainder      what the phases do not explain: what is between them
///     measured ratio

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/table.hpp"

namespace deformer {

class WaterfallReport {
 public:
  /// Records in any order; those without a speedup are only looked at as somebody's full.
  void add(const nlohmann::ordered_json& record);

  /// A table for each speedup; `one` puts all into one, with the point's name in each row.
  std::vector<Table> tables(bool one) const;

 private:
  struct Step {
    std::string step, what;
    double ns = 0, ratio = 0;
  };
  struct Measured {
    std::string name, versus, injected;
    double time_ns = 0, flops = 0, encode_flops = 0;
    double encode_ns = 0, load_ns = 0, other_ns = 0;
    double ratio = 0;         ///< measured; 0 for full
    std::vector<Step> steps;  ///< as `profile` found them; else empty
    double remainder_fraction = 0;
  };

  static std::vector<Step> stored_steps(const nlohmann::ordered_json& record);
  static void add_phases(const nlohmann::ordered_json& record, Measured& measured);
  static std::vector<Step> from_phases(const Measured& full, const Measured& variant);
  static Table table_of(const Measured& measured, const std::vector<Step>& steps, bool by_phases);

  std::vector<Measured> speedups_;
  std::map<std::string, Measured> measured_;  ///< by set and key
};

}  // namespace deformer
