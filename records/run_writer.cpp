/// Appending. A set becomes visible by one write and is on the disk when append() returns; see
/// run_file.cpp for what is done about a write that a kill or a power cut tore.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>

#include "model/error.hpp"
#include "records/line_check.hpp"
#include "records/run_file.hpp"
#include "records/run_reader.hpp"

namespace deformer {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, std::string_view why) {
  throw BadInput(fmt::format("{}: cannot be written as a run file: {}", path.string(), why));
}

/// What can be seen without opening, so that nothing is created beside a mistake and opening cannot
/// wait (a FIFO would).
void check_path(const std::filesystem::path& path) {
  if (path == "-")
    refuse(path,
           "it is locked and read back, which stdout can't be; name a file, and --format json "
           "for records on stdout");
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT && !path.empty()) return;  // to be created
    refuse(path, std::strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) refuse(path, "it is a directory; name a file in it");
  if (!S_ISREG(status.st_mode)) refuse(path, "it is not a regular file; name another");
  // Root may write such a file all the same, but whoever marked it meant it.
  if ((status.st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)) == 0)
    refuse(path, "it is read-only; make it writable or choose another --out");
}

int open_for_appending(const std::filesystem::path& path) {
  check_path(path);
  constexpr int kFlags = O_RDWR | O_APPEND | O_CLOEXEC | O_CREAT | O_NOCTTY | O_NONBLOCK;
  const int descriptor = ::open(path.c_str(), kFlags, 0666);
  if (descriptor >= 0) return descriptor;
  if (errno == ENOENT || errno == ENOTDIR)
    refuse(path, "its folder does not exist; create it or choose another --out");
  if (errno == EACCES || errno == EROFS || errno == EPERM)
    refuse(path, fmt::format("{}; choose another --out", std::strerror(errno)));
  refuse(path, std::strerror(errno));
}

void lock(int descriptor, const std::filesystem::path& path) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK)
      throw BadInput(fmt::format(
          "{}: is locked by another run; wait for it or choose another --out", path.string()));
    refuse(path, fmt::format("it cannot be locked ({}); choose --out on a local file system",
                             std::strerror(errno)));
  }
}

/// A new file is lost with the power if its folder is not synced; where a folder cannot be, so be
/// it.
void sync_folder(const std::filesystem::path& path) {
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

off_t length_of(int descriptor, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0)
    throw std::system_error(errno, std::system_category(), path.string());
  return status.st_size;
}

/// 0 or the error number.
int sync_data(int descriptor) {
  while (::fdatasync(descriptor) != 0) {
    if (errno == EINTR) continue;
    return errno == EINVAL ? 0 : errno;  // EINVAL: a file system that cannot sync
  }
  return 0;
}

/// 0 or the error number.
int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

/// The lines as text, each tried on the reader: what would make the file unreadable must not get
/// into it.
std::string text_of(const std::vector<nlohmann::ordered_json>& lines,
                    const std::filesystem::path& path) {
  std::string text;
  for (const auto& json : lines) {
    const std::string line = to_line(json);
    try {
      parse_line(line, {path.string(), 0});
    } catch (const BadInput& error) {
      throw std::logic_error(
          fmt::format("refused to write a line that would not read back: {}", error.what()));
    }
    text += line;
    text += '\n';
  }
  return text;
}

}  // namespace

RunWriter::RunWriter(const std::filesystem::path& path) : path_(path) {
  std::error_code ignored;
  const bool created = !std::filesystem::exists(path, ignored);
  descriptor_ = open_for_appending(path);
  try {
    lock(descriptor_, path);
    existing_ = read_open_run_file(descriptor_, path);
    if (existing_.good_bytes < length_of(descriptor_, path) &&
        ::ftruncate(descriptor_, existing_.good_bytes) != 0)
      throw std::system_error(errno, std::system_category(),
                              path.string() + ": cutting off its torn end failed");
    if (created) sync_folder(path);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

RunWriter::~RunWriter() {
  ::close(descriptor_);  // the lock goes with it
}

void RunWriter::append(const std::vector<nlohmann::ordered_json>& lines) {
  const std::string text = text_of(lines, path_);
  const off_t before = length_of(descriptor_, path_);
  int error = write_all(descriptor_, text);
  if (error == 0) error = sync_data(descriptor_);
  if (error == 0) return;
  const bool restored = ::ftruncate(descriptor_, before) == 0;
  sync_data(descriptor_);
  throw std::system_error(
      error, std::system_category(),
      fmt::format("{}: writing {} bytes failed; {}", path_.string(), text.size(),
                  restored ? "what it held before is intact, these records are lost; make room and "
                             "run the same command again"
                           : "it may end in a torn line, which the next run cuts off"));
}

std::string to_line(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace deformer
