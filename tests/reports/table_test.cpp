#include "reports/table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace deformer {
namespace {

using testing::HasSubstr;
using testing::Not;

Table small_table() {
  return {"cpu f32",
          {{"name", "model", "", "", true}, {"median_ns", "median", "ns", ""}},
          {{"bert", "41.2 ms"}, {"modèle", std::nullopt}, {"模型", "9 ms"}},
          {"a note"}};
}

TEST(Table, ConsoleIsAlignedByWhatATerminalShows) {
  EXPECT_EQ(print_table(small_table(), TableFormat::console),
            "cpu f32\n"
            "\n"
            "model    median\n"
            "------  -------\n"
            "bert    41.2 ms\n"
            "modèle        -\n"
            "模型       9 ms\n"
            "\n"
            "a note\n");
}

TEST(Table, MarkdownIsOneLineARow) {
  EXPECT_EQ(print_table(small_table(), TableFormat::markdown),
            "**cpu f32**\n"
            "\n"
            "| model | median |\n"
            "| :--- | ---: |\n"
            "| bert | 41.2 ms |\n"
            "| modèle | - |\n"
            "| 模型 | 9 ms |\n"
            "\n"
            "- a note\n");
}

std::string markdown_cell(const std::string& text) {
  const Table table{"", {{"name", "n", "", "", true}}, {{text}}, {}};
  const std::string head = "| n |\n| :--- |\n| ";
  const std::string out = print_table(table, TableFormat::markdown);
  return out.substr(head.size(), out.size() - head.size() - 3);
}

TEST(Table, HostileNamesDoNotBreakMarkdown) {
  EXPECT_EQ(markdown_cell("a|b"), "a\\|b");
  EXPECT_EQ(markdown_cell("a\\|b"), "a\\\\\\|b");
  EXPECT_EQ(markdown_cell("a\nb"), "a\\\\nb");
  EXPECT_EQ(markdown_cell("`x`"), "\\`x\\`");
  EXPECT_EQ(markdown_cell("<img src=x>&amp;"), "&lt;img src=x&gt;&amp;amp;");
  EXPECT_EQ(markdown_cell("[a](http://b)"), "[a\\](http://b)");
  EXPECT_EQ(markdown_cell("**a** __b__ ~~c~~"), "\\*\\*a\\*\\* \\_\\_b\\_\\_ \\~\\~c\\~\\~");
}

TEST(Table, PlainTextStaysAsItIsInMarkdown) {
  EXPECT_EQ(markdown_cell("max_abs [40.9, 41.6] ~"), "max_abs [40.9, 41.6] \\~");
  EXPECT_EQ(markdown_cell("~"), "~");
}

TEST(Table, ATerminalIsNeverSteeredByAName) {
  for (const TableFormat format : {TableFormat::console, TableFormat::markdown}) {
    const std::string hostile = "a\x1b[2J\r\xC2\x9B\xE2\x80\xAE";
    const Table table{hostile, {{"n", hostile, "", ""}}, {{hostile}}, {hostile}};
    const std::string out = print_table(table, format);
    EXPECT_THAT(out, Not(HasSubstr("\x1b")));
    EXPECT_THAT(out, Not(HasSubstr("\r")));
    EXPECT_THAT(out, Not(HasSubstr("\xC2\x9B")));
    EXPECT_THAT(out, Not(HasSubstr("\xE2\x80\xAE")));
    EXPECT_THAT(out, HasSubstr("\\x1b[2J"));
  }
}

TEST(Table, InvalidUtf8BecomesTheReplacementCharacter) {
  const auto shown = [](const std::string& text) { return markdown_cell(text); };
  const std::string mark = "\xEF\xBF\xBD";
  EXPECT_EQ(shown("a\xFF"), "a" + mark);
  EXPECT_EQ(shown("\xE6\xA8"), mark + mark);                        // cut short
  EXPECT_EQ(shown("\xC0\xAF"), mark + mark);                        // overlong
  EXPECT_EQ(shown("\xE0\x80\xAF"), mark + mark + mark);             // overlong
  EXPECT_EQ(shown("\xF5\x80\x80\x80"), mark + mark + mark + mark);  // beyond Unicode
  EXPECT_EQ(shown("\xED\xA0\x80"), mark + mark + mark);             // a surrogate
  EXPECT_EQ(shown(mark), mark);
}

TEST(Table, ShortAndLongRowsAndEmptyTablesPrint) {
  const Table ragged{
      "", {{"a", "a", "", ""}, {"b", "b", "", ""}}, {{"1"}, {"1", "2", "3"}, {}}, {}};
  EXPECT_EQ(print_table(ragged, TableFormat::console), "a  b\n-  -\n1  -\n1  2\n-  -\n");
  EXPECT_EQ(print_table(ragged, TableFormat::markdown),
            "| a | b |\n| ---: | ---: |\n| 1 | - |\n| 1 | 2 |\n| - | - |\n");
  EXPECT_EQ(print_table({}, TableFormat::console), "");
  EXPECT_EQ(print_table({}, TableFormat::markdown), "");
}

TEST(Human, TimesHaveThreeDigitsAndAUnit) {
  EXPECT_EQ(human_time(41.23e6), "41.2 ms");
  EXPECT_EQ(human_time(987e3), "987 us");
  EXPECT_EQ(human_time(0), "0 ns");
  EXPECT_EQ(human_time(0.5), "0.500 ns");
  EXPECT_EQ(human_time(999.6e3), "1.00 ms");
  EXPECT_EQ(human_time(999.4e3), "999 us");
  EXPECT_EQ(human_time(12.34e9), "12.3 s");
  EXPECT_EQ(human_time(12345e9), "12345 s");
  EXPECT_EQ(human_time(-2e6), "-2.00 ms");
}

TEST(Human, BytesFlopsRatiosAndPercents) {
  EXPECT_EQ(human_bytes(88.4e6), "88.4 MB");
  EXPECT_EQ(human_bytes(512), "512 B");
  EXPECT_EQ(human_bytes(5), "5 B");
  EXPECT_EQ(human_bytes(1536), "1.54 kB");
  EXPECT_EQ(human_flops(58.1e9), "58.1 GFLOP");
  EXPECT_EQ(human_flops(0), "0 FLOP");
  EXPECT_EQ(human_ratio(3.019), "3.02x");
  EXPECT_EQ(human_ratio(1e300), "1.00e+300x");
  EXPECT_EQ(human_percent(0.9357), "93.6 %");
}

TEST(Human, IntervalsStandInTheUnitOfTheirCentre) {
  EXPECT_EQ(human_time_interval(41.2e6, 40.9e6, 41.6e6), "[40.9, 41.6]");
  EXPECT_EQ(human_time_interval(987e3, 960e3, 1012e3), "[960, 1012]");
  EXPECT_EQ(human_ratio_interval(2.991, 3.05), "[2.99, 3.05]");
}

TEST(Human, WhatIsNotANumberIsADash) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    EXPECT_EQ(human_time(bad), "-");
    EXPECT_EQ(human_bytes(bad), "-");
    EXPECT_EQ(human_flops(bad), "-");
    EXPECT_EQ(human_ratio(bad), "-");
    EXPECT_EQ(human_percent(bad), "-");
    EXPECT_EQ(human_ratio_interval(1, bad), "-");
    EXPECT_EQ(human_time_interval(bad, 1, 2), "-");
    EXPECT_EQ(human_time_interval(1, bad, 2), "-");
  }
}

}  // namespace
}  // namespace deformer
