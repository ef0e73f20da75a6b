#include "profilers/roof_rounds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace deformer {
namespace {

/// Two rounds that agree are no chance: each is the best of many bursts.
constexpr int kEnoughAgree = 2;
/// So many are named; of more, how many.
constexpr std::size_t kMostNamed = 3;

/// The rounds of one figure.
class Trials {
 public:
  explicit Trials(double agreement) : agreement_(agreement) {}

  void add(Trial trial, bool quiet) {
    immeasurable_ = trial.rates.empty();
    held_up_ = trial.running < kRunningAll;
    best_.resize(std::max(best_.size(), trial.rates.size()));
    for (std::size_t i = 0; i < trial.rates.size(); ++i) {
      best_[i] = std::max(best_[i], trial.rates[i]);
    }
    if (quiet && !held_up_) quiet_.push_back(std::move(trial.rates));
  }

  /// Whether each rate was reached in enough of the undisturbed rounds.
  bool settled() const { return immeasurable_ || (!best_.empty() && agreeing() >= kEnoughAgree); }

  bool held_up() const { return held_up_; }  ///< in its last round

 private:
  int agreeing() const {
    int fewest = kEnoughAgree;
    for (std::size_t i = 0; i < best_.size(); ++i) {
      const auto near = [&](const std::vector<double>& rates) {
        return i < rates.size() && rates[i] >= agreement_ * best_[i];
      };
      fewest = std::min(fewest, static_cast<int>(std::ranges::count_if(quiet_, near)));
    }
    return fewest;
  }

  double agreement_;
  bool immeasurable_ = false, held_up_ = false;
  std::vector<double> best_;
  std::vector<std::vector<double>> quiet_;  ///< rates of the undisturbed rounds
};

std::string names_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMostNamed); ++i) {
    text += (i == 0 ? "" : "; ") + names[i];
  }
  const std::size_t more = names.size() - std::min(names.size(), kMostNamed);
  return more == 0 ? text : fmt::format("{} and {} more", text, more);
}

/// `last`: what disturbed the last round.
std::vector<std::string> reasons(const std::vector<Figure>& figures,
                                 const std::vector<Trials>& trials, const std::string& last) {
  std::vector<std::string> open, held_up;
  for (std::size_t i = 0; i < figures.size(); ++i) {
    if (!trials[i].settled()) {
      (trials[i].held_up() ? held_up : open).push_back(figures[i].what);
    }
  }
  std::vector<std::string> found;
  if (open.empty() && held_up.empty()) return found;
  if (!last.empty()) found.push_back(last);
  if (!held_up.empty()) found.push_back("threads were held up: " + names_of(held_up));
  if (!open.empty()) found.push_back("no two undisturbed rounds agree: " + names_of(open));
  return found;
}

}  // namespace

RoundsTaken measure_in_rounds(const std::vector<Figure>& figures, const RoundRules& rules,
                              const std::function<Moment()>& moment,
                              const std::function<void(const std::string&)>& progress,
                              const std::function<bool()>& keep_on) {
  std::vector<Trials> trials;
  for (const Figure& figure : figures) trials.emplace_back(figure.agreement);
  RoundsTaken taken;
  std::string last;
  const Moment begin = moment();
  for (Moment start = begin; taken.rounds < rules.most; start = moment()) {
    if (taken.rounds >= rules.fewest && start.wall_ns - begin.wall_ns >= rules.limit_ns) break;
    std::vector<std::pair<std::size_t, Trial>> round;
    for (std::size_t i = 0; i < figures.size() && keep_on(); ++i) {
      if (trials[i].settled()) continue;
      progress(taken.rounds == 0 ? figures[i].what
                                 : fmt::format("{} (round {})", figures[i].what, taken.rounds + 1));
      round.emplace_back(i, figures[i].measure());
    }
    if (round.empty()) break;
    last = why_disturbed(disturbance_between(start, moment()), rules.threads);
    for (auto& [i, trial] : round) trials[i].add(std::move(trial), last.empty());
    ++taken.rounds;
    if (!keep_on()) break;
  }
  taken.disturbed = reasons(figures, trials, last);
  return taken;
}

}  // namespace deformer
