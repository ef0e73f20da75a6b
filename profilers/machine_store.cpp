#include "profilers/machine_store.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <system_error>

namespace deformer {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kType = "deformer-bench machine store";
constexpr int kSchema = 1;
/// The largest values kept, roofs of a large machine, are below 20 kB.
constexpr std::uintmax_t kMostBytes = 1 << 20;

/// FNV-1a, 64 bits: it only has to keep file names apart; what is in the file decides.
std::uint64_t digest(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

Json identity_json(const MachineStore::Identity& identity) {
  Json json = Json::object();
  for (const auto& [field, value] : identity) json[field] = value;
  return json;
}

std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// A whole regular file of at most kMostBytes; on failure `problem` says why.
std::optional<std::string> read_small_file(const fs::path& file, std::string& problem) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    problem = "expected a regular file";
    return std::nullopt;
  }
  const std::uintmax_t bytes = fs::file_size(file, error);
  if (error || bytes > kMostBytes) {
    problem = fmt::format("expected at most {} bytes, found {}", kMostBytes,
                          error ? error.message() : std::to_string(bytes));
    return std::nullopt;
  }
  std::string text(bytes, '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(text.data(), static_cast<std::streamsize>(bytes));
  if (!in) {
    problem = "it can't be read";
    return std::nullopt;
  }
  return text;
}

/// Empty when `json` is what `save` writes for this name and identity, else what is wrong.
std::string fault_of(const Json& json, std::string_view name, const Json& identity) {
  if (!json.is_object()) return "expected a JSON object";
  if (json.value("type", Json()) != kType || json.value("schema", Json()) != kSchema) {
    return fmt::format("expected type '{}' and schema {}", kType, kSchema);
  }
  if (json.value("name", Json()) != name) return fmt::format("expected the name '{}'", name);
  if (json.value("identity", Json()) != identity) return "it was measured elsewhere";
  if (!json.contains("saved") || !json["saved"].is_string() || !json.contains("value")) {
    return "expected the fields 'saved' and 'value'";
  }
  return {};
}

/// Writes beside `file` and renames. Throws std::system_error.
void write_whole(const fs::path& file, const std::string& text) {
  std::string temporary = file.string() + ".XXXXXX";
  const int descriptor = mkstemp(temporary.data());
  if (descriptor < 0) throw std::system_error(errno, std::generic_category());
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(descriptor, text.data() + done, text.size() - done);
    if (written <= 0) break;
    done += static_cast<std::size_t>(written);
  }
  const int failed = done < text.size() ? errno : 0;
  const int closed = ::close(descriptor) == 0 ? 0 : errno;
  if (failed != 0 || closed != 0 || ::rename(temporary.c_str(), file.c_str()) != 0) {
    const int code = failed != 0 ? failed : closed != 0 ? closed : errno;
    ::unlink(temporary.c_str());
    throw std::system_error(code, std::generic_category());
  }
}

}  // namespace

fs::path machine_store_folder() {
  const fs::path given = environment("DEFORMER_BENCH_CACHE_DIR");
  if (!given.empty()) return given;
  const fs::path cache = environment("XDG_CACHE_HOME");
  if (cache.is_absolute()) return cache / "deformer-bench";
  const fs::path home = environment("HOME");
  if (home.is_absolute()) return home / ".cache" / "deformer-bench";
  return {};
}

MachineStore::MachineStore(fs::path folder, Identity identity, Warn warn)
    : folder_(std::move(folder)), identity_(std::move(identity)), warn_(std::move(warn)) {}

fs::path MachineStore::file_of(std::string_view name) const {
  if (folder_.empty()) return {};
  const std::uint64_t id = digest(dump(identity_json(identity_), -1));
  return folder_ / fmt::format("{}-{:016x}.json", name, id);
}

std::optional<StoredValue> MachineStore::load(std::string_view name) const {
  const fs::path file = file_of(name);
  std::error_code error;
  if (file.empty() || !fs::exists(fs::symlink_status(file, error))) return std::nullopt;
  std::string problem;
  if (const auto text = read_small_file(file, problem)) {
    Json json = Json::parse(*text, nullptr, false);
    problem = json.is_discarded() ? "it is not valid JSON"
                                  : fault_of(json, name, identity_json(identity_));
    if (problem.empty()) return StoredValue{std::move(json["value"]), json["saved"]};
  }
  warn_(
      fmt::format("{}: expected what was measured here, found otherwise ({}); it is not used, "
                  "and can be removed",
                  file.string(), problem));
  return std::nullopt;
}

bool MachineStore::save(std::string_view name, const Json& value) const {
  const fs::path file = file_of(name);
  if (file.empty()) {
    warn_(
        fmt::format("no cache folder: '{}' is not remembered; set HOME, XDG_CACHE_HOME or "
                    "DEFORMER_BENCH_CACHE_DIR",
                    name));
    return false;
  }
  const Json json{{"type", kType},
                  {"schema", kSchema},
                  {"name", name},
                  {"saved", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))},
                  {"identity", identity_json(identity_)},
                  {"value", value}};
  try {
    fs::create_directories(folder_);
    write_whole(file, dump(json, 1) + "\n");
    return true;
  } catch (const std::system_error& error) {
    warn_(
        fmt::format("{}: expected to be able to write there, found: {}; '{}' is not remembered; "
                    "set DEFORMER_BENCH_CACHE_DIR to a folder that can be written",
                    file.string(), error.code().message(), name));
    return false;
  }
}

}  // namespace deformer
