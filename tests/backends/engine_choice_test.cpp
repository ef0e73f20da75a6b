#include "backends/cpu/engine_choice.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include <fmt/format.h>

namespace deformer {
namespace {

// The choice is remembered for the process too: widths that no other test has.

class EngineChoiceTest : public ::testing::Test {
 protected:
  EngineChoiceTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "deformer-engine-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  ~EngineChoiceTest() override { std::filesystem::remove_all(folder_); }

  /// What is chosen where an earlier run found oneDNN quicker.
  std::string chosen_where_onednn_won(std::int64_t in, std::int64_t out) {
    const MachineStore store(folder_, {{"cpu_model", "any"}}, [](const std::string&) {});
    const LinearKind kind{.in = in, .out = out, .epilogue = Epilogue::bias};
    store.save(fmt::format("product-f32-{}-{}-{}-t2", in, out, static_cast<int>(kind.epilogue)),
               {{"engine", "onednn"}});
    return std::string(choose_engine(kind, 2, EngineChoice::automatic, &store)->name());
  }

  std::filesystem::path folder_;
};

TEST_F(EngineChoiceTest, WhatWasMeasuredIsRemembered) {
  EXPECT_EQ(chosen_where_onednn_won(416, 384), "onednn");
}

TEST_F(EngineChoiceTest, ProductsTooSmallToBeTimedAreAlwaysOurs) {
  EXPECT_NE(chosen_where_onednn_won(128, 512), "onednn");
  EXPECT_NE(chosen_where_onednn_won(352, 384), "onednn");
}

}  // namespace
}  // namespace deformer
