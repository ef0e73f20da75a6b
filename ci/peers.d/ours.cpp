// Our side of ci/peers: a worker as worker.py describes it, on backend `cpu`, variant full; and the
// machine's probe, asked for in a process of its own.

#include <sys/prctl.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "backends/registry.hpp"
#include "build_id.hpp"
#include "model/error.hpp"
#include "profilers/clock.hpp"
#include "profilers/probe.hpp"
#include "profilers/roofs.hpp"
#include "profilers/statistics.hpp"

namespace {

using deformer::BadInput;
using deformer::now_ns;
using nlohmann::json;

constexpr std::int64_t kShortNs = 1'000'000;        ///< as SHORT_NS of worker.py
constexpr std::int64_t kWarmBelowNs = 250'000'000;  ///< as WARM_BELOW_NS of worker.py
constexpr std::int64_t kTrialNs = 400'000'000;
constexpr std::int64_t kPeakNs = 300'000'000;
constexpr int kProbeBursts = 400;  ///< about 20 ms; the median of them is the rate

std::vector<std::int32_t> read_ids(const std::string& path, std::size_t count) {
  std::vector<std::int32_t> ids(count);
  std::ifstream file(path, std::ios::binary);
  const auto bytes = static_cast<std::streamsize>(count * sizeof(std::int32_t));
  if (!file.read(reinterpret_cast<char*>(ids.data()), bytes)) {
    throw BadInput(path + ": expected " + std::to_string(bytes) + " bytes of ids, found fewer");
  }
  return ids;
}

class Worker {
 public:
  json answer(const json& message) {
    const std::string what = message.at("do");
    if (what == "hello") return hello();
    if (what == "prepare") return prepare(message);
    if (what == "output") return output(message.at("path"));
    if (what == "burst") return burst(message.at("seconds"), message.at("least"));
    if (what == "probe") return probe(message.at("threads"));
    if (what == "peak") return peak(message.at("dtype"), message.at("threads"));
    throw BadInput("expected hello, prepare, output, burst, probe or peak, found '" + what + "'");
  }

 private:
  static json hello() {
    return {{"versions",
             {{"deformer-bench", deformer::kVersion},
              {"build", deformer::kBuildId},
              {"backend", deformer::require_backend("cpu").info().description}}}};
  }

  json prepare(const json& message) {
    const json& row = message.at("row");
    const auto dtype = deformer::parse_dtype(row.at("dtype").get<std::string>());
    if (!dtype) throw BadInput("expected a dtype, found " + row.at("dtype").dump());
    session_.reset();
    load(message.at("checkpoint"), *dtype, message.at("threads"));
    const std::int64_t batch = row.at("batch");
    const std::int64_t length = row.at("length");
    const std::int64_t question = row.at("question");
    const auto order = model_->config().family == deformer::Family::xlnet
                           ? deformer::Order::passage_first
                           : deformer::Order::question_first;
    split_ids(read_ids(message.at("ids"), static_cast<std::size_t>(batch * length)), length,
              row.at("first"), order);
    const auto plan = deformer::make_plan(model_->config(), deformer::Variant::full, 0, order);
    const auto shape = deformer::uniform_shape(batch, question, length - question);
    deformer::SessionOptions options;
    options.threads = message.at("threads");
    session_ = model_->prepare(plan, shape, options);
    trial_ns_ = trial();
    return {{"settings", settings()}, {"trial_ns", trial_ns_}, {"tried", json::array()}};
  }

  /// "full; qkv panels, out panels, ffn1 onednn, ffn2 panels".
  std::string settings() const {
    std::string text = "variant full";
    for (const auto& [product, engine] : model_->engines()) {
      text += (text.ends_with("full") ? "; " : ", ") + product + " " + engine;
    }
    return text;
  }

  void load(const std::string& checkpoint, deformer::DType dtype, int threads) {
    if (model_ && checkpoint == checkpoint_ && dtype == dtype_) return;
    model_.reset();
    const auto weights = deformer::open_checkpoint(checkpoint, checkpoint);
    auto& backend = deformer::require_backend("cpu");
    if (const auto why = backend.why_not(weights->config(), dtype, deformer::DType::f32)) {
      throw deformer::Unavailable(*why);
    }
    model_ = backend.load(*weights, {.dtype = dtype,
                                     .threads = threads,
                                     .positions = std::max(weights->config().max_positions,
                                                           deformer::LoadOptions{}.positions)});
    checkpoint_ = checkpoint;
    dtype_ = dtype;
  }

  /// Rows of the joint sequences to the packed questions and passages of `Inputs`.
  void split_ids(const std::vector<std::int32_t>& ids, std::int64_t length, std::int64_t first,
                 deformer::Order order) {
    questions_.clear();
    passages_.clear();
    const bool question_first = order == deformer::Order::question_first;
    auto& firsts = question_first ? questions_ : passages_;
    auto& seconds = question_first ? passages_ : questions_;
    for (auto row = ids.begin(); row != ids.end(); row += length) {
      firsts.insert(firsts.end(), row, row + first);
      seconds.insert(seconds.end(), row + first, row + length);
    }
  }

  std::int64_t forward() {
    const std::int64_t begin = now_ns();
    session_->run({questions_, passages_, {}});
    return now_ns() - begin;
  }

  std::int64_t trial() {
    forward();
    std::int64_t quickest = forward();
    for (const std::int64_t end = now_ns() + kTrialNs; now_ns() < end;) {
      quickest = std::min(quickest, forward());
    }
    return std::max<std::int64_t>(quickest, 1);
  }

  json output(const std::string& path) {
    require_session();
    forward();
    const auto rows = session_->output();
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(rows.data()),
               static_cast<std::streamsize>(rows.size_bytes()));
    if (!file.flush()) throw BadInput(path + ": cannot be written");
    return json::object();
  }

  json burst(double seconds, std::size_t least) {
    require_session();
    if (trial_ns_ < kWarmBelowNs) forward();
    const std::int64_t inner = (kShortNs + trial_ns_ - 1) / trial_ns_;
    std::vector<double> samples;
    const std::int64_t end = now_ns() + static_cast<std::int64_t>(seconds * 1e9);
    while (samples.size() < least || now_ns() < end) {
      std::int64_t total = 0;
      for (std::int64_t i = 0; i < inner; ++i) total += forward();
      samples.push_back(static_cast<double>(total) / static_cast<double>(inner));
    }
    return {{"samples_ns", samples}};
  }

  json probe(int threads) {
    if (!probe_ || probe_->threads() != threads)
      probe_ = std::make_unique<deformer::Probe>(threads);
    std::vector<double> rates(kProbeBursts);
    std::ranges::generate(rates, [this] { return probe_->burst(); });
    return {{"flops_per_s", *deformer::median(rates)}};
  }

  /// What `deformer-bench machine` measures, for one dtype.
  static json peak(const std::string& dtype, int threads) {
    const auto roof = deformer::measure_peak(dtype, threads, kPeakNs);
    if (!roof.missing.empty()) throw deformer::Unavailable(roof.missing);
    return {{"flops_per_s", roof.best_gflops * 1e9}, {"by", roof.isa + " " + roof.instruction}};
  }

  void require_session() const {
    if (!session_) throw BadInput("nothing is prepared");
  }

  std::string checkpoint_;
  deformer::DType dtype_ = deformer::DType::f32;
  std::unique_ptr<deformer::Model> model_;
  std::unique_ptr<deformer::Session> session_;  // after the model it belongs to
  std::vector<std::int32_t> questions_, passages_;
  std::int64_t trial_ns_ = 0;
  std::unique_ptr<deformer::Probe> probe_;
};

json answer(Worker& worker, const std::string& line) {
  try {
    json reply = worker.answer(json::parse(line));
    reply["ok"] = true;
    return reply;
  } catch (const std::exception& error) {
    return {{"ok", false}, {"reason", error.what()}};
  }
}

}  // namespace

int main() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a stopped worker would outlive its driver for ever
  Worker worker;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer(worker, line).dump() << std::endl;
  }
}
