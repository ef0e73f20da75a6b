#include "profilers/disturbance.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "profilers/clock.hpp"

namespace deformer {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(ProcessorTimes, AreReadFromTheKernelsText) {
  // user nice system idle iowait irq softirq steal guest guest_nice
  const auto times = parse_processor_times(
      "cpu  500 40 60 9999 7 3 2 25 400 0\ncpu0 1 2 3 4 5 6 7 8 9 0\ncpu1 1 2 3 4 5 6 7 8 9 0\n"
      "intr 5\nctxt 7\n",
      100);
  ASSERT_TRUE(times);
  EXPECT_EQ(times->busy_ns, 605 * kSecond / 100);  // a guest's time is user's already
  EXPECT_EQ(times->stolen_ns, 25 * kSecond / 100);
  EXPECT_EQ(times->processors, 2);
}

TEST(ProcessorTimes, OfAnotherTextThereAreNone) {
  for (const char* text : {"", "cpu", "cpu ", "cpu  1 2 3\n", "cpu  1 2 3 4 5 6 7 x\n",
                           "cpu  1 2 3 4 5 6 7 -8\n", "intr 1 2 3 4 5 6 7 8 9\n"}) {
    EXPECT_FALSE(parse_processor_times(text, 100)) << text;
  }
  EXPECT_FALSE(parse_processor_times("cpu  1 2 3 4 5 6 7 8\n", 0));
}

/// Two seconds of two processors.
Disturbance of(double own_s, double busy_s, double stolen_s) {
  const auto ns = [](double s) { return static_cast<std::int64_t>(s * kSecond); };
  const Moment from{5 * kSecond, 3 * kSecond, {100 * kSecond, 7 * kSecond, 2}};
  const Moment to{7 * kSecond,
                  3 * kSecond + ns(own_s),
                  {100 * kSecond + ns(busy_s), 7 * kSecond + ns(stolen_s), 2}};
  return disturbance_between(from, to);
}

TEST(Disturbance, IsWhatOthersHadOfTheProcessors) {
  EXPECT_NEAR(of(3, 4, 0).others, 0.5, 0.03);  // a second in two
  EXPECT_NEAR(of(3, 3, 1).stolen, 0.5, 0.03);
  EXPECT_EQ(of(3, 2.9, 0).others, 0);  // ticks are coarse
}

TEST(Disturbance, IsSaidWhereItMatters) {
  EXPECT_EQ(why_disturbed(of(4, 4, 0), 2), "");
  EXPECT_EQ(why_disturbed(of(3.97, 4, 0), 2), "");
  EXPECT_THAT(why_disturbed(of(2, 4, 0), 2),
              HasSubstr("other processes took 0.98 of 2 processors"));
  EXPECT_EQ(why_disturbed(of(2, 4, 0), 1), "");  // on the processor that the thread left free
  EXPECT_THAT(why_disturbed(of(1, 4, 0), 1), HasSubstr("other processes"));
  EXPECT_THAT(why_disturbed(of(2, 2, 0.5), 2), HasSubstr("hypervisor"));
}

TEST(Disturbance, AKernelThatDoesNotSayDisturbsNobody) {
  Moment from, to;
  to.wall_ns = 2 * kSecond;
  to.own_ns = 4 * kSecond;
  EXPECT_EQ(why_disturbed(disturbance_between(from, to), 2), "");
}

/// Processes that do nothing but compute, until the end of the scope.
class Hogs {
 public:
  explicit Hogs(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        for (const std::int64_t end_ns = now_ns() + 10 * kSecond; now_ns() < end_ns;) {
        }
        _exit(0);
      }
      if (child > 0) children_.push_back(child);
    }
  }
  ~Hogs() {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }
  Hogs(const Hogs&) = delete;
  Hogs& operator=(const Hogs&) = delete;

 private:
  std::vector<pid_t> children_;
};

TEST(Disturbance, BusyProcessesAreSeen) {
  const Hogs hogs(std::thread::hardware_concurrency());
  const Moment start = this_moment();
  ASSERT_GT(start.all.processors, 0) << "/proc/stat can't be read";
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const Disturbance seen = disturbance_between(start, this_moment());
  EXPECT_GT(seen.others, 0.5);
  EXPECT_THAT(why_disturbed(seen, seen.processors), HasSubstr("other processes"));
}

TEST(RunningShare, IsTheShareOfTheTimeThatThreadsRan) {
  const RunningShare share(1);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LT(share.so_far(), 0.2);
  const RunningShare busy(1);
  const Moment start = this_moment();
  for (const std::int64_t end_ns = now_ns() + 50'000'000; now_ns() < end_ns;) {
  }
  const Moment end = this_moment();
  const double ran = static_cast<double>(end.own_ns - start.own_ns) /
                     static_cast<double>(end.wall_ns - start.wall_ns);
  EXPECT_NEAR(busy.so_far(), std::min(ran, 1.0), 0.1);
}

}  // namespace
}  // namespace deformer
