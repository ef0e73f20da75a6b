/// Printers: what people, spreadsheets, LaTeX and browsers get, and that no text escapes its place.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cctype>
#include <limits>
#include <random>
#include <string_view>

#include "reports/html.hpp"
#include "reports/table.hpp"
#include "reports/text.hpp"
#include "tests/reports/fixture.hpp"

namespace deformer {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Table one_text(const std::string& text) {
  return {text, {{"name", "name", "", "", true}}, {{Cell(text)}}, {text}, {0}, {text}, {text}};
}

/// Texts of what breaks formats, put together at random.
std::string hostile(std::mt19937& random) {
  static const std::vector<std::string> kPieces = {"|",
                                                   "\n",
                                                   "\r",
                                                   "\"",
                                                   "'",
                                                   ",",
                                                   "<script>",
                                                   "</script>",
                                                   "<!--",
                                                   "-->",
                                                   "&amp;",
                                                   "\\",
                                                   "{",
                                                   "}",
                                                   "$",
                                                   "%",
                                                   "#",
                                                   "_",
                                                   "^",
                                                   "~",
                                                   "\\end{document}",
                                                   "\\input{x}",
                                                   "=1+1",
                                                   "@",
                                                   "`",
                                                   "*",
                                                   "[a](b)",
                                                   "\x1b[2J",
                                                   "\xE2\x80\xAE",
                                                   "\xFF",
                                                   "é",
                                                   "模",
                                                   "a",
                                                   " ",
                                                   "\t",
                                                   "javascript:",
                                                   "]]>",
                                                   "--"};
  std::string text;
  for (int i = 0; i < 8; ++i) text += kPieces[random() % kPieces.size()];
  return text;
}

/// RFC 4180 read back.
std::vector<std::vector<std::string>> read_csv(const std::string& text) {
  std::vector<std::vector<std::string>> rows = {{""}};
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted) {
      if (text[i] != '"') {
        rows.back().back() += text[i];
      } else if (i + 1 < text.size() && text[i + 1] == '"') {
        rows.back().back() += text[++i];
      } else {
        quoted = false;
      }
    } else if (text[i] == '"') {
      quoted = true;
    } else if (text[i] == ',') {
      rows.back().emplace_back();
    } else if (text.compare(i, 2, "\r\n") == 0) {
      rows.push_back({""});
      ++i;
    } else {
      rows.back().back() += text[i];
    }
  }
  rows.pop_back();
  return rows;
}

TEST(Csv, EveryHostileTextReadsBackAsItWas) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = hostile(random);
    const auto rows = read_csv(print_table(one_text(text), TableFormat::csv));
    ASSERT_EQ(rows.size(), 2u) << text;
    EXPECT_EQ(rows[1], std::vector<std::string>{text});
  }
}

TEST(Csv, NumbersHaveAllTheirDigitsAndIntervalsTwoColumns) {
  const Table table{"",
                    {{"median_ns", "median", "ns", "", false, Hint::duration},
                     {"median_interval_ns", "i", "ns", "", false, Hint::duration_interval},
                     {"k", "k", "", "", false, Hint::count}},
                    {{Cell::number(0.1), Cell::interval(1, 0.5, 1.5), Cell::number(9)},
                     {Cell(), Cell(), Cell()}}};
  EXPECT_EQ(print_table(table, TableFormat::csv),
            "median_ns,median_ci_low_ns,median_ci_high_ns,k\r\n0.1,0.5,1.5,9\r\n,,,\r\n");
}

/// What GitHub's reader takes for text in one row of a table: cells split at bars that no backslash
/// precedes, escapes and references undone. Empty cells and a failure where it would see markup.
std::vector<std::string> read_markdown_row(const std::string& line) {
  std::vector<std::string> cells(1);
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const char next = i + 1 < line.size() ? line[i + 1] : '\0';
    std::string& cell = cells.back();
    const auto starts = [&](std::string_view what) {
      return std::string_view(line).substr(i).starts_with(what);
    };
    if (c == '\\' && std::ispunct(static_cast<unsigned char>(next)) != 0) {
      cell += next;
      ++i;
    } else if (c == '|') {
      cells.emplace_back();
    } else if (starts("&amp;")) {
      cell += '&';
      i += 4;
    } else if (starts("&lt;") || starts("&gt;")) {
      cell += starts("&lt;") ? '<' : '>';
      i += 3;
    } else {
      const bool link = c == ']' && (next == '(' || next == '[' || next == ':');
      const auto is_word = [](char x) {
        return std::isalnum(static_cast<unsigned char>(x)) != 0 ||
               static_cast<unsigned char>(x) >= 0x80;
      };
      const bool emphasis = c == '_' && !(i > 0 && is_word(line[i - 1]) && is_word(next));
      EXPECT_TRUE(std::string_view("<>&`*$~").find(c) == std::string_view::npos && !link &&
                  !emphasis)
          << "markup '" << c << "' in " << line;
      cell += c;
    }
  }
  return cells;
}

TEST(Markdown, EveryHostileTextStaysInItsCellAndReadsBack) {
  std::mt19937 random(6);
  const std::vector<std::string> pieces = {
      "`", "``", "*",   "**",  "_", "__",  "~~",   "[x](http://y)", "![",  "]:",
      "$", "\\", "\\|", "---", "#", "a_b", "&lt;", "[^1]",          "1. ", "<!--"};
  for (int i = 0; i < 3000; ++i) {
    std::string text = "x";  // spaces at the ends of a cell are no part of it
    for (int n = 0; n < 3; ++n) text += hostile(random) + pieces[random() % pieces.size()];
    text += 'x';
    const std::string out = print_table(
        Table{"", {{"name", "name", "", "", true}, {"k", "k", "", "", true}}, {{text, "end"}}},
        TableFormat::markdown);
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < out.size();) {
      const std::size_t end = std::min(out.find('\n', at), out.size());
      lines.push_back(out.substr(at, end - at));
      at = end + 1;
    }
    ASSERT_EQ(lines.size(), 3u) << out;
    const auto cells = read_markdown_row(lines[2]);
    ASSERT_EQ(cells.size(), 4u) << lines[2];
    EXPECT_EQ(cells[1], ' ' + one_line(text) + ' ');
    EXPECT_EQ(cells[2], " end ");
  }
}

TEST(Html, NoHostileTextBecomesMarkup) {
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = html_text(hostile(random));
    EXPECT_EQ(text.find_first_of("<>\"'"), std::string::npos) << text;
  }
}

TEST(Html, NoHostileTextEndsTheScriptThatHoldsTheData) {
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    const std::string text = hostile(random);
    const std::string json = script_json({{"name", text}});
    EXPECT_EQ(json.find_first_of("<>&"), std::string::npos);
    const std::string back = nlohmann::json::parse(json).at("name");
    EXPECT_EQ(back.find('\xFF') == std::string::npos, true);
  }
}

TEST(Html, WhatWasSlowedDownOnPurposeIsInNoChartAndSaid) {
  for (const std::size_t count : {std::size_t{4}, 2 * HtmlPage::kMostRows}) {
    std::vector<RecordRow> rows;
    for (std::size_t i = 0; i < count; ++i) {
      Json record = with_speedup(make_record("cached", 9, 100), 3, 3.2);
      if (i % 4 == 0) record["injected"] = "op=ffn1,slowdown=3%";
      record["group"] = "g" + std::to_string(i / 4);
      rows.push_back(make_row(record, {}));
    }
    HtmlPage page;
    ReportOptions options;
    EXPECT_THAT(page.choose_details(rows, options),
                testing::Contains(HasSubstr(fmt::format("{} row{} NOT A MEASUREMENT", count / 4,
                                                        count == 4 ? " is" : "s are"))));
    EXPECT_GT(page.details.size(), count == 4 ? 2u : 300u);
    for (const RecordRow& row : page.details) EXPECT_TRUE(row.injected.empty());
    const Table table = report_table(std::move(rows), options);
    EXPECT_THAT(table.notes, testing::Contains(HasSubstr("NOT A MEASUREMENT")));
  }
}

TEST(Html, ThePageHasNoAddressToAskOf) {
  HtmlPage page;
  page.table = one_text("https://example.org/x.js");
  std::string out;
  print_html(page, [&out](std::string_view piece) { out += piece; });
  EXPECT_THAT(out, HasSubstr("default-src 'none'"));
  for (const char* asks : {"src=\"http", "href=\"http", "src=http", "href=http", "@import"}) {
    EXPECT_THAT(out, Not(HasSubstr(asks)));
  }
}

/// Every character that LaTeX acts on is escaped: what is left between the escapes is harmless.
TEST(Latex, NoHostileTextIsACommand) {
  std::mt19937 random(4);
  for (int i = 0; i < 2000; ++i) {
    std::string text = latex_text(hostile(random));
    for (const char* escape :
         {"\\textbackslash{}", "\\textasciitilde{}", "\\textasciicircum{}", "\\textless{}",
          "\\textgreater{}", "\\textbar{}", "\\textquotedbl{}", "\\textasciigrave{}", "-{}", "\\&",
          "\\%", "\\$", "\\#", "\\_", "\\{", "\\}"}) {
      for (std::size_t at; (at = text.find(escape)) != std::string::npos;) {
        text.replace(at, std::string_view(escape).size(), ".");
      }
    }
    EXPECT_EQ(text.find_first_of("\\{}$&#^_~%"), std::string::npos) << text;
  }
}

TEST(Latex, UnitsStandInTheHeadAndTheBestOfAGroupIsBold) {
  const Table table{"t",
                    {{"n", "name", "", "", true},
                     {"median_ns", "median", "ns", "", false, Hint::duration, Better::lower}},
                    {{Cell("a_b"), Cell::number(2.5e6)}, {Cell("c"), Cell::number(41.25e6)}},
                    {},
                    {0, 0}};
  const std::string out = print_table(table, TableFormat::latex);
  EXPECT_THAT(out, HasSubstr("{median (ms)}"));
  EXPECT_THAT(out, HasSubstr("{a\\_b} & \\bfseries 2.50 \\\\"));
  EXPECT_THAT(out, HasSubstr("{c} & 41.2 \\\\"));
  EXPECT_THAT(out, HasSubstr("S[table-format=2.2]"));
}

TEST(Latex, AHostileTextInACommentStaysOnItsLine) {
  const std::string out = print_table(one_text("x\n\\input{/etc/passwd}"), TableFormat::latex);
  EXPECT_THAT(out, Not(HasSubstr("\n\\input")));
}

TEST(Printers, WhatIsNotANumberPrintsAsNone) {
  for (const double value : {kNaN, kInfinity, -kInfinity}) {
    std::vector<Column> columns;
    std::vector<Cell> cells;
    for (int hint = 0; hint <= static_cast<int>(Hint::gigaflops); ++hint) {
      columns.push_back({"c" + std::to_string(hint), "t", "", "", false, static_cast<Hint>(hint)});
      cells.push_back(hint % 2 == 0 ? Cell::number(value) : Cell::interval(1, value, 2));
      EXPECT_FALSE(cells.back().has_value());
    }
    const Table table{"", columns, {cells}};
    for (const TableFormat format : {TableFormat::console, TableFormat::markdown,
                                     TableFormat::latex, TableFormat::csv, TableFormat::json}) {
      const std::string out = print_table(table, format);
      EXPECT_THAT(out, Not(testing::ContainsRegex("nan|inf[^o]|NaN|Infinity")));
    }
    EXPECT_TRUE(row_json(table, 0)["c0"].is_null());
  }
}

TEST(Console, ColumnsThatDoNotFitAreLeftOutAndNamed) {
  Table table{"",
              {{"name", "name", "", "", true},
               {"wide", "wide", "", "", true, Hint::text, Better::neither, 1},
               {"wider", "wider", "", "", true, Hint::text, Better::neither, 2}},
              {{Cell("abc"), Cell("0123456789"), Cell("01234567890123456789")}}};
  PrintOptions options;
  options.width = 20;
  const std::string out = print_table(table, options);
  EXPECT_THAT(out, HasSubstr("abc   0123456789\n"));
  EXPECT_THAT(out, HasSubstr("left out to fit the terminal: wider"));
  options.width = 0;
  EXPECT_THAT(print_table(table, options), HasSubstr("01234567890123456789"));
}

TEST(Console, ATextTooWideForTheTerminalIsBrokenAtSpacesAndANameNever) {
  const std::string name = "bert-base/squad/q27/p293/b1/full/cpu/f32/t2";
  const Table table{
      "",
      {{"point", "point", "", "", true}, {"why", "why", "", "", true}, {"n", "n", "", ""}},
      {{Cell(name), Cell("expected one thing, found another, do a third"), Cell("7")},
       {Cell("b"), Cell("short"), Cell("8")}}};
  PrintOptions options;
  options.width = 70;
  EXPECT_EQ(print_table(table, options),
            "point                                        why                     n\n"
            "-------------------------------------------  ----------------------  -\n"
            "bert-base/squad/q27/p293/b1/full/cpu/f32/t2  expected one thing,     7\n"
            "                                             found another, do a\n"
            "                                             third\n"
            "b                                            short                   8\n");
  options.width = 20;
  EXPECT_THAT(print_table(table, options), HasSubstr(name));
}

TEST(Printers, ManyRowsComeInOrder) {
  Table table{"", {{"i", "i", "", "", false, Hint::count}}, {}};
  std::string expected = "i\r\n";
  for (int i = 0; i < 20'000; ++i) {
    table.rows.push_back({Cell::number(i)});
    expected += std::to_string(i) + "\r\n";
  }
  EXPECT_EQ(print_table(table, TableFormat::csv), expected);
}

}  // namespace
}  // namespace deformer
