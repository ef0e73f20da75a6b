/// A history of 10 000 runs of 100 points: how long adding and reading take, how large the file is.

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <iostream>

#include <fmt/format.h>

#include "reports/history/changes.hpp"
#include "reports/history/history.hpp"
#include "tests/reports/generated_run.hpp"

namespace deformer {
namespace {

double seconds_of(const std::function<void()>& act) {
  const auto begin = std::chrono::steady_clock::now();
  act();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

class HistoryOf {
 public:
  explicit HistoryOf(std::size_t runs) : runs_(runs) {
    std::string form = (std::filesystem::temp_directory_path() / "history-XXXXXX").string();
    folder_ = mkdtemp(form.data());
    History history(path(), History::Access::write);
    GeneratedRuns generated(kPoints, 10, 1);
    std::size_t text_bytes = 0;
    double worst_s = 0;
    double total_s = 0;
    for (std::size_t number = 0; number < runs; ++number) {
      const RunFile file = generated.run(number, kSlower, runs / 2);
      if (number == 0) text_bytes = bytes_of(file);
      const double took_s = seconds_of([&] { history.add(file, {}, [](const AddedRun&) {}); });
      worst_s = std::max(worst_s, took_s);
      total_s += took_s;
    }
    say("add a run: mean {:.1f} ms, longest {:.0f} ms; its file has {:.0f} kB",
        total_s / static_cast<double>(runs) * 1e3, worst_s * 1e3,
        static_cast<double>(text_bytes) / 1e3);
  }
  ~HistoryOf() { std::filesystem::remove_all(folder_); }
  HistoryOf(const HistoryOf&) = delete;
  HistoryOf& operator=(const HistoryOf&) = delete;

  static constexpr std::size_t kPoints = 100;
  static constexpr std::size_t kSlower = 42;
  std::filesystem::path path() const { return folder_ / "h.sqlite"; }
  std::size_t runs() const { return runs_; }

  template <typename... Values>
  static void say(fmt::format_string<Values...> form, Values&&... values) {
    std::cout << "  " << fmt::format(form, std::forward<Values>(values)...) << std::endl;
  }

 private:
  static std::size_t bytes_of(const RunFile& file) {
    std::size_t bytes = to_line(file.runs[0]).size();
    for (const auto& record : file.records) bytes += to_line(record).size() + 1;
    return bytes;
  }

  std::size_t runs_;
  std::filesystem::path folder_;
};

void query(const HistoryOf& stored, double most_s) {
  History history(stored.path(), History::Access::read);
  HistoryOf::say("file: {:.1f} MB",
                 static_cast<double>(std::filesystem::file_size(stored.path())) / 1e6);
  std::vector<HistoryRun> runs;
  const double runs_s = seconds_of([&] { runs = history.runs(); });
  EXPECT_EQ(runs.size(), stored.runs());
  std::vector<HistorySeries> one;
  const double one_s = seconds_of([&] {
    one = history.series(runs, [](const std::string& name) {
      return name == "bert-base/squad/q27/p74/k2/b1/cached/cpu/f32/t2";
    });
  });
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].entries.size(), stored.runs());
  std::vector<HistoryChange> changes;
  std::size_t small = 0;
  const double change_s = seconds_of([&] { changes = find_changes(one, {}, small); });
  ASSERT_EQ(changes.size(), 1u);  // the 5 % that were put in, and nothing else
  const auto found = static_cast<std::ptrdiff_t>(changes[0].entry);
  EXPECT_NEAR(static_cast<double>(found), static_cast<double>(stored.runs() / 2), 2);
  std::vector<HistorySeries> all;
  const double all_s =
      seconds_of([&] { all = history.series(runs, [](const std::string&) { return true; }); });
  EXPECT_EQ(all.size(), HistoryOf::kPoints);
  const double all_changes_s = seconds_of([&] { changes = find_changes(all, {}, small); });
  HistoryOf::say(
      "runs {:.0f} ms, trend of a point {:.0f} ms, its changes {:.0f} ms; all points: trends "
      "{:.2f} "
      "s, changes {:.2f} s ({} of {} found, {} below 1 %)",
      runs_s * 1e3, one_s * 1e3, change_s * 1e3, all_s, all_changes_s, changes.size(), 1, small);
  EXPECT_LT(runs_s + one_s + change_s, most_s);
  std::string lines;
  const double lines_s = seconds_of([&] { lines = history.lines(runs.back().name); });
  EXPECT_LT(lines_s, 0.5);
}

TEST(HistoryScale, ThreeHundredRunsAreReadInASecond) {
  const HistoryOf stored(300);
  query(stored, 1);
}

TEST(HistoryScaleLong, TenThousandRunsAreReadInASecond) {
  const HistoryOf stored(10000);
  query(stored, 1);
}

}  // namespace
}  // namespace deformer
