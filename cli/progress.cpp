#include "cli/progress.hpp"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/app.hpp"
#include "profilers/clock.hpp"

namespace deformer::cli {
namespace {

constexpr std::int64_t kRedrawNs = 200'000'000;
constexpr std::size_t kNarrowest = 40;

std::size_t terminal_width() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return std::max(kNarrowest, known ? static_cast<std::size_t>(size.ws_col) : std::size_t{80});
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::max(0.0, seconds));
  return whole >= 3600 ? fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
                       : fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

Progress::Progress(bool quiet) : quiet_(quiet), terminal_(!quiet && isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  clear();
}

void Progress::warning(const std::string& message) {
  clear();
  if (!quiet_) {
    warn(message);
  }
}

void Progress::group_started(const std::string& name, std::size_t index, std::size_t groups,
                             std::size_t points_done, std::size_t points) {
  prefix_ =
      fmt::format("[{}/{} groups, {}/{} points] {}", index + 1, groups, points_done, points, name);
  groups_left_ = groups - index - 1;
  group_started_ns_ = now_ns();
  shown_ns_ = 0;
}

void Progress::step(const std::string& what, std::int64_t done, std::int64_t of) {
  if (!terminal_ || (done != of && now_ns() - shown_ns_ < kRedrawNs)) {
    return;
  }
  const std::string lead = prefix_.empty() ? "" : prefix_ + ": ";
  show(of > 0 ? fmt::format("{}{} {}/{}", lead, what, done, of) : lead + what);
}

bool Progress::wants_rounds() {
  return terminal_ && now_ns() - shown_ns_ >= kRedrawNs;
}

void Progress::rounds(const MeterView& view) {
  std::string text = fmt::format("{}: round {}", prefix_, view.rounds);
  if (view.discarded > 0) {
    text += fmt::format(" (+{} discarded)", view.discarded);
  }
  if (view.ratio && view.ratio_low && view.ratio_high) {
    text +=
        fmt::format(", {:.2f}x [{:.2f}, {:.2f}]", *view.ratio, *view.ratio_low, *view.ratio_high);
  }
  const double group_left_s = std::max(0.0, view.limit_s - view.elapsed_s);
  const double each_s =
      groups_finished_ > 0 ? groups_seconds_ / static_cast<double>(groups_finished_) : view.limit_s;
  text += fmt::format(", at most {} left",
                      clock_text(group_left_s + each_s * static_cast<double>(groups_left_)));
  show(text);
}

void Progress::group_finished() {
  groups_seconds_ += static_cast<double>(now_ns() - group_started_ns_) * 1e-9;
  ++groups_finished_;
  clear();
}

void Progress::show(const std::string& text) {
  fmt::print(stderr, "\r\033[K{}", text.substr(0, terminal_width() - 1));
  std::fflush(stderr);
  visible_ = true;
  shown_ns_ = now_ns();
}

void Progress::clear() {
  if (visible_) {
    fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
    visible_ = false;
  }
}

}  // namespace deformer::cli
