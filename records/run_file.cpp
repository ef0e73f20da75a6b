/// Reading. What a line must hold is in line_check.cpp. What is torn, and so left out rather than
/// refused:
///  - a last line without a newline, for a write ends with one: nothing can be known of the rest of
///  it;
///  - records at the end that are fewer than their `set_size`: a write of a set that was cut
///  between two lines.
/// A last line that has its newline was written whole; if it is malformed, something else spoiled
/// it.

#include "records/run_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "model/error.hpp"
#include "records/line_batch.hpp"
#include "records/line_check.hpp"
#include "records/line_parser.hpp"
#include "records/line_reader.hpp"
#include "records/record_digest.hpp"
#include "records/run_reader.hpp"

namespace deformer {
namespace {

using Json = nlohmann::ordered_json;

const Json& member(const Json& object, const char* name) {
  static const Json null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

/// The records of one set at the end of what was read so far.
class TrailingSet {
 public:
  void see_record(const Json& record, const LineBatch::Entry& line) {
    const Json& set = member(record, "set");
    const Json& size = member(record, "set_size");
    if (set.is_null() || size.is_null()) return see_other();
    if (count_ == 0 || set != set_ || size != size_ || record["run"] != run_) {
      set_ = set;
      size_ = size;
      run_ = record["run"];
      count_ = 0;
      offset_ = line.offset;
      number_ = line.number;
    }
    ++count_;
  }
  void see_other() { count_ = 0; }

  bool unfinished() const { return count_ > 0 && count_ < size_.get<std::uint64_t>(); }
  std::uint64_t count() const { return count_; }
  std::uint64_t size() const { return size_.get<std::uint64_t>(); }
  std::int64_t offset() const { return offset_; }
  std::int64_t number() const { return number_; }

 private:
  Json set_, size_, run_;
  std::uint64_t count_ = 0;
  std::int64_t offset_ = 0, number_ = 0;
};

class Reader {
 public:
  Reader(int descriptor, const std::filesystem::path& path, Digester digester = {},
         std::vector<std::string> wanted = {})
      : name_(path.string()),
        lines_(descriptor, name_),
        batch_(name_, std::move(digester), std::move(wanted)) {
    file_.path = path;
  }

  std::vector<std::unique_ptr<RecordDigest>> take_digests() { return std::move(digests_); }

  RunFile read() {
    LineReader::Line line;
    const auto take_entry = [this](LineBatch::Entry& entry) { take(entry); };
    while (lines_.next(line) && line.whole) {
      batch_.add(line);
      if (batch_.full()) batch_.parse(take_entry);
    }
    batch_.parse(take_entry);
    if (!line.whole) leave_out_torn_line(line);
    if (tail_.unfinished()) leave_out_unfinished_set();
    return std::move(file_);
  }

 private:
  void take(LineBatch::Entry& entry) {
    file_.good_bytes = entry.offset + static_cast<std::int64_t>(entry.length) + 1;
    Json& json = entry.line.json;
    if (entry.line.type == LineType::record) {
      tail_.see_record(json, entry);
      if (entry.digest)
        digests_.push_back(std::move(entry.digest));
      else
        file_.records.push_back(std::move(json));
      return;
    }
    tail_.see_other();
    if (entry.line.type == LineType::end) {
      file_.ends.push_back(std::move(json));
      return;
    }
    const auto& id = json["id"].get_ref<const std::string&>();
    if (!run_ids_.insert(id).second)
      fail_field({name_, entry.number}, "id", "an id that no earlier run line has",
                 fmt::format("\"{}\" again", excerpt(id)));
    file_.runs.push_back(std::move(json));
  }

  void leave_out_torn_line(const LineReader::Line& line) {
    // The writer would cut such a line off: a file that has no line of ours must look like ours up
    // to where it ends, lest someone's other file be emptied because its name was given by mistake.
    if (line.offset == 0 && !starts_like_ours(line.text))
      throw BadInput(fmt::format(
          "{}:1: expected a line of a run file, found '{}'; is this a run file of deformer-bench?",
          name_, excerpt(line.text.substr(0, 40))));
    file_.torn_tail = fmt::format(
        "{}:{}: the last line is torn (a run was cut short while writing it); it is left out",
        name_, line.number);
  }

  static bool starts_like_ours(std::string_view text) {
    constexpr std::array<std::string_view, 2> kStarts = {R"({"type":"run")", R"({"type":"record")"};
    for (const std::string_view start : kStarts)
      if (text.substr(0, start.size()) == start.substr(0, text.size())) return true;
    return false;
  }

  void leave_out_unfinished_set() {
    if (!digests_.empty()) digests_.resize(digests_.size() - tail_.count());
    if (!file_.records.empty()) file_.records.resize(file_.records.size() - tail_.count());
    file_.good_bytes = tail_.offset();
    file_.torn_tail = fmt::format(
        "{}:{}: the last set is torn ({} of its {} records were written); it is left out", name_,
        tail_.number(), tail_.count(), tail_.size());
  }

  std::string name_;
  LineReader lines_;
  LineBatch batch_;
  RunFile file_;
  std::vector<std::unique_ptr<RecordDigest>> digests_;
  TrailingSet tail_;
  std::unordered_set<std::string> run_ids_;
};

}  // namespace

RunFile read_open_run_file(int descriptor, const std::filesystem::path& path) {
  return Reader(descriptor, path).read();
}

namespace {

/// An open file that closes itself.
class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0)
      throw BadInput(fmt::format("{}: cannot be opened as a run file: {}", path.string(),
                                 std::strerror(errno)));
    struct stat status {};
    if (::fstat(descriptor_, &status) == 0 && S_ISDIR(status.st_mode)) {
      ::close(descriptor_);
      throw BadInput(fmt::format("{}: expected a run file, found a directory; name a file in it",
                                 path.string()));
    }
  }
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int descriptor() const { return descriptor_; }
  /// The caller's to close from now on.
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

/// Copies what can be read of `from` to a file without a name; returns its descriptor.
int copied(int from, const std::filesystem::path& path) {
  const auto fail = [&path](const char* what) {
    throw BadInput(
        fmt::format("{}: {}: {}; expected to keep a copy of it in {}, as what is read "
                    "from a pipe is gone; name a file instead",
                    path.string(), what, std::strerror(errno),
                    std::filesystem::temp_directory_path().string()));
  };
  std::string form = (std::filesystem::temp_directory_path() / "deformer-bench-XXXXXX").string();
  const int to = ::mkostemp(form.data(), O_CLOEXEC);
  if (to < 0) fail("no copy can be made");
  ::unlink(form.c_str());
  std::vector<char> buffer(std::size_t{1} << 16);
  while (true) {
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (got == 0 && ::lseek(to, 0, SEEK_SET) == 0) return to;
      ::close(to);
      fail("cannot be read");
    }
    for (ssize_t put = 0; put < got;) {
      const ssize_t more = ::write(to, buffer.data() + put, static_cast<std::size_t>(got - put));
      if (more < 0 && errno == EINTR) continue;
      if (more <= 0) {
        ::close(to);
        fail("cannot be copied");
      }
      put += more;
    }
  }
}

}  // namespace

SourceFile::SourceFile(const std::filesystem::path& path) : path_(path), descriptor_(-1) {
  OpenFile file(path);
  struct stat status {};
  const bool again = ::fstat(file.descriptor(), &status) == 0 && S_ISREG(status.st_mode);
  descriptor_ = again ? file.release() : copied(file.descriptor(), path);
}

SourceFile::~SourceFile() {
  ::close(descriptor_);
}

RunFile read_run_file(const std::filesystem::path& path) {
  const OpenFile file(path);
  return read_open_run_file(file.descriptor(), path);
}

DigestedFile digest_run_file(const std::filesystem::path& path,
                             const std::vector<std::string>& wanted, const Digester& digester) {
  auto source = std::make_shared<const SourceFile>(path);
  Reader reader(source->descriptor(), path, digester, wanted);
  RunFile read = reader.read();
  return {path, std::move(source), std::move(read.runs), reader.take_digests(),
          std::move(read.torn_tail)};
}

void read_lines_at(const SourceFile& file, const std::vector<RecordPlace>& places,
                   const std::function<void(std::string_view)>& take) {
  std::string line;
  for (const RecordPlace& place : places) {
    line.resize(static_cast<std::size_t>(place.length));
    std::size_t have = 0;
    while (have < line.size()) {
      const ssize_t got = ::pread(file.descriptor(), line.data() + have, line.size() - have,
                                  place.offset + static_cast<std::int64_t>(have));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        throw BadInput(
            fmt::format("{}: became shorter while it was read; try again when nothing "
                        "writes to it",
                        file.path().string()));
      have += static_cast<std::size_t>(got);
    }
    take(line);
  }
}

}  // namespace deformer
