// A report reads records without building them whole. It must refuse what the full reading refuses,
// in the same words, and see the same fields.

#include <functional>

#include "model/error.hpp"
#include "records/record_digest.hpp"
#include "tests/records/fixtures.hpp"

namespace deformer::testing {
namespace {

struct Seen : RecordDigest {
  Json record;
};

const std::vector<std::string> kWanted = {"run",    "key",  "name",   "point",
                                          "status", "time", "speedup"};

/// What a reader that keeps few fields makes of the file: its message, or the record it saw.
std::pair<std::string, Json> skimmed(const std::filesystem::path& path) {
  Json record;
  const std::string message = message_of<BadInput>([&] {
    const auto file = digest_run_file(path, kWanted, [](const Json& json, const RecordPlace&) {
      auto seen = std::make_unique<Seen>();
      seen->record = json;
      return seen;
    });
    if (!file.records.empty()) record = static_cast<const Seen&>(*file.records.front()).record;
  });
  return {message, record};
}

std::pair<std::string, Json> read_whole(const std::filesystem::path& path) {
  Json record;
  const std::string message = message_of<BadInput>([&] {
    const RunFile file = read_run_file(path);
    if (!file.records.empty()) record = file.records.front();
  });
  return {message, record};
}

Json without_arrays(const Json& value) {
  if (value.is_array()) return Json::array();
  if (!value.is_object()) return value;
  Json result = Json::object();
  for (const auto& [name, member] : value.items()) result[name] = without_arrays(member);
  return result;
}

/// The wanted fields, their arrays empty: whether more was seen is the reader's affair.
Json wanted_of(const Json& record) {
  if (!record.is_object()) return record;
  Json result = Json::object();
  for (const std::string& name : kWanted)
    if (record.contains(name)) result[name] = without_arrays(record[name]);
  return result;
}

void expect_same(const std::filesystem::path& path, const std::string& line) {
  write_file(path, to_line(run_line("0123")) + "\n" + line + "\n");
  const auto [message, record] = skimmed(path);
  const auto [expected_message, expected] = read_whole(path);
  EXPECT_EQ(message, expected_message) << line;
  EXPECT_EQ(to_line(wanted_of(record)), to_line(wanted_of(expected))) << line;
}

/// All places in a value, as pointers; objects before what is in them.
std::vector<Json::json_pointer> places_in(const Json& value) {
  std::vector<Json::json_pointer> places;
  const Json flat = value.flatten();
  for (const auto& [text, leaf] : flat.items()) {
    for (Json::json_pointer at(text); !at.empty(); at.pop_back())
      if (std::ranges::find(places, at) == places.end()) places.push_back(at);
  }
  return places;
}

TEST(Skim, RefusesAndSeesWhatTheFullReadingDoesWhateverStandsInAField) {
  const TempFolder folder;
  const std::vector<std::string> replacements = {"null",
                                                 "true",
                                                 "-1",
                                                 "0",
                                                 "1",
                                                 "1.5",
                                                 "1e400",
                                                 "18446744073709551615",
                                                 "\"\"",
                                                 "\"x\"",
                                                 "\"ns\"",
                                                 "[]",
                                                 "[1]",
                                                 "[-1]",
                                                 "[null]",
                                                 "[\"a\"]",
                                                 "{}",
                                                 "{\"a\":[1]}",
                                                 "{\"a\":1,\"a\":2}",
                                                 "\"\\u0000\"",
                                                 "\"\\\"\""};
  for (const char* variant : {"full", "cached"}) {
    const Json record = record_of("0123", "0123-1", variant);
    const std::string mark = "\"@@\"";
    for (const auto& place : places_in(record)) {
      Json marked = record;
      marked[place] = "@@";
      const std::string text = to_line(marked);
      const std::size_t at = text.find(mark);
      ASSERT_NE(at, text.npos);
      for (const std::string& replacement : replacements)
        expect_same(folder / "run.jsonl", std::string(text).replace(at, mark.size(), replacement));
    }
  }
}

TEST(Skim, AFieldThatIsMissingIsMissedAsTheFullReadingMissesIt) {
  const TempFolder folder;
  const Json record = record_of("0123", "0123-1", "cached");
  for (const auto& place : places_in(record)) {
    Json less = record;
    Json& parent = less[place.parent_pointer()];
    if (!parent.is_object()) continue;
    parent.erase(place.back());
    expect_same(folder / "run.jsonl", to_line(less));
  }
}

TEST(Skim, APointThatIsMoreThanPlainTextAndNumbersHasItsKeyAllTheSame) {
  const TempFolder folder;
  for (const Json& odd : {Json("caf\u00e9"), Json("a\"b\\c"), Json(0.5), Json(-3), Json(false),
                          Json(nullptr), Json::array({1, "a"}), Json({{"b", 1}, {"a", 2}})}) {
    Json record = record_of("0123", "0123-1", "full");
    record["point"]["odd"] = odd;
    expect_same(folder / "run.jsonl",
                to_line(record));  // the key is wrong: both say which is right
    record["key"] = key_of(record["point"]);
    expect_same(folder / "run.jsonl", to_line(record));
    EXPECT_EQ(skimmed(folder / "run.jsonl").first, "") << to_line(odd);
  }
}

TEST(Skim, WhatIsNotPlainlyARecordIsReadAsTheFullReadingReadsIt) {
  const TempFolder folder;
  const std::string record = to_line(record_of("0123", "0123-1", "full"));
  std::string deep = record;
  deep.insert(deep.size() - 1, ",\"deep\":" + std::string(70, '[') + std::string(70, ']'));
  std::string wide = record;
  for (int i = 0; i < 40; ++i) wide.insert(wide.size() - 1, ",\"f" + std::to_string(i) + "\":1");
  for (const std::string& line :
       {deep, wide, " " + record, record + " ", record + "\r", "\xEF\xBB\xBF" + record,
        record + "x", record.substr(0, record.size() - 1), std::string("{}"), std::string("[]"),
        std::string("{\"type\":\"record\"}"), std::string("{\"schema\":1}"),
        to_line(end_line("0123"))})
    expect_same(folder / "run.jsonl", line);
}

}  // namespace
}  // namespace deformer::testing
