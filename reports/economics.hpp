#pragma once
/// When caching pays: each cached point against what was measured beside it.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "reports/table.hpp"

namespace deformer {

/// What was measured of one cached point and its group; all times of one forward.
struct Economics {
  double full_ns = 0;               ///< forward without decomposition
  double cached_ns = 0;             ///< forward whose passages are all in the cache
  std::optional<double> fetch_ns;   ///< of it, loading them
  std::optional<double> encode_ns;  ///< encoding them instead: decomposed's passage phases
  double flops_saved = 0;           ///< full's FLOPs minus cached's
  double flops_full = 0;
  double bytes_loaded = 0;   ///< stored bytes one forward loads
  double bytes_passage = 0;  ///< stored bytes of one passage

  /// R B / dF with the rate R that full reached: loading slower than this costs more than computing
  /// what it saves.
  std::optional<double> critical_bandwidth() const;
  /// Bytes loaded over the time it took.
  std::optional<double> fetch_bandwidth() const;
  /// A forward that finds nothing in the cache: encodes, and writes in the time it takes to load.
  std::optional<double> miss_ns() const;
  /// Share of hits from which h T_hit + (1 - h) T_miss is below full's time; 0: always, above 1:
  /// never.
  std::optional<double> break_even_hit_rate() const;
  /// Questions that share one encoding at which its share costs what loading costs each of them.
  std::optional<double> break_even_sharing() const;
  /// Reads of a stored passage after which encoding and writing it ahead have paid.
  std::optional<double> break_even_reads() const;
};

class EconomicsTable {
 public:
  /// Records in any order; those that are not ok are left out.
  void add(const nlohmann::ordered_json& record);

  /// One row for each cached point.
  Table table() const;

 private:
  struct Measured {
    std::string name;
    double split = 0;
    double time_ns = 0, flops = 0, bytes_passage = 0, bytes_batch = 0;
    std::optional<double> fetch_ns, encode_ns;
  };
  struct Group {
    std::optional<Measured> full;
    std::map<double, Measured> decomposed;
    std::vector<Measured> cached;
  };
  std::vector<std::string> order_;
  std::map<std::string, Group> groups_;
};

}  // namespace deformer
