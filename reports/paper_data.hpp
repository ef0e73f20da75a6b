#pragma once
/// What the paper printed: Cao, Trivedi, Balasubramanian, Balasubramanian, DeFormer: Decomposing
/// Pre-trained Transformers for Faster Question Answering, ACL 2020, tables 1-5, figures 2 and 4,
/// and the appendix's cost model.

#include <array>
#include <string_view>

namespace deformer::paper {

struct TaskRow {
  std::string_view table, model, task;
  double tokens, original, deformer, drop, speedup, memory_reduction;
};
inline constexpr std::array<TaskRow, 8> kTasks = {{
    {"table 1", "bert-base", "squad", 320, 88.5, 87.1, 1.4, 3.2, 70.3},
    {"table 1", "bert-base", "race", 2048, 66.3, 64.5, 1.8, 3.4, 72.9},
    {"table 1", "bert-base", "boolq", 320, 77.8, 76.8, 1.0, 3.5, 72.0},
    {"table 1", "bert-base", "mnli", 120, 84.4, 82.6, 1.8, 2.2, 56.4},
    {"table 1", "bert-base", "qqp", 100, 90.5, 90.3, 0.2, 2.0, 50.0},
    {"table 2", "xlnet-base", "squad", 320, 91.6, 90.4, 1.2, 2.7, 65.8},
    {"table 2", "xlnet-base", "race", 2048, 70.3, 68.7, 1.6, 2.8, 67.6},
    {"table 2", "xlnet-base", "boolq", 320, 80.4, 78.8, 0.6, 3.0, 68.3},
}};

struct ResourceRow {
  std::string_view name, model;
  bool cached;
  double f1, gflops, megabytes;
};
inline constexpr std::array<ResourceRow, 3> kResources = {{
    {"BERT-large", "bert-large", false, 92.3, 204.1, 1549.6},
    {"BERT-base", "bert-base", false, 88.5, 58.4, 584.2},
    {"DeFormer-BERT-large", "bert-large", true, 90.8, 47.7, 359.7},
}};

struct LatencyRow {
  std::string_view device;
  int batch;
  double full_s, deformer_s;
};
inline constexpr std::array<LatencyRow, 3> kLatencies = {{
    {"Tesla V100", 32, 0.22, 0.07},
    {"i9-7900X", 32, 5.90, 1.66},
    {"OnePlus 6", 1, 10.20, 3.28},
}};

struct AblationRow {
  std::string_view name;
  double base, large;
};
inline constexpr std::array<AblationRow, 4> kAblations = {{
    {"BERT", 88.5, 92.3},
    {"DeFormer", 87.1, 90.8},
    {"w/o LRS", 86.2, 88.9},
    {"w/o KD & LRS", 85.8, 87.5},
}};

/// Figure 4, without the auxiliary losses: k from 1 (base) and from 13 (large).
inline constexpr std::array<double, 11> kBaseSpeedups = {1.1, 1.2, 1.3, 1.4, 1.6, 1.9,
                                                         2.2, 2.6, 3.2, 4.3, 6.4};
inline constexpr std::array<double, 10> kBaseDrops = {.3, .3, .2, .9, 2.6, 2.9, 2.4, 3.1, 2.7, 3.3};
inline constexpr std::array<double, 11> kLargeSpeedups = {2.0, 2.2, 2.4, 2.6, 2.9, 3.2,
                                                          3.7, 4.3, 5.1, 6.4, 8.4};
inline constexpr std::array<double, 11> kLargeDrops = {.2,  .9,  1.4, 2.8,  3.9, 4.5,
                                                       4.1, 4.8, 6.2, 13.0, 17.6};

/// Figure 2, read off the curve: normalised variance of a passage's vectors over layers 1..12.
inline constexpr std::array<double, 12> kVariance = {.19, 0,   .05, .09, .20, .27,
                                                     .35, .37, .46, .48, .52, 1.0};

/// The appendix: 30 M pairs a month over a million passages of 150 tokens in bf16.
inline constexpr double kPassageTokens = 150;
inline constexpr double kPassageKilobytes = 226;
inline constexpr double kPairs = 30e6;
inline constexpr double kPassages = 1e6;
inline constexpr double kBatch = 640;
inline constexpr double kFullBatchSeconds = 4.6;
inline constexpr double kCachedBatchSeconds = 1.4;
inline constexpr double kFullDollars = 148.5;
inline constexpr double kCachedDollars = 61.7;

}  // namespace deformer::paper
