#include "harness/gate_file.hpp"

#include <algorithm>
#include <ctime>
#include <fstream>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include "model/error.hpp"
#include "model/sha256.hpp"
#include "profilers/clock.hpp"

namespace deformer {
namespace {

using nlohmann::ordered_json;

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

ordered_json text_or_null(const std::string& text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

}  // namespace

GateProgramFile read_program_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  if (!file || content.empty()) {
    throw BadInput(
        fmt::format("{}: expected a program that can be run, found that it can't be read; name a "
                    "deformer-bench",
                    path));
  }
  return {path, static_cast<std::int64_t>(content.size()), sha256_hex(content)};
}

std::string status_after(Side side, WorkerFailure::Kind kind) {
  using Kind = WorkerFailure::Kind;
  const bool base_alone = kind == Kind::crashed || kind == Kind::hung || kind == Kind::refused;
  return side == Side::base && base_alone ? "failed" : "invalid";
}

GateFile::GateFile(const std::filesystem::path& path)
    : writer_(path),
      id_(sha256_hex(fmt::format("{} {} {}", std::time(nullptr), getpid(), now_ns()))
              .substr(0, 12)) {}

std::string GateFile::run_id(Side side) const {
  return fmt::format("{}-{}", id_, side_name(side));
}

std::string GateFile::set_name(const std::string& group, std::int64_t process) const {
  return fmt::format("{}-{}-{}", id_, group, process);
}

void GateFile::start(const GateProgramFile& base, const GateProgramFile& head,
                     const PairPlans& plans, const std::string& inject,
                     const std::vector<std::string>& command, const ordered_json& options) {
  for (const Side side : {Side::base, Side::head}) {
    const WorkerHello& hello = side == Side::base ? plans.base_hello : plans.head_hello;
    const GateProgramFile& program = side == Side::base ? base : head;
    ordered_json line{
        {"type", "run"},        {"schema", kRunFileSchema}, {"id", run_id(side)},
        {"started", utc_now()}, {"version", hello.version}, {"revision", hello.revision},
        {"build", hello.build}, {"flags", hello.flags},     {"command", command},
        {"options", options},   {"machine", hello.machine}, {"roofs", nullptr}};
    line["gate"] = {{"pair", id_},
                    {"side", side_name(side)},
                    {"program", program.path},
                    {"binary_bytes", program.bytes},
                    {"binary_sha256", program.sha256},
                    {"inject", text_or_null(side == Side::head ? inject : "")}};
    runs_.push_back(std::move(line));
  }
  writer_.append(runs_);
  started_ns_ = now_ns();
}

ordered_json GateFile::mark(Side side, std::int64_t process, bool confirming) const {
  return {
      {"pair", id_}, {"side", side_name(side)}, {"process", process}, {"confirming", confirming}};
}

void GateFile::write(std::vector<ordered_json> records) {
  std::map<std::string, std::int64_t> sizes;
  for (const ordered_json& record : records) {
    ++sizes[record["run"].get<std::string>()];
  }
  for (ordered_json& record : records) {
    record["set_size"] = sizes[record["run"].get<std::string>()];
    const Side side = record["gate"]["side"] == side_name(Side::base) ? Side::base : Side::head;
    if (auto counted = counts_.extract({side, record["key"].get<std::string>()})) {
      record["counted"] = std::move(counted.mapped());
    }
  }
  try {
    writer_.append(records);
  } catch (const std::logic_error& error) {
    throw BadInput(fmt::format("a program's answer is no record: {}", error.what()));
  }
  records_.insert(records_.end(), records.begin(), records.end());
}

void GateFile::add_pair(PairRun& run, std::int64_t process, bool confirming) {
  std::vector<ordered_json> records;
  for (const Side side : {Side::base, Side::head}) {
    for (ordered_json& record : side == Side::base ? run.base : run.head) {
      const auto which = std::pair{side, record["key"].get<std::string>()};
      const auto parity = record.value("parity", ordered_json());
      record["parity"] = parity_.try_emplace(which, parity).first->second;
      status_[which] = record.value("status", "ok");
      record["gate"] = mark(side, process, confirming);
      records.push_back(std::move(record));
    }
  }
  write(std::move(records));
}

void GateFile::add_unmeasured(const Unmeasured& what) {
  std::vector<ordered_json> records;
  for (const WorkerPoint& point : what.group->points) {
    if (point.skip.has_value() != what.of_skipped) {
      continue;
    }
    const std::string& reason = what.reason.empty() && point.skip ? *point.skip : what.reason;
    ordered_json record{{"type", "record"},
                        {"schema", kRunFileSchema},
                        {"run", run_id(what.side)},
                        {"key", point.key},
                        {"group", what.group->key},
                        {"name", point.name},
                        {"point", point.point},
                        {"status", what.status},
                        {"reason", text_or_null(reason)},
                        {"set", set_name(what.group->key, what.process) + "-" + what.status},
                        {"set_size", 1},
                        {"reproduce", point.reproduce}};
    for (const char* field :
         {"time", "speedup", "cost", "achieved", "memory", "phases", "counters", "parity"}) {
      record[field] = nullptr;
    }
    record["gate"] = mark(what.side, what.process, false);
    status_[{what.side, point.key}] = what.status;
    records.push_back(std::move(record));
  }
  if (!records.empty()) {
    write(std::move(records));
  }
}

void GateFile::end() {
  for (const Side side : {Side::base, Side::head}) {
    std::map<std::string, std::int64_t> counts;
    for (const auto& [which, status] : status_) {
      if (which.first == side) {
        ++counts["points"];
        ++counts[status];
      }
    }
    ends_.push_back({{"type", "end"},
                     {"run", run_id(side)},
                     {"points", counts["points"]},
                     {"ok", counts["ok"]},
                     {"skipped", counts["skipped"]},
                     {"failed", counts["failed"]},
                     {"invalid", counts["invalid"]},
                     {"wall_s", static_cast<double>(now_ns() - started_ns_) * 1e-9}});
  }
  writer_.append(ends_);
}

}  // namespace deformer
