#include "backends/cuda/session.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "backends/cuda/host/launch_recorder.hpp"
#include "profilers/clock.hpp"

namespace deformer::cuda {
namespace {

std::int64_t elapsed_ns(const Event& from, const Event& to) {
  float milliseconds = 0.0F;
  check(cudaEventElapsedTime(&milliseconds, from.get(), to.get()), "reading a time");
  return std::llround(1e6 * static_cast<double>(milliseconds));
}

void launch(const GraphExec& graph, cudaStream_t stream) {
  check(cudaGraphLaunch(graph.get(), stream), "launching a forward");
}

}  // namespace

CudaSession::CudaSession(std::shared_ptr<const DeviceWeights> weights,
                         std::shared_ptr<Engines> engines, std::shared_ptr<Instance> instance,
                         const Plan& plan, const Shape& shape, const SessionOptions& options)
    : weights_(std::move(weights)),
      engines_(std::move(engines)),
      instance_(std::move(instance)),
      phases_(plan.phases.size()),
      options_(options),
      begin_(make_event()),
      end_(make_event()),
      copies_begin_(make_event()),
      copies_end_(make_event()),
      phase_ns_(phases_, 0),
      hidden_ns_(phases_, 0),
      intervals_(phases_),
      log_(range_tree(plan_ranges(weights_->config, plan, options.detail)), 1) {
  const BranchPlace& place = instance_->branches()[0];
  const ProgramRequest request{.config = weights_->config,
                               .places = weights_->places,
                               .numbers = weights_->numbers,
                               .plan = plan,
                               .shape = shape,
                               .options = options_,
                               .gelu_erf_in_product = [&](const LtProblem& problem) {
                                 return engines_->products.gelu_erf_pays(problem, place.workspace,
                                                                         place.stream);
                               }};
  const Program needed = make_program(request, {});
  session_ = Memory::device(needed.session_bytes, "tables of a session");
  staging_ = Memory::pinned(needed.staging_bytes, "staged inputs");
  activations_ = instance_->activations(needed.memory.peak_bytes());
  program_ = make_program(
      request, {weights_->block.data(), activations_->data(), session_.data(), staging_.data()});
  for (int mark = 0; mark < program_.marks; ++mark) {
    marks_.push_back(make_event());
  }
  kept_.resize(program_.kept.size());
  make_ready();
}

void CudaSession::make_ready() {
  upload(session_.data() + program_.tables_at, program_.tables.data(), program_.tables.size(),
         "uploading tables");
  if (copies()) {  // where passages land is the same in every run
    std::memcpy(staging_.data() + program_.pointers_at, program_.landing.data(),
                program_.landing.size() * sizeof(std::byte*));
  }
  const std::span<const Step> steps = program_.steps;
  prepare_steps(steps, *engines_, instance_->branches());
  first_ = capture(steps.first(program_.second_part), *engines_, instance_->branches(), marks_);
  if (program_.second_part < steps.size()) {
    second_ =
        capture(steps.subspan(program_.second_part), *engines_, instance_->branches(), marks_);
  }
  if (options_.cold) {
    instance_->flush_cache();
    check(cudaStreamSynchronize(instance_->main()), "emptying the cache");
  }
}

void CudaSession::stage(const Inputs& inputs) {
  const auto copy = [&](std::int64_t at, const auto& values) {
    if (!values.empty()) {
      std::memcpy(staging_.data() + at, values.data(), values.size_bytes());
    }
  };
  copy(program_.question_ids_at, inputs.question_ids);
  if (program_.passage_ids_at < program_.pointers_at) {
    copy(program_.passage_ids_at, inputs.passage_ids);
  }
  if (!copies() && !program_.passage_bytes.empty()) {
    copy(program_.pointers_at, inputs.cached_passages);
  }
}

void CudaSession::copy_passages(const Inputs& inputs) {
  const cudaStream_t stream = instance_->copies();
  check(cudaStreamWaitEvent(stream, begin_.get(), 0), "copying passages");
  check(cudaEventRecord(copies_begin_.get(), stream), "copying passages");
  for (std::size_t i = 0; i < program_.landing.size(); ++i) {
    check(cudaMemcpyAsync(program_.landing[i], inputs.cached_passages[i],
                          static_cast<std::size_t>(program_.passage_bytes[i]),
                          cudaMemcpyHostToDevice, stream),
          "copying passages");
  }
  check(cudaEventRecord(copies_end_.get(), stream), "copying passages");
  check(cudaStreamWaitEvent(instance_->main(), copies_end_.get(), 0), "copying passages");
}

void CudaSession::run(const Inputs& inputs) {
  stage(inputs);
  const cudaStream_t stream = instance_->main();
  if (options_.cold) {
    instance_->flush_cache();
  }
  const std::int64_t start_ns = now_ns();
  check(cudaEventRecord(begin_.get(), stream), "launching a forward");
  launch(first_, stream);
  if (copies()) {
    copy_passages(inputs);
    launch(second_, stream);
  }
  check(cudaEventRecord(end_.get(), stream), "launching a forward");
  check(cudaEventSynchronize(end_.get()), "a forward");
  read_times(start_ns);
}

std::int64_t CudaSession::mark_ns(int mark) const {
  return elapsed_ns(begin_, marks_[static_cast<std::size_t>(mark)]);
}

void CudaSession::read_times(std::int64_t start_ns) {
  device_ns_ = elapsed_ns(begin_, end_);
  if (!program_.ranges.empty()) {
    read_phases();
    put_ranges(start_ns);
  }
}

/// A phase ran from where its first leaf began to where its last one ended; passages that are
/// copied, from where their copy began.
void CudaSession::read_phases() {
  std::ranges::fill(intervals_, Interval{0, 0});
  for (const RangeMarks& leaf : program_.ranges) {
    Interval& interval = intervals_[leaf.phase];
    interval.begin_ns = interval.end_ns == 0 ? mark_ns(leaf.begin) : interval.begin_ns;
    interval.end_ns = mark_ns(leaf.end);
  }
  if (copies()) {
    const std::size_t phase = program_.steps[program_.second_part].phase;
    intervals_[phase].begin_ns = elapsed_ns(begin_, copies_begin_);
  }
  exposed_ns(intervals_, phase_ns_);
  for (std::size_t phase = 0; phase < phases_; ++phase) {
    hidden_ns_[phase] = intervals_[phase].end_ns - intervals_[phase].begin_ns - phase_ns_[phase];
  }
}

/// The log's leaves follow each other. Phases that ran side by side are laid end to end, each as
/// long as it delayed the whole; layers and operations are timed without a side branch, and stand
/// where they were.
void CudaSession::put_ranges(std::int64_t start_ns) {
  const bool phases = options_.detail == Detail::phase;
  std::int64_t lost_ns = 0;
  std::int64_t at = start_ns;
  for (const RangeMarks& leaf : program_.ranges) {
    std::int64_t begin = phases ? at : start_ns + mark_ns(leaf.begin) + lost_ns;
    std::int64_t end = phases ? at + phase_ns_[leaf.phase] : start_ns + mark_ns(leaf.end) + lost_ns;
    if (const std::int64_t lost = log_.lose_in(leaf.range); lost > 0) {
      end += lost;
      lost_ns += lost;
      phase_ns_[leaf.phase] += lost;
    }
    begin = std::max(begin, at);
    end = std::max(end, begin);
    log_.put(0, leaf.range, {begin, end, end});
    at = end;
  }
  device_ns_ = *device_ns_ + lost_ns;
}

std::span<const float> CudaSession::fetch(const RowsLeft& rows, std::vector<float>& to) const {
  std::vector<std::byte> bytes(static_cast<std::size_t>(rows.bytes()));
  check(cudaMemcpy(bytes.data(), rows.rows, bytes.size(), cudaMemcpyDeviceToHost), "fetching rows");
  decode_left(to, rows, bytes.data());
  return to;
}

std::span<const float> CudaSession::output() const {
  return fetch(program_.output, output_);
}

std::span<const float> CudaSession::head_output() const {
  if (program_.head_floats == 0) {
    return {};
  }
  return {reinterpret_cast<const float*>(staging_.data() + program_.head_at),
          static_cast<std::size_t>(program_.head_floats)};
}

std::span<const float> CudaSession::layer_output(Segment segment, std::int64_t layers) const {
  for (std::size_t i = 0; i < program_.kept.size(); ++i) {
    const KeptRows& kept = program_.kept[i];
    if (kept.segment == segment && kept.layers == layers) {
      return fetch(kept.rows, kept_[i]);
    }
  }
  return {};
}

SessionMemory CudaSession::memory() const {
  return {.peak_bytes = program_.memory.peak_bytes(),
          .requested_bytes = program_.requested_bytes,
          .allocated_bytes = activations_->bytes(),
          .phase_bytes = program_.phase_bytes};
}

std::optional<std::int64_t> CudaSession::launches() const {
  LaunchRecorder recorder;
  issue(program_.steps, recorder);
  return static_cast<std::int64_t>(recorder.kernels().size());
}

}  // namespace deformer::cuda
