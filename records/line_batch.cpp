#include "records/line_batch.hpp"

#include <algorithm>
#include <future>
#include <thread>

#include "records/skim.hpp"

namespace deformer {
namespace {

/// What tells a torn set, and so stays of every record.
constexpr const char* kOfASet[] = {"run", "set", "set_size"};

}  // namespace

LineBatch::LineBatch(std::string file, Digester digester, std::vector<std::string> wanted)
    : file_(std::move(file)), digester_(std::move(digester)), wanted_(std::move(wanted)) {
  for (const char* name : kOfASet)
    if (std::ranges::find(wanted_, name) == wanted_.end()) wanted_.emplace_back(name);
}

void LineBatch::add(const LineReader::Line& line) {
  entries_.push_back({.number = line.number,
                      .offset = line.offset,
                      .start = text_.size(),
                      .length = line.text.size()});
  text_ += line.text;
}

void LineBatch::parse(const std::function<void(Entry&)>& take) {
  constexpr std::size_t kWorthAThread = std::size_t{256} << 10;  // some milliseconds
  const std::size_t processors = std::clamp(std::thread::hardware_concurrency(), 1U, 16U);
  const std::size_t parts = std::clamp(text_.size() / kWorthAThread, std::size_t{1}, processors);
  const auto start_of = [&](std::size_t part) { return entries_.size() * part / parts; };
  std::vector<std::future<void>> others;
  for (std::size_t part = 1; part < parts; ++part)
    others.push_back(std::async(
        std::launch::async,
        [this, first = start_of(part), last = start_of(part + 1)] { parse_part(first, last); }));
  parse_part(0, start_of(1));
  for (auto& other : others) other.get();
  for (Entry& entry : entries_) {
    if (entry.error) std::rethrow_exception(entry.error);
    take(entry);
  }
  entries_.clear();
  text_.clear();
}

void LineBatch::digest(Entry& entry, std::string_view text) const {
  auto skimmed = skim_record(text, text_.size() - entry.start - entry.length, wanted_);
  if (skimmed)
    entry.line = {LineType::record, std::move(*skimmed)};
  else
    entry.line = parse_line(text, {file_, entry.number});
  if (entry.line.type != LineType::record) return;
  nlohmann::ordered_json& record = entry.line.json;
  entry.digest = digester_(record, {entry.offset, static_cast<std::int64_t>(entry.length)});
  nlohmann::ordered_json kept;
  for (const char* name : kOfASet)
    if (const auto found = record.find(name); found != record.end()) kept[name] = std::move(*found);
  record = std::move(kept);
}

void LineBatch::parse_part(std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i) {
    Entry& entry = entries_[i];
    const std::string_view text = std::string_view(text_).substr(entry.start, entry.length);
    try {
      if (digester_)
        digest(entry, text);
      else
        entry.line = parse_line(text, {file_, entry.number});
    } catch (...) {
      entry.error = std::current_exception();
      return;
    }
  }
}

}  // namespace deformer
