#include "harness/child_process.hpp"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/error.hpp"
#include "profilers/clock.hpp"

namespace deformer {
namespace {

using ::testing::HasSubstr;

class ChildProcessTest : public ::testing::Test {
 protected:
  void SetUp() override { std::signal(SIGPIPE, SIG_IGN); }

  static ChildFailure::Kind kind_of_failure(ChildProcess& child, double timeout_s) {
    try {
      (void)child.read_line(timeout_s);
    } catch (const ChildFailure& failure) {
      message_ = failure.what();
      return failure.kind();
    }
    ADD_FAILURE() << "a line came";
    return ChildFailure::Kind::too_long;
  }

  static std::string message_;
};
std::string ChildProcessTest::message_;

TEST_F(ChildProcessTest, AnswersLineByLine) {
  ChildProcess child("/bin/cat", {});
  child.write_line("one", 5);
  child.write_line("two", 5);
  EXPECT_EQ(child.read_line(5), "one");
  EXPECT_EQ(child.read_line(5), "two");
}

TEST_F(ChildProcessTest, ThatEndsSaysHowAndWhatItsLastWordsWere) {
  ChildProcess exits("/bin/sh", {"-c", "echo sorry >&2; exit 7"});
  EXPECT_EQ(kind_of_failure(exits, 5), ChildFailure::Kind::ended);
  EXPECT_THAT(message_, HasSubstr("exit code 7"));
  EXPECT_THAT(message_, HasSubstr("sorry"));
  ChildProcess killed("/bin/sh", {"-c", "kill -SEGV $$"});
  EXPECT_EQ(kind_of_failure(killed, 5), ChildFailure::Kind::ended);
  EXPECT_THAT(message_, HasSubstr("signal 11"));
}

TEST_F(ChildProcessTest, ThatIsSilentOrStopsReadingIsNotWaitedFor) {
  const std::int64_t begin_ns = now_ns();
  ChildProcess silent("/bin/sleep", {"100"});
  EXPECT_EQ(kind_of_failure(silent, 0.1), ChildFailure::Kind::timed_out);
  ChildProcess deaf("/bin/sleep", {"100"});
  EXPECT_THROW(deaf.write_line(std::string(10 << 20, 'x'), 0.2), ChildFailure);
  EXPECT_LT(static_cast<double>(now_ns() - begin_ns) * 1e-9, 3);
}

TEST_F(ChildProcessTest, ThatComplainsALotIsStillHeard) {
  ChildProcess child("/bin/sh",
                     {"-c",
                      "i=0; while [ $i -lt 20000 ]; do echo complaint $i >&2; i=$((i+1)); "
                      "done; echo done"});
  EXPECT_EQ(child.read_line(30), "done");
  EXPECT_THAT(child.last_words(), HasSubstr("complaint 1999"));
  EXPECT_LE(child.last_words().size(), 2048U);
}

TEST_F(ChildProcessTest, IsReapedWithWhateverItStarted) {
  pid_t child_pid = 0;
  pid_t grandchild = 0;
  {
    ChildProcess child("/bin/sh", {"-c", "sleep 100 & echo $!; wait"});
    child_pid = child.pid();
    grandchild = std::stoi(child.read_line(5));
  }
  EXPECT_EQ(kill(child_pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
  for (int i = 0; i < 100 && kill(grandchild, 0) == 0; ++i) {  // init reaps it
    std::ifstream stat("/proc/" + std::to_string(grandchild) + "/stat");
    std::string text;
    if (std::getline(stat, text) && text.find(") Z ") != std::string::npos) {
      break;  // dead, and nobody here to reap it
    }
    usleep(10'000);
    EXPECT_LT(i, 99) << "still running";
  }
}

TEST_F(ChildProcessTest, CannotBeWhatIsNoProgram) {
  EXPECT_THROW(ChildProcess("/nothing/here", {}), BadInput);
  EXPECT_THROW(ChildProcess("/tmp", {}), BadInput);
  const std::string path = ::testing::TempDir() + "no_program";
  std::ofstream(path) << "hello\n";
  EXPECT_THROW(ChildProcess(path, {}), BadInput);
}

}  // namespace
}  // namespace deformer
