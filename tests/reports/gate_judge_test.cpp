#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/error.hpp"
#include "reports/gate/figures.hpp"
#include "reports/gate/origin.hpp"
#include "reports/gate/verdict.hpp"
#include "tests/reports/gate_simulation.hpp"

namespace deformer {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr SimulatedNoise kCalm = {.process_ln = 0.001, .round_ln = 0.002, .drift_ln = 0.002};

GatePoint measured(double effect, double full_effect = 0, std::uint64_t seed = 1) {
  return Simulation(seed, kCalm).point(10, 12, effect, full_effect);
}

PointVerdict verdict_of(GatePoint point, const GateRules& rules = {}) {
  return judge(simulated_gate({std::move(point)}), rules).points.at(0);
}

TEST(GateVerdict, PrecedenceAndExitCodesAreThoseOfTheInterface) {
  const std::vector<std::pair<const char*, int>> expected = {
      {"INVALID", 1},   {"REGRESSED", 1}, {"MISSING", 4}, {"INCOMPARABLE", 4},
      {"AMBIGUOUS", 4}, {"IMPROVED", 0},  {"PASS", 0}};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(verdict_name(static_cast<Verdict>(i)), expected[i].first);
    EXPECT_EQ(exit_code(static_cast<Verdict>(i)), expected[i].second);
  }
}

TEST(GateVerdict, TheWorstPointStandsForTheWhole) {
  GatePoint invalid = measured(0);
  invalid.key = "i";
  invalid.head.status = "invalid";
  GatePoint missing = measured(0);
  missing.key = "m";
  missing.head.status = "absent";
  const auto whole = [](std::vector<GatePoint> points) {
    return judge(simulated_gate(std::move(points)), {}).verdict;
  };
  EXPECT_EQ(whole({measured(0), measured(-0.1)}), Verdict::improved);
  EXPECT_EQ(whole({measured(-0.1), missing}), Verdict::missing);
  EXPECT_EQ(whole({missing, measured(0.1)}), Verdict::regressed);
  EXPECT_EQ(whole({measured(0.1), invalid}), Verdict::invalid);
}

TEST(GateVerdict, NothingJudgedNeverPasses) {
  EXPECT_EQ(judge(simulated_gate({}), {}).verdict, Verdict::missing);
  GatePoint skipped = measured(0);
  skipped.base.status = skipped.head.status = "skipped";
  const GateResult result = judge(simulated_gate({skipped}), {});
  EXPECT_EQ(result.verdict, Verdict::missing);
  EXPECT_THAT(result.points, IsEmpty());
  EXPECT_THAT(result.notes.at(0), HasSubstr("skipped on both sides"));
}

TEST(GateVerdict, ANewPointOfHeadIsNamedAndFailsNothing) {
  GatePoint added = measured(0);
  added.base.status = "absent";
  const GateResult result = judge(simulated_gate({measured(0), added}), {});
  EXPECT_EQ(result.verdict, Verdict::pass);
  EXPECT_THAT(result.notes.at(0), HasSubstr("only head has it"));
}

TEST(GateVerdict, ARunThatDidNotFinishDoesNotPass) {
  GateInput input = simulated_gate({measured(0)});
  input.head.unfinished = true;
  const GateResult result = judge(input, {});
  EXPECT_EQ(result.verdict, Verdict::missing);
  EXPECT_THAT(result.words, HasSubstr("head did not finish"));
}

TEST(GateVerdict, IdenticalBuildsAreRefusedUnlessMeant) {
  GateInput input = simulated_gate({measured(0)});
  input.head.build = input.base.build;
  EXPECT_THROW(judge(input, {}), BadInput);
  input.identical_allowed = true;
  EXPECT_EQ(judge(input, {}).verdict, Verdict::pass);
}

TEST(GateVerdict, FewRoundsAreNoEvidenceHoweverClear) {
  GatePoint point = Simulation(1, kCalm).point(3, 3, 0.5);
  const PointVerdict verdict = verdict_of(point);
  EXPECT_EQ(verdict.verdict, Verdict::ambiguous);
  EXPECT_THAT(verdict.words, HasSubstr("too few rounds: 9"));
}

TEST(GateVerdict, ALargerThresholdForgives) {
  EXPECT_EQ(verdict_of(measured(0.05)).verdict, Verdict::regressed);
  GateRules rules;
  rules.threshold = 0.2;
  EXPECT_EQ(verdict_of(measured(0.05), rules).verdict, Verdict::pass);
}

TEST(GateVerdict, ACalibratedThresholdCountsUnlessOneIsGiven) {
  GatePoint point = measured(0.02);
  GateRules rules;
  rules.calibration[point.key] = {.time_ln = 0.002, .degrees_of_freedom = 19, .threshold = 0.012};
  EXPECT_EQ(verdict_of(point, rules).verdict, Verdict::regressed);
  EXPECT_EQ(verdict_of(point, rules).threshold, 0.012);
  rules.threshold = 0.05;
  rules.threshold_given = true;
  EXPECT_EQ(verdict_of(point, rules).verdict, Verdict::pass);
}

TEST(GateConfirmation, ASuspicionIsNotCalledBeforeItIsConfirmed) {
  GateRules rules;
  rules.confirm = true;
  Simulation simulation(9, kCalm);
  GatePoint point = simulation.point(10, 12, 0.05);
  EXPECT_EQ(verdict_of(point, rules).verdict, Verdict::ambiguous);
  EXPECT_TRUE(verdict_of(point, rules).suspected);
  GatePoint confirmed = point;
  GatePoint cleared = point;
  for (int i = 0; i < 6; ++i) {
    confirmed.pairs.push_back(simulation.pair(12, 0.05, 0, true));
    cleared.pairs.push_back(simulation.pair(12, 0, 0, true));
  }
  EXPECT_EQ(verdict_of(confirmed, rules).verdict, Verdict::regressed);
  EXPECT_EQ(verdict_of(cleared, rules).verdict, Verdict::pass);
  EXPECT_THAT(verdict_of(cleared, rules).words, HasSubstr("afresh do not show it"));
}

TEST(GateConfirmation, LooksBetweenRoundsSayWhenItIsEnough) {
  GateRules rules;
  rules.confirm = true;
  EXPECT_TRUE(look_at(measured(0), rules).decided);
  EXPECT_EQ(look_at(measured(0), rules).verdict, Verdict::pass);
  EXPECT_TRUE(look_at(measured(0.05), rules).suspected);
  EXPECT_FALSE(look_at(measured(0.05), rules).decided);
  EXPECT_FALSE(look_at(Simulation(1).point(1, 12), rules).decided);
}

/// A paired point of so many processes, of which each is `percent` slower, alternately
/// more and less by `spread`.
GatePoint wavering(int pairs, double percent, double spread) {
  GatePoint point = Simulation::named("p", "full");
  for (int i = 0; i < pairs; ++i) {
    const double slower = std::exp((percent + (i % 2 == 0 ? spread : -spread)) / 100);
    GatePair& pair = point.pairs.emplace_back();
    pair.base.assign(12, {1e6, 0});
    pair.head.assign(12, {1e6 * slower, 0});
  }
  return point;
}

bool decided(const GatePoint& point, Verdict verdict) {
  GateRules rules;
  rules.confirm = true;
  const Progress progress = look_at(point, rules);
  EXPECT_EQ(progress.verdict, verdict);
  return progress.decided;
}

// PASS at once unless head is more likely faster than not by what matters, and may be by 3 %.
TEST(GateConfirmation, APassThatLeansToAnImprovementIsNotTheEnd) {
  EXPECT_FALSE(decided(wavering(8, -3, 3), Verdict::pass));
  EXPECT_TRUE(decided(wavering(8, -1, 3), Verdict::pass));     // leans to less than matters
  EXPECT_TRUE(decided(wavering(40, -2, 1.5), Verdict::pass));  // 3 % is excluded
  EXPECT_TRUE(decided(wavering(8, -5, 2), Verdict::improved));
  EXPECT_FALSE(decided(wavering(8, 0, 8), Verdict::ambiguous));
}

TEST(GateRatio, BetterOnlyBecauseFullGotSlowerIsARegression) {
  const PointVerdict verdict = verdict_of(measured(0, 0.08));
  EXPECT_EQ(verdict.time_verdict, Verdict::pass);
  EXPECT_EQ(verdict.verdict, Verdict::regressed);
  EXPECT_THAT(verdict.words, HasSubstr("only because full got slower"));
  GateRules rules;
  rules.metric = GateMetric::ratio;
  EXPECT_EQ(verdict_of(measured(0, 0.08), rules).verdict, Verdict::regressed);
}

TEST(GateRatio, WorseBecauseFullGotFasterIsNone) {
  const PointVerdict verdict = verdict_of(measured(0, -0.08));
  EXPECT_EQ(verdict.verdict, Verdict::pass);
  EXPECT_EQ(verdict.ratio_verdict, Verdict::regressed);
  EXPECT_THAT(verdict.words, HasSubstr("because full got faster"));
}

// Nor does it hold up a gate that is under way.
TEST(GateRatio, WorseBecauseFullGotFasterIsNotSuspected) {
  GateRules rules;
  rules.confirm = true;
  const Progress progress = look_at(measured(0, -0.08), rules);
  EXPECT_FALSE(progress.suspected);
  EXPECT_TRUE(progress.decided);
  EXPECT_TRUE(look_at(measured(0.08, -0.08), rules).suspected);  // by its own time
}

TEST(GateRatio, SlowerThanTheMachineIsFoundBesideAFasterFull) {
  // Neither moves far enough to be called by itself; their ratio does.
  GateRules rules;
  rules.threshold = 0.05;
  const PointVerdict verdict = verdict_of(measured(0.02, -0.02), rules);
  EXPECT_EQ(verdict.time_verdict, Verdict::pass);
  EXPECT_EQ(verdict.verdict, Verdict::regressed);
  EXPECT_TRUE(verdict.judged_by_ratio);
}

TEST(GateMachines, TimesOfTwoMachinesDoNotCompareAndRatiosDoWhenAsked) {
  GateInput input = simulated_gate({measured(-0.5, -0.5)});
  input.head.machine["cpu_model"] = "Y";
  EXPECT_EQ(judge(input, {}).verdict, Verdict::incomparable);
  GateRules rules;
  rules.metric = GateMetric::ratio;
  EXPECT_EQ(judge(input, rules).verdict, Verdict::pass);
}

TEST(GateMachines, ALibraryBelongsToTheProgram) {
  GateInput input = simulated_gate({measured(0)});
  input.base.machine["library X"] = "1";
  input.head.machine["library X"] = "2";
  EXPECT_EQ(judge(input, {}).verdict, Verdict::pass);
}

ExactFigure figure(const char* name, double value, bool isa = false) {
  return {name, "bytes", isa, false, value};
}

TEST(GateFigures, AnyIncreaseIsARegressionAndItsLimitCanBeSet) {
  GatePoint point = measured(0);
  point.base.figures = {figure("bytes_requested", 1000)};
  point.head.figures = {figure("bytes_requested", 1001)};
  EXPECT_EQ(verdict_of(point).verdict, Verdict::regressed);
  EXPECT_THAT(verdict_of(point).words, HasSubstr("bytes_requested 1000 -> 1001 (+0.1 %)"));
  GateRules rules;
  rules.figure_thresholds["bytes_requested"] = 0.01;
  EXPECT_EQ(verdict_of(point, rules).verdict, Verdict::pass);
  EXPECT_EQ(verdict_of(point, rules).figures.size(), 1u);  // shown all the same
  point.head.figures = {figure("bytes_requested", 900)};
  EXPECT_EQ(verdict_of(point).verdict, Verdict::improved);
}

constexpr SidesAlike kAlike{.isa = true, .machine = true};

TEST(GateFigures, OfAnotherInstructionSetOrOfOneSideAreNotCompared) {
  const auto compared = compare_figures({figure("a", 1, true), figure("b", 2), figure("c", 3)},
                                        {figure("a", 9, true), figure("b", 2), figure("d", 4)},
                                        {.isa = false, .machine = false}, {});
  EXPECT_EQ(compared.same, 1);
  EXPECT_EQ(compared.not_compared, 3);
  EXPECT_THAT(compared.changes, IsEmpty());
}

TEST(GateFigures, CountedOnesMayWaver) {
  const auto compared = compare_figures({{"instructions", "", true, true, 1000}},
                                        {{"instructions", "", true, true, 1005}}, kAlike, {});
  EXPECT_EQ(compared.changes.at(0).verdict, Verdict::pass);
}

ExactFigure counted(double value, double low, double high) {
  ExactFigure counted{"instructions", "", false, true, value};
  counted.counted_as = "PAPI_TOT_INS, avx2, 1 thread";
  counted.low = low;
  counted.high = high;
  return counted;
}

Verdict verdict_of_counts(const ExactFigure& base, const ExactFigure& head,
                          const GateRules& rules = {}) {
  return compare_figures({base}, {head}, kAlike, rules).changes.at(0).verdict;
}

TEST(GateFigures, OfCountersOnePercentIsAllowedAndSettable) {
  const ExactFigure base = counted(1000, 999, 1001);
  EXPECT_EQ(verdict_of_counts(base, counted(1009, 1009, 1009)), Verdict::pass);
  EXPECT_EQ(verdict_of_counts(base, counted(1012, 1012, 1012)), Verdict::regressed);
  EXPECT_EQ(verdict_of_counts(base, counted(980, 980, 980)), Verdict::improved);
  GateRules rules;
  rules.figure_thresholds["instructions"] = 0.001;
  EXPECT_EQ(verdict_of_counts(base, counted(1005, 1004, 1006), rules), Verdict::regressed);
}

TEST(GateFigures, CountsThatOverlapAreNotToldApart) {
  const ExactFigure noisy = counted(1000, 990, 1030);
  EXPECT_EQ(verdict_of_counts(noisy, counted(1020, 1010, 1040)), Verdict::ambiguous);
  EXPECT_EQ(verdict_of_counts(noisy, counted(985, 985, 991)), Verdict::ambiguous);
  EXPECT_EQ(verdict_of_counts(noisy, counted(1050, 1040, 1060)), Verdict::regressed);
  const auto change =
      compare_figures({noisy}, {counted(1020, 1010, 1040)}, kAlike, {}).changes.at(0);
  EXPECT_DOUBLE_EQ(change.noise, 0.04);
  EXPECT_THAT(figure_words(change), HasSubstr("processes differ by 4 %: not told apart"));
}

TEST(GateFigures, CountersOfTwoMachinesAreNotCompared) {
  const SidesAlike other_machine{.isa = true, .machine = false};
  const auto compared =
      compare_figures({counted(1000, 0, 0)}, {counted(2000, 0, 0)}, other_machine, {});
  EXPECT_THAT(compared.changes, IsEmpty());
  EXPECT_THAT(compared.notes.at(0), HasSubstr("two machines"));
  ExactFigure simulated = counted(1000, 0, 0);
  simulated.simulated = true;
  ExactFigure more = simulated;
  more.value = 1003;
  EXPECT_EQ(compare_figures({simulated}, {more}, other_machine, {}).changes.at(0).verdict,
            Verdict::regressed);
}

TEST(GateFigures, AloneTheyAreJudgedAcrossMachines) {
  GatePoint point = measured(0.5);
  point.base.figures = {figure("flops", 10)};
  point.head.figures = {figure("flops", 10)};
  GateInput input = simulated_gate({point});
  input.head.machine["cpu_model"] = "Y";
  GateRules rules;
  rules.metric = GateMetric::exact;
  EXPECT_EQ(judge(input, rules).verdict, Verdict::pass);
  input.points[0].head.figures.clear();
  EXPECT_EQ(judge(input, rules).verdict, Verdict::missing);
}

TEST(GateFigures, TheProgramsOwnSizeCounts) {
  GateInput input = simulated_gate({measured(0)});
  input.base.figures = {figure("binary_bytes", 1'000'000)};
  input.head.figures = {figure("binary_bytes", 1'001'000)};
  EXPECT_EQ(judge(input, {}).verdict, Verdict::pass);
  EXPECT_EQ(judge(input, {}).figures.size(), 1u);
  input.head.figures = {figure("binary_bytes", 1'100'000)};
  EXPECT_EQ(judge(input, {}).verdict, Verdict::regressed);
}

/// Twelve layers of two operations; `slower` says how much longer each takes in head.
Origin origin(const std::function<double(int layer, const std::string& op)>& slower) {
  nlohmann::ordered_json base = {{"ranges", nlohmann::ordered_json::array()}};
  nlohmann::ordered_json head = base;
  for (int layer = 0; layer < 12; ++layer) {
    for (const std::string op : {"qkv", "ffn1"}) {
      nlohmann::ordered_json range = {
          {"path", "encode(joint,0..12)/layer " + std::to_string(layer) + "/" + op},
          {"level", "op"},
          {"median_ns", 1000.0}};
      base["ranges"].push_back(range);
      range["median_ns"] = 1000.0 * (1 + slower(layer, op));
      head["ranges"].push_back(range);
    }
  }
  return origin_of(*attribute(base, head));
}

TEST(GateOrigin, IsTheNarrowestThatHoldsTheChange) {
  EXPECT_EQ(origin([](int layer, const std::string& op) {
              return layer == 3 && op == "qkv" ? 0.5 : 0.0;
            }).where,
            "encode(joint,0..12)/layer 3/qkv");
  // One operation of two is the half that a common change would be taken from: not in every layer.
  const Origin ffn1 = origin(
      [](int layer, const std::string& op) { return layer < 6 && op == "ffn1" ? 0.5 : 0.0; });
  EXPECT_EQ(ffn1.where, "ffn1");
  EXPECT_EQ(ffn1.level, "op");
  EXPECT_EQ(origin([](int layer, const std::string&) { return layer == 5 ? 0.5 : 0.0; }).where,
            "encode(joint,0..12)/layer 5");
}

TEST(GateOrigin, IsNobodyWhenEverythingIsSlower) {
  EXPECT_EQ(origin([](int, const std::string&) { return 0.1; }).where, "");
}

TEST(GateOrigin, IsNobodyWhenTheLargestHoldsLittleOfTheChange) {
  // A third of the change in one range, the rest a little everywhere else of the same kind.
  EXPECT_EQ(origin([](int layer, const std::string& op) {
              return layer == 3 && op == "qkv" ? 0.2 : layer % 2 == 0 ? 0.07 : 0.0;
            }).where,
            "");
}

TEST(GateOrigin, AnImprovementHasOneToo) {
  EXPECT_EQ(origin([](int layer, const std::string& op) {
              return layer == 3 && op == "qkv" ? -0.5 : 0.0;
            }).where,
            "encode(joint,0..12)/layer 3/qkv");
}

}  // namespace
}  // namespace deformer
