// A verdict as CI services read it: job summary, workflow commands, JUnit XML.

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "reports/gate/figures.hpp"
#include "reports/gate/output.hpp"
#include "reports/gate/words.hpp"
#include "reports/table.hpp"
#include "reports/text.hpp"

namespace deformer {
namespace {

/// One character of a workflow command that would end it or one of its properties. GitHub decodes
/// these percent signs.
std::string command_text(std::string_view text, bool property) {
  std::string out;
  for (const char c : one_line(text)) {
    switch (c) {
      case '%':
        out += "%25";
        break;
      case ':':
        out += property ? "%3A" : ":";
        break;
      case ',':
        out += property ? "%2C" : ",";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// Text of XML 1.0, which has no way to write a control character: html_text shows them as escapes.
/// The two code points that are UTF-8 but no XML, U+FFFE and U+FFFF, are replaced.
std::string xml_text(std::string_view text) {
  std::string line(text);
  for (const std::string_view not_xml : {"\xEF\xBF\xBE", "\xEF\xBF\xBF"}) {
    for (std::size_t at = line.find(not_xml); at != std::string::npos;
         at = line.find(not_xml, at)) {
      line.replace(at, not_xml.size(), "\xEF\xBF\xBD");
    }
  }
  return html_text(line);
}

/// How loud each verdict is.
std::string_view level_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::invalid:
    case Verdict::regressed:
      return "error";
    case Verdict::missing:
    case Verdict::incomparable:
    case Verdict::ambiguous:
      return "warning";
    case Verdict::improved:
      return "notice";
    case Verdict::pass:
      return "";
  }
  return "";
}

std::string junit_case(const PointVerdict& point) {
  std::string body;
  std::string what = xml_text(fmt::format("{}: {}", verdict_name(point.verdict), point.words));
  const std::string detail =
      point.reproduce.empty() ? what : what + "\nreproduce: " + xml_text(point.reproduce);
  if (exit_code(point.verdict) == 0) {
    for (const FigureChange& change : point.figures) {
      what += xml_text(fmt::format("; {}: {}", verdict_name(change.verdict), figure_words(change)));
    }
  }
  if (exit_code(point.verdict) == 1) {
    body = fmt::format("<failure type=\"{}\" message=\"{}\">{}</failure>",
                       verdict_name(point.verdict), what, detail);
  } else if (exit_code(point.verdict) != 0) {
    body = fmt::format("<error type=\"{}\" message=\"{}\">{}</error>", verdict_name(point.verdict),
                       what, detail);
  } else {
    body = fmt::format("<system-out>{}</system-out>", what);
  }
  return fmt::format("    <testcase classname=\"deformer-bench.gate\" name=\"{}\">{}</testcase>\n",
                     xml_text(point.name), body);
}

/// What is wrong with the whole and stands at no point: a test case of its own, or a service that
/// counts cases would show a gate without points as green.
std::string junit_whole(const GateResult& result) {
  PointVerdict whole;
  whole.name = "gate";
  whole.verdict = result.verdict;
  whole.words = result.words;
  for (const std::string& note : result.notes) {
    whole.words += "; " + note;
  }
  return junit_case(whole);
}

}  // namespace

std::string gate_summary_markdown(const GateResult& result) {
  std::string text = fmt::format("## deformer-bench gate: {}\n\n{}\n\n",
                                 verdict_name(result.verdict), markdown_text(gate_line(result)));
  Table table = gate_table(result);
  table.title.clear();
  text += print_table(table, TableFormat::markdown);
  return text + "\n";
}

std::string gate_annotations(const GateResult& result) {
  constexpr int kMost = 10;  // of each level; the service drops what is beyond
  std::string text;
  std::array<int, 3> written = {};
  std::vector<PointVerdict> points = result.points;
  std::ranges::stable_sort(points, {}, &PointVerdict::verdict);
  for (const PointVerdict& point : points) {
    const std::string_view level = level_of(point.verdict);
    if (level.empty()) {
      continue;
    }
    int& count = written[level == "error" ? 0 : level == "warning" ? 1 : 2];
    if (++count > kMost) {
      continue;
    }
    const std::string reproduce =
        point.reproduce.empty() ? "" : "%0Areproduce: " + command_text(point.reproduce, false);
    text += fmt::format(
        "::{} title={}::{}{}\n", level,
        command_text(fmt::format("{} {}", verdict_name(point.verdict), point.name), true),
        command_text(point.words, false), reproduce);
  }
  if (text.empty() && result.exit_code() != 0) {
    text = fmt::format("::{} title=gate::{}\n", level_of(result.verdict),
                       command_text(gate_line(result), false));
  }
  return text;
}

std::string gate_junit(const GateResult& result) {
  std::string cases;
  std::size_t failures = 0;
  std::size_t errors = 0;
  const auto count = [&](Verdict verdict) {
    failures += exit_code(verdict) == 1 ? 1 : 0;
    errors += exit_code(verdict) == 4 ? 1 : 0;
  };
  for (const PointVerdict& point : result.points) {
    cases += junit_case(point);
    count(point.verdict);
  }
  cases += junit_whole(result);
  count(result.verdict);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
      "  <testsuite name=\"deformer-bench gate\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n{}"
      "  </testsuite>\n</testsuites>\n",
      result.points.size() + 1, failures, errors, cases);
}

}  // namespace deformer
