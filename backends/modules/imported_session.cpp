#include "backends/modules/imported_session.hpp"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "backends/plugin/convert.hpp"
#include "backends/ranges.hpp"
#include "profilers/clock.hpp"

namespace deformer::plugin {
namespace {

using Handle = std::unique_ptr<deformer_session, void (*)(deformer_session*)>;

deformer_inputs view_of(const Inputs& inputs) {
  return {.size = sizeof(deformer_inputs),
          .question_ids = inputs.question_ids.data(),
          .question_count = static_cast<std::int64_t>(inputs.question_ids.size()),
          .passage_ids = inputs.passage_ids.data(),
          .passage_count = static_cast<std::int64_t>(inputs.passage_ids.size()),
          .cached_passages = reinterpret_cast<const void* const*>(inputs.cached_passages.data()),
          .cached_count = static_cast<std::int64_t>(inputs.cached_passages.size())};
}

/// Takes what a module tells; a module in C must not see what is thrown here.
void take_kernel(void* context, const deformer_kernel* kernel) noexcept {
  constexpr std::size_t kMostKernels = 10'000;
  auto& to = *static_cast<std::vector<KernelTime>*>(context);
  try {
    if (to.size() < kMostKernels) {
      to.push_back({kernel->name != nullptr ? kernel->name : "", static_cast<int>(kernel->phase),
                    kernel->count, kernel->ns});
    }
  } catch (...) {  // out of memory: one kernel is not told of
  }
}

class ImportedSession final : public Session {
 public:
  ImportedSession(const deformer_backend& table, const std::string& name, const ModelConfig& config,
                  const Plan& plan, const Shape& shape, const SessionOptions& options,
                  Handle session)
      : table_(table),
        session_(std::move(session)),
        name_(name),
        config_(config),
        plan_(plan),
        shape_(shape),
        options_(options),
        phase_ns_(plan.phases.size()),
        hidden_ns_(plan.phases.size()) {
    if (options.detail != Detail::none) {
      find_ranges();
    }
  }

  void run(const Inputs& inputs) override {
    const deformer_inputs view = view_of(inputs);
    const int code = table_.run(session_.get(), &view, &error_);
    if (code != DEFORMER_OK) {
      throw_on_error(code, error_, name_);
    }
    read_times();
  }

  std::span<const float> output() const override {
    return result(DEFORMER_OUTPUT, Segment::joint, 0,
                  rows(plan_.output_segment()) * config_.d_model);
  }
  std::span<const float> head_output() const override {
    return result(DEFORMER_HEAD_OUTPUT, Segment::joint, 0, head_values());
  }
  std::span<const float> layer_output(Segment segment, std::int64_t layers) const override {
    return result(DEFORMER_LAYER_OUTPUT, segment, layers, rows(segment) * config_.d_model);
  }
  std::span<const std::int64_t> phase_ns() const override { return phase_ns_; }
  std::span<const std::int64_t> hidden_ns() const override {
    return hides_ ? std::span<const std::int64_t>(hidden_ns_) : std::span<const std::int64_t>();
  }
  RangeLog* ranges() override { return log_ ? &*log_ : nullptr; }
  std::optional<std::int64_t> device_ns() const override {
    return device_ns_ > 0 ? std::optional(device_ns_) : std::nullopt;
  }
  SessionMemory memory() const override;
  std::vector<KernelTime> kernels(const Inputs& inputs) override {
    std::vector<KernelTime> found;
    if (table_.kernels != nullptr) {
      const deformer_inputs view = view_of(inputs);
      deformer_error error{};
      const int code = table_.kernels(session_.get(), &view, take_kernel, &found, &error);
      throw_on_error(code, error, name_);
      for (KernelTime& one : found) {
        const bool known = one.phase >= 0 && one.phase < static_cast<int>(plan_.phases.size());
        one.phase = known ? one.phase : -1;
      }
    }
    return found;
  }
  std::optional<std::int64_t> flops_executed() const override {
    const std::int64_t flops = memory_view().flops_executed;
    return flops > 0 ? std::optional(flops) : std::nullopt;
  }
  std::optional<std::int64_t> launches() const override {
    const std::int64_t launches = memory_view().launches;
    return launches > 0 ? std::optional(launches) : std::nullopt;
  }

 private:
  std::int64_t rows(Segment segment) const { return cumulative_tokens(shape_, segment).back(); }
  std::int64_t head_values() const {
    switch (config_.head) {
      case HeadKind::span:
        return rows(plan_.output_segment()) * 2;
      case HeadKind::classes:
        return shape_.pairs() * config_.classes;
      case HeadKind::none:
        break;
    }
    return 0;
  }

  std::span<const float> result(int what, Segment segment, std::int64_t layers,
                                std::int64_t expected) const {
    deformer_floats floats{};
    deformer_error error{};
    const int code = table_.result(session_.get(), what, static_cast<std::int32_t>(segment), layers,
                                   &floats, &error);
    throw_on_error(code, error, name_);
    const bool none = floats.count == 0;
    if (none && what != DEFORMER_OUTPUT) {
      return {};
    }
    if (floats.count != expected || floats.data == nullptr) {
      throw std::runtime_error(fmt::format("{}: the module returned {} values, expected {}", name_,
                                           floats.count, expected));
    }
    return {floats.data, static_cast<std::size_t>(floats.count)};
  }

  deformer_times times() const {
    deformer_times view{};
    view.size = sizeof view;
    table_.times(session_.get(), &view);
    return view;
  }
  deformer_memory memory_view() const {
    deformer_memory view{};
    view.size = sizeof view;
    table_.memory(session_.get(), &view);
    return view;
  }

  bool times_fit(const deformer_times& view) const {
    return view.stamps != nullptr && view.range_start_ns != nullptr &&
           view.range_end_ns != nullptr && view.threads == log_->threads() &&
           view.leaves == log_->tree().leaves() && view.ranges == log_->tree().size();
  }

  /// A log of the module's stamps, where it says it has them; of its phases where these are all
  /// that is asked for; none otherwise.
  void find_ranges() {
    ranges_ = plan_ranges(config_, plan_, options_.detail);
    const deformer_times view = times();
    const RangeTree tree = range_tree(ranges_);
    if (view.threads >= 1 && view.threads <= 4096 && view.leaves == tree.leaves() &&
        view.ranges == tree.size()) {
      log_.emplace(tree, view.threads);
      shift_before_.resize(static_cast<std::size_t>(tree.leaves()) + 1);
      stamped_ = true;
    } else if (options_.detail == Detail::phase) {
      log_.emplace(tree, 1);
    }
  }

  void read_times() {
    const deformer_times view = times();
    device_ns_ = view.device_ns;
    if (view.phase_ns != nullptr && options_.detail != Detail::none) {
      std::copy_n(view.phase_ns, phase_ns_.size(), phase_ns_.begin());
      hides_ = view.hidden_ns != nullptr;
      if (hides_) {
        std::copy_n(view.hidden_ns, hidden_ns_.size(), hidden_ns_.begin());
      }
    }
    if (!log_) {
      return;
    }
    if (!stamped_) {
      lay_out_phases();
    } else if (times_fit(view)) {
      take_stamps(view);
    }
  }

  /// Stamps of one leaf after another, later by what was planted in those before. A delay can't be
  /// spent inside the module: it is lost here, after the run, and entered where it was planted.
  void take_stamps(const deformer_times& view) {
    const auto leaves = static_cast<std::size_t>(view.leaves);
    std::int64_t shift = 0;
    for (std::size_t leaf = 0; leaf < leaves; ++leaf) {
      shift_before_[leaf] = shift;
      const int range = log_->tree().leaf_range(static_cast<int>(leaf));
      const std::int64_t lost = lose_in(range);
      for (int thread = 0; thread < log_->threads(); ++thread) {
        const deformer_stamp& at = view.stamps[static_cast<std::size_t>(thread) * leaves + leaf];
        const std::int64_t worked = at.worked_ns + shift + (thread == 0 ? lost : 0);
        log_->put(thread, range,
                  {at.start_ns + shift, at.worked_ns < 0 ? -1 : worked, at.end_ns + shift + lost});
      }
      shift += lost;
    }
    shift_before_[leaves] = shift;
    for (int range = 0; range < log_->tree().size(); ++range) {
      const RangeTree::Range& at = log_->tree()[range];
      if (!at.leaf) {
        log_->put_outer(
            range,
            view.range_start_ns[range] + shift_before_[static_cast<std::size_t>(at.first_leaf)],
            view.range_end_ns[range] + shift_before_[static_cast<std::size_t>(at.last_leaf)]);
      }
    }
  }

  /// Phases one after the other, ending now.
  void lay_out_phases() {
    std::int64_t at = now_ns();
    for (const std::int64_t ns : phase_ns_) {
      at -= ns;
    }
    for (std::size_t phase = 0; phase < phase_ns_.size(); ++phase) {
      const int range = static_cast<int>(phase) + 1;  // after the run
      (void)lose_in(range);
      log_->put(0, range, {at, -1, at + phase_ns_[phase]});
      at += phase_ns_[phase];
    }
  }

  std::int64_t lose_in(int range) {
    const std::int64_t lost = log_->lose_in(range);
    if (lost > 0) {
      phase_ns_[ranges_[static_cast<std::size_t>(range)].phase] += lost;
      device_ns_ += device_ns_ > 0 ? lost : 0;
    }
    return lost;
  }

  const deformer_backend& table_;
  Handle session_;
  std::string name_;
  ModelConfig config_;
  Plan plan_;
  Shape shape_;
  SessionOptions options_;
  std::vector<PlanRange> ranges_;
  std::optional<RangeLog> log_;
  bool stamped_ = false;
  std::vector<std::int64_t> shift_before_;  ///< [leaf], and after the last
  std::vector<std::int64_t> phase_ns_;
  std::vector<std::int64_t> hidden_ns_;
  bool hides_ = false;
  std::int64_t device_ns_ = 0;
  deformer_error error_{};
};

SessionMemory ImportedSession::memory() const {
  const deformer_memory view = memory_view();
  SessionMemory memory{.peak_bytes = view.peak_bytes,
                       .requested_bytes = view.requested_bytes,
                       .allocated_bytes = view.allocated_bytes,
                       .phase_bytes = {}};
  if (view.phase_bytes != nullptr) {
    memory.phase_bytes.assign(view.phase_bytes, view.phase_bytes + plan_.phases.size());
  }
  return memory;
}

}  // namespace

deformer_session_options session_options_view(const SessionOptions& options) {
  return {.size = sizeof(deformer_session_options),
          .threads = options.threads,
          .cache_dtype = static_cast<std::int32_t>(options.cache_dtype),
          .detail = static_cast<std::int32_t>(options.detail),
          .instance = options.instance,
          .one_layer = options.one_layer ? 1 : 0,
          .cache_at = static_cast<std::int32_t>(options.cache_at),
          .cold = options.cold ? 1 : 0,
          .keep_layers = options.keep_layers.data(),
          .keep_count = static_cast<std::int64_t>(options.keep_layers.size()),
          .processors = options.processors.data(),
          .processor_count = static_cast<std::int64_t>(options.processors.size())};
}

std::unique_ptr<Session> import_session(const deformer_backend& table, const std::string& name,
                                        const ModelConfig& config, const Plan& plan,
                                        const Shape& shape, const SessionOptions& options,
                                        deformer_session* session) {
  Handle handle(session, table.release);  // released whatever is thrown from here on
  return std::make_unique<ImportedSession>(table, name, config, plan, shape, options,
                                           std::move(handle));
}

}  // namespace deformer::plugin
