#include "records/line_batch.hpp"

#include <algorithm>
#include <future>
#include <thread>

namespace deformer {

void LineBatch::add(const LineReader::Line& line) {
  entries_.push_back(
      {.text = std::string(line.text), .number = line.number, .offset = line.offset});
  bytes_ += line.text.size();
}

void LineBatch::parse(const std::function<void(Entry&)>& take) {
  constexpr std::size_t kWorthAThread = std::size_t{256} << 10;  // some milliseconds
  const std::size_t processors = std::clamp(std::thread::hardware_concurrency(), 1U, 16U);
  const std::size_t parts = std::clamp(bytes_ / kWorthAThread, std::size_t{1}, processors);
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
  bytes_ = 0;
}

void LineBatch::digest(Entry& entry) const {
  const auto length = static_cast<std::int64_t>(entry.text.size());
  nlohmann::ordered_json& record = entry.line.json;
  entry.digest = digester_(record, {entry.offset, length});
  nlohmann::ordered_json kept;
  for (const char* name : {"run", "set", "set_size"})
    if (const auto found = record.find(name); found != record.end()) kept[name] = *found;
  record = std::move(kept);
}

void LineBatch::parse_part(std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i) {
    Entry& entry = entries_[i];
    try {
      entry.line = parse_line(entry.text, {file_, entry.number});
      if (digester_ && entry.line.type == LineType::record) digest(entry);
    } catch (...) {
      entry.error = std::current_exception();
      return;
    }
  }
}

}  // namespace deformer
