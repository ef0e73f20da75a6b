#include "records/line_reader.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "model/error.hpp"

namespace deformer {

LineReader::LineReader(int descriptor, std::string name)
    : descriptor_(descriptor), name_(std::move(name)), buffer_(std::size_t{1} << 20) {}

bool LineReader::next(Line& line) {
  for (;;) {
    const char* start = buffer_.data() + begin_;
    const void* newline =
        scan_ < end_ ? std::memchr(buffer_.data() + scan_, '\n', end_ - scan_) : nullptr;
    const std::size_t length =
        newline != nullptr ? static_cast<std::size_t>(static_cast<const char*>(newline) - start)
                           : end_ - begin_;
    if (length > kMaxLineBytes) refuse_length();
    if (newline != nullptr) return take(line, length, true);
    scan_ = end_;
    if (!refill()) return length > 0 && take(line, length, false);
  }
}

void LineReader::refuse_length() const {
  throw BadInput(
      fmt::format("{}:{}: expected lines of at most {} MB, found a longer one; is this a "
                  "run file of deformer-bench?",
                  name_, number_ + 1, kMaxLineBytes >> 20));
}

bool LineReader::take(Line& line, std::size_t length, bool whole) {
  line = {{buffer_.data() + begin_, length}, ++number_, offset_, whole};
  begin_ += length + (whole ? 1 : 0);
  scan_ = begin_;
  offset_ += static_cast<std::int64_t>(length) + (whole ? 1 : 0);
  return true;
}

bool LineReader::refill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    scan_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  ssize_t got = 0;
  do {
    got = ::read(descriptor_, buffer_.data() + end_, buffer_.size() - end_);
  } while (got < 0 && errno == EINTR);
  if (got < 0) throw BadInput(fmt::format("{}: cannot be read: {}", name_, std::strerror(errno)));
  end_ += static_cast<std::size_t>(got);
  return got > 0;
}

}  // namespace deformer
