#pragma once
/// The options that say which points: axes, lists, texts. Shared by `sweep` and `cost`.

#include <cstdint>
#include <string>
#include <vector>

#include "cli/app.hpp"
#include "cli/plugin_option.hpp"
#include "workloads/sweep_spec.hpp"

namespace deformer::cli {

class PointOptions {
 public:
  void add_to(CLI::App& app);

  /// Plugins opened, models resolved, axes parsed. @throws BadInput naming the option, Unavailable
  /// for a plugin that can't be used.
  SweepSpec spec(bool weights_needed) const;

 private:
  using Words = std::vector<std::string>;
  Words model_, task_, variant_, backend_, dtype_, cache_dtype_, order_;
  Words cache_at_;
  Words split_, batch_, question_, passage_, r_, c_, threads_, instances_;
  std::string lengths_ = "fixed";
  std::string text_, questions_, filter_;
  std::string seed_ = "1";
  std::string passages_;
  bool cold_ = false;
  PluginOption plugins_;
};

}  // namespace deformer::cli
