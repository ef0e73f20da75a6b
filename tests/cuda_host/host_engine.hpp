#pragma once
/// The whole engine on the host: weights packed as for a device, programs made as for a device, and
/// every step done by HostLauncher.

#include <cstring>
#include <memory>
#include <vector>

#include "backends/cuda/host/program.hpp"
#include "tests/backends/batches.hpp"
#include "tests/cuda_host/host_launcher.hpp"

namespace deformer::cuda {

/// Memory that begins where a device's would: at a multiple of 256. Filled with 0xFF, NaN in every
/// element there is, so that what was never written shows.
class Block {
 public:
  explicit Block(std::int64_t bytes)
      : bytes_(static_cast<std::size_t>(bytes) + 256, std::byte{0xFF}) {}
  std::byte* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    return bytes_.data() + (256 - address % 256) % 256;
  }

 private:
  std::vector<std::byte> bytes_;
};

class HostEngine {
 public:
  HostEngine(const WeightSource& source, DType dtype, std::int64_t positions = 512)
      : HostEngine(source, dtype, positions, widths_of(source.config(), numbers_of(dtype))) {}
  HostEngine(const WeightSource& source, DType dtype, std::int64_t positions, const Widths& widths)
      : config_(source.config()),
        numbers_(numbers_of(dtype)),
        places_(weight_places(config_, numbers_, positions, widths)),
        weights_(places_.bytes) {
    pack_weights(source, numbers_, places_, 2,
                 [&](std::int64_t at, std::span<const std::byte> bytes) {
                   std::memcpy(weights_.data() + at, bytes.data(), bytes.size());
                 });
  }

  const ModelConfig& config() const { return config_; }
  const WeightPlaces& places() const { return places_; }
  std::byte* weights() { return weights_.data(); }
  const Numbers& numbers() const { return numbers_; }
  void gelu_erf_in_products() { gelu_erf_in_product_ = true; }

  ProgramRequest request(const Plan& plan, const Shape& shape,
                         const SessionOptions& options) const {
    return {config_, places_, numbers_, plan, shape, options, [this](const LtProblem&) {
              return gelu_erf_in_product_;
            }};
  }

  struct Forward {
    std::vector<float> rows;
    std::vector<float> head;
    std::vector<std::pair<KeptRows, std::vector<float>>> kept;
  };

  Forward run(const Plan& plan, const Shape& shape, const Inputs& inputs,
              const SessionOptions& options = {}) {
    const Program sizes = make_program(request(plan, shape, options), {});
    Block activations(sizes.memory.peak_bytes());
    Block session(sizes.session_bytes);
    Block staging(sizes.staging_bytes);
    const Program program =
        make_program(request(plan, shape, options),
                     {weights_.data(), activations.data(), session.data(), staging.data()});
    std::memcpy(session.data() + program.tables_at, program.tables.data(), program.tables.size());
    stage(program, inputs, staging.data());
    for (std::size_t i = 0; i < program.landing.size(); ++i) {
      std::memcpy(program.landing[i], inputs.cached_passages[i],
                  static_cast<std::size_t>(program.passage_bytes[i]));
    }
    HostLauncher launcher;
    issue(program.steps, launcher);
    return result(program, staging.data());
  }

 private:
  static void stage(const Program& program, const Inputs& inputs, std::byte* staging) {
    const auto copy = [&](std::int64_t at, const auto& values) {
      if (!values.empty()) {
        std::memcpy(staging + at, values.data(), values.size_bytes());
      }
    };
    copy(program.question_ids_at, inputs.question_ids);
    copy(program.passage_ids_at, inputs.passage_ids);
    if (!program.landing.empty()) {
      copy(program.pointers_at, std::span(program.landing));
    } else {
      copy(program.pointers_at, inputs.cached_passages);
    }
  }

  static std::vector<float> floats(const RowsLeft& rows) {
    std::vector<float> values;
    decode_left(values, rows, static_cast<const std::byte*>(rows.rows));
    return values;
  }

  static Forward result(const Program& program, std::byte* staging) {
    Forward forward;
    forward.rows = floats(program.output);
    forward.head.resize(static_cast<std::size_t>(program.head_floats));
    if (!forward.head.empty()) {
      std::memcpy(forward.head.data(), staging + program.head_at,
                  forward.head.size() * sizeof(float));
    }
    for (const KeptRows& kept : program.kept) {
      forward.kept.emplace_back(kept, floats(kept.rows));
    }
    return forward;
  }

  ModelConfig config_;
  Numbers numbers_;
  WeightPlaces places_;
  Block weights_;
  bool gelu_erf_in_product_ = false;
};

}  // namespace deformer::cuda
