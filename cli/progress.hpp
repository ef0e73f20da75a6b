#pragma once
/// The progress line of a sweep on stderr: only on a terminal, never with --quiet.

#include <cstdint>
#include <string>

#include "harness/sweep.hpp"

namespace deformer::cli {

class Progress : public SweepObserver {
 public:
  explicit Progress(bool quiet);
  ~Progress() override;

  void warning(const std::string& message) override;
  void group_started(const std::string& name, std::size_t index, std::size_t groups,
                     std::size_t points_done, std::size_t points) override;
  void step(const std::string& what, std::int64_t done, std::int64_t of) override;
  bool wants_rounds() override;
  void rounds(const MeterView& view) override;
  void group_finished() override;

 private:
  void show(const std::string& text);
  void clear();

  bool quiet_;
  bool terminal_;
  std::string prefix_;
  std::int64_t shown_ns_ = 0;
  bool visible_ = false;
  double groups_seconds_ = 0;  ///< spent in finished groups
  std::size_t groups_finished_ = 0;
  std::size_t groups_left_ = 0;
  std::int64_t group_started_ns_ = 0;
};

}  // namespace deformer::cli
