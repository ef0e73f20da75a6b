#include "profilers/machine_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace deformer {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class MachineStoreTest : public ::testing::Test {
 protected:
  MachineStoreTest() {
    std::string pattern = (fs::temp_directory_path() / "deformer-store-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~MachineStoreTest() override { fs::remove_all(folder_); }

  MachineStore store(MachineStore::Identity identity = {{"cpu_model", "EPYC"}, {"threads", "2"}}) {
    return {folder_, std::move(identity),
            [this](const std::string& text) { told_.push_back(text); }};
  }
  void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }
  std::string read(const fs::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

  fs::path folder_;
  std::vector<std::string> told_;
};

const nlohmann::ordered_json kValue = {{"peak_gflops", 412.5}, {"shapes", {1, 2, 3}}};

TEST_F(MachineStoreTest, GivesBackWhatWasSaved) {
  EXPECT_TRUE(store().save("roofs", kValue));
  const auto stored = store().load("roofs");
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->value, kValue);
  EXPECT_THAT(stored->saved, testing::MatchesRegex("20..-..-..T..:..:..Z"));
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(MachineStoreTest, HoldsNothingAtFirstAndSaysNothing) {
  EXPECT_FALSE(store().load("roofs"));
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(MachineStoreTest, TheLatestValueWinsAndLeavesNoOtherFile) {
  store().save("roofs", 1);
  store().save("roofs", 2);
  EXPECT_EQ(store().load("roofs")->value, 2);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(MachineStoreTest, NamesAndIdentitiesDoNotMix) {
  store().save("roofs", 1);
  EXPECT_FALSE(store().load("gemm-engines"));
  EXPECT_FALSE(store({{"cpu_model", "EPYC"}, {"threads", "1"}}).load("roofs"));
  EXPECT_FALSE(store({{"cpu_model", "EPYC"}}).load("roofs"));
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(MachineStoreTest, AFileOfAnotherMachineUnderOurNameIsNotUsed) {
  const MachineStore other = store({{"cpu_model", "Xeon"}, {"threads", "2"}});
  other.save("roofs", 1);
  fs::rename(other.file_of("roofs"), store().file_of("roofs"));
  EXPECT_FALSE(store().load("roofs"));
  EXPECT_THAT(told_, ElementsAre(HasSubstr("measured elsewhere")));
}

TEST_F(MachineStoreTest, DamagedFilesAreReportedAndReplaced) {
  const MachineStore ours = store();
  ours.save("roofs", kValue);
  const fs::path file = ours.file_of("roofs");
  const std::string whole = read(file);
  const std::string long_text(std::size_t{2} << 20, ' ');
  const std::vector<std::string> damaged = {"",
                                            "null",
                                            "[]",
                                            whole.substr(0, whole.size() / 2),
                                            "{\"type\":\"run\",\"schema\":1}",
                                            std::string("\0\xff\x80", 3),
                                            std::string(100'000, '['),
                                            whole + long_text};
  for (const std::string& text : damaged) {
    told_.clear();
    write(file, text);
    EXPECT_FALSE(ours.load("roofs")) << text.substr(0, 60);
    EXPECT_THAT(told_, ElementsAre(HasSubstr(file.string()))) << text.substr(0, 60);
  }
  EXPECT_TRUE(ours.save("roofs", kValue));
  EXPECT_TRUE(ours.load("roofs"));
}

TEST_F(MachineStoreTest, EveryFieldOfTheFileIsChecked) {
  const MachineStore ours = store();
  ours.save("roofs", kValue);
  const fs::path file = ours.file_of("roofs");
  const auto whole = nlohmann::ordered_json::parse(read(file));
  for (const auto& [field, value] : whole.items()) {
    auto without = whole;
    without.erase(field);
    write(file, without.dump());
    EXPECT_FALSE(ours.load("roofs")) << field;
    auto mistyped = whole;
    mistyped[field] = 7;
    write(file, mistyped.dump());
    EXPECT_EQ(ours.load("roofs").has_value(), field == "value") << field;  // any value is allowed
  }
}

TEST_F(MachineStoreTest, AFolderInItsPlaceIsReported) {
  fs::create_directories(store().file_of("roofs"));
  EXPECT_FALSE(store().load("roofs"));
  EXPECT_FALSE(store().save("roofs", kValue));
  EXPECT_EQ(told_.size(), 2U);
}

TEST_F(MachineStoreTest, AFolderThatCannotBeMadeIsReported) {
  write(folder_ / "file", "");
  const MachineStore ours(folder_ / "file" / "below", {},
                          [this](const std::string& text) { told_.push_back(text); });
  EXPECT_FALSE(ours.load("roofs"));
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_FALSE(ours.save("roofs", kValue));
  EXPECT_THAT(told_, ElementsAre(HasSubstr("DEFORMER_BENCH_CACHE_DIR")));
}

TEST_F(MachineStoreTest, WithoutAFolderNothingIsKept) {
  const MachineStore ours({}, {}, [this](const std::string& text) { told_.push_back(text); });
  EXPECT_FALSE(ours.load("roofs"));
  EXPECT_FALSE(ours.save("roofs", kValue));
  EXPECT_EQ(told_.size(), 1U);
}

class StoreFolderTest : public ::testing::Test {
 protected:
  StoreFolderTest() { set("", "", ""); }
  void set(const char* ours, const char* cache, const char* home) {
    setenv("DEFORMER_BENCH_CACHE_DIR", ours, 1);
    setenv("XDG_CACHE_HOME", cache, 1);
    setenv("HOME", home, 1);
  }
};

TEST_F(StoreFolderTest, IsTheFirstOfThreeVariablesThatSaysOne) {
  EXPECT_EQ(machine_store_folder(), "");
  set("", "", "/home/a");
  EXPECT_EQ(machine_store_folder(), "/home/a/.cache/deformer-bench");
  set("", "/var/c", "/home/a");
  EXPECT_EQ(machine_store_folder(), "/var/c/deformer-bench");
  set("", "relative", "/home/a");
  EXPECT_EQ(machine_store_folder(), "/home/a/.cache/deformer-bench");
  set("here", "/var/c", "/home/a");
  EXPECT_EQ(machine_store_folder(), "here");
}

}  // namespace
}  // namespace deformer
