// The only file that includes cuDNN's graph API: it takes a minute and 2 GB to compile.
//
// The API calls cuDNN by its C names. They are defined here, each passing on to the library opened
// at first use: the API's own way of loading would bring a second, shared CUDA runtime along.

#include <string>

#include "backends/cuda/cudnn_attention.hpp"
#include "backends/cuda/cudnn_product.hpp"

#if DEFORMER_HAVE_CUDNN

#include <cudnn.h>

// The library's headers are not ours to warn about.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#include <cudnn_frontend.h>
#pragma GCC diagnostic pop

#include <fmt/format.h>

#include <limits>
#include <stdexcept>
#include <unordered_map>

#include "backends/cuda/cudnn_names.hpp"

namespace deformer::cuda {
namespace {

namespace fe = cudnn_frontend;
using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;

/// Names of operands in the graph.
enum Id : std::int64_t {
  kQ = 1,
  kK,
  kV,
  kO,
  kLengthsQ,
  kLengthsKv,
  kOffsetsQkv,
  kOffsetsOut,
  kX,
  kWeight,
  kBias,
  kY
};

void require(cudnnStatus_t status, const char* what) {
  if (status != CUDNN_STATUS_SUCCESS) {
    throw std::runtime_error(fmt::format("cuda: cuDNN, {}: expected success, found {} (code {})",
                                         what, cudnnGetErrorString(status),
                                         static_cast<int>(status)));
  }
}

class Handle {
 public:
  Handle() { require(cudnnCreate(&handle_), "starting the library"); }
  ~Handle() { static_cast<void>(cudnnDestroy(handle_)); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  cudnnHandle_t get() const { return handle_; }

 private:
  cudnnHandle_t handle_ = nullptr;
};

/// One for the process, as the library advises: each holds memory of the device. Never given back,
/// because what it stands on may be gone when static objects are.
cudnnHandle_t shared_handle() {
  static const Handle* const only = new Handle;
  return only->get();
}

/// Where the operands of fused rows [query, key, value] lie.
struct Strides {
  std::int64_t sequence, head, row;
};

/// [sequences, heads, longest, d_head], each sequence at its offset where they differ in length.
Tensor operand(fe::graph::Graph& graph, const AttentionArgs& args, const char* name, Id id,
               const Strides& strides, const Tensor& offsets) {
  auto described = fe::graph::Tensor_attributes()
                       .set_name(name)
                       .set_uid(id)
                       .set_dim({args.sequences, args.heads, args.longest, args.d_head})
                       .set_stride({strides.sequence, strides.head, strides.row, 1});
  if (offsets) {
    described.set_ragged_offset(offsets);
  }
  return graph.tensor(described);
}

Tensor per_sequence(fe::graph::Graph& graph, const char* name, Id id, std::int64_t count) {
  return graph.tensor(fe::graph::Tensor_attributes()
                          .set_name(name)
                          .set_uid(id)
                          .set_dim({count, 1, 1, 1})
                          .set_stride({1, 1, 1, 1})
                          .set_data_type(fe::DataType_t::INT32));
}

/// An empty graph of that element, with sums in f32.
std::shared_ptr<fe::graph::Graph> graph_of(Element element, int capability) {
  auto graph = std::make_shared<fe::graph::Graph>();
  graph
      ->set_io_data_type(element == Element::bf16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::HALF)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT)
      .set_sm_version(capability);
  return graph;
}

bool is_half(Element element) {
  return element == Element::bf16 || element == Element::f16;
}

std::shared_ptr<fe::graph::Graph> describe_attention(const AttentionArgs& args, int capability) {
  const std::int64_t d = args.heads * args.d_head;
  const Strides fused{args.longest * 3 * d, args.d_head, 3 * d};
  const Strides context{args.longest * d, args.d_head, d};
  auto graph = graph_of(args.element, capability);
  auto softmax = fe::graph::SDPA_attributes()
                     .set_name("attention")
                     .set_generate_stats(false)
                     .set_attn_scale(1.0F);  // queries are scaled already
  Tensor fused_offsets;
  Tensor out_offsets;
  if (!args.uniform) {
    fused_offsets = per_sequence(*graph, "offsets_qkv", kOffsetsQkv, args.sequences + 1);
    out_offsets = per_sequence(*graph, "offsets_out", kOffsetsOut, args.sequences + 1);
    softmax.set_padding_mask(true)
        .set_seq_len_q(per_sequence(*graph, "lengths_q", kLengthsQ, args.sequences))
        .set_seq_len_kv(per_sequence(*graph, "lengths_kv", kLengthsKv, args.sequences));
  }
  const Tensor q = operand(*graph, args, "q", kQ, fused, fused_offsets);
  const Tensor k = operand(*graph, args, "k", kK, fused, fused_offsets);
  const Tensor v = operand(*graph, args, "v", kV, fused, fused_offsets);
  const auto [out, stats] = graph->sdpa(q, k, v, softmax);
  out->set_output(true)
      .set_uid(kO)
      .set_dim({args.sequences, args.heads, args.longest, args.d_head})
      .set_stride({context.sequence, context.head, context.row, 1});
  if (out_offsets) {
    out->set_ragged_offset(out_offsets);
  }
  return graph;
}

/// A matrix of rows, as cuDNN has them: [1, rows, columns].
Tensor matrix(fe::graph::Graph& graph, const char* name, Id id, std::int64_t rows,
              std::int64_t columns, std::int64_t row_stride, std::int64_t column_stride) {
  return graph.tensor(fe::graph::Tensor_attributes()
                          .set_name(name)
                          .set_uid(id)
                          .set_dim({1, rows, columns})
                          .set_stride({rows * columns, row_stride, column_stride}));
}

std::shared_ptr<fe::graph::Graph> describe_product(const LtProblem& problem, int capability) {
  const std::int64_t rows = problem.rows();
  const std::int64_t in = problem.in();
  const std::int64_t out = problem.out();
  auto graph = graph_of(problem.a.element, capability);
  const Tensor x = matrix(*graph, "x", kX, rows, in, in, 1);
  const Tensor weight = matrix(*graph, "weight", kWeight, in, out, 1, in);  // transposed
  const Tensor bias = matrix(*graph, "bias", kBias, 1, out, out, 1);
  const Tensor product =
      graph->matmul(x, weight, fe::graph::Matmul_attributes().set_name("product"));
  const Tensor biased = graph->pointwise(
      product, bias,
      fe::graph::Pointwise_attributes().set_name("bias").set_mode(fe::PointwiseMode_t::ADD));
  const Tensor result = graph->pointwise(
      biased,
      fe::graph::Pointwise_attributes().set_name("gelu").set_mode(fe::PointwiseMode_t::GELU_FWD));
  result->set_output(true).set_uid(kY).set_dim({1, rows, out}).set_stride({rows * out, out, 1});
  return graph;
}

/// A graph and, once built, its plan.
class Planned {
 public:
  explicit Planned(std::shared_ptr<fe::graph::Graph> graph) : graph_(std::move(graph)) {}

  /// Whether cuDNN has a plan for the graph that fits the workspace.
  bool build(std::int64_t workspace_bytes) {
    if (!graph_->validate().is_good() ||
        !graph_->build_operation_graph(shared_handle()).is_good() ||
        !graph_->create_execution_plans({fe::HeurMode_t::A}).is_good() ||
        !graph_->check_support().is_good() || !graph_->build_plans().is_good()) {
      return false;
    }
    std::int64_t needed = 0;
    return graph_->get_workspace_size(needed).is_good() && needed <= workspace_bytes;
  }

  void run(std::unordered_map<std::int64_t, void*>& operands, void* workspace, cudaStream_t stream,
           const char* what) {
    require(cudnnSetStream(shared_handle(), stream), "choosing a stream");
    auto status = graph_->execute(shared_handle(), operands, workspace);
    if (!status.is_good()) {
      throw std::runtime_error(
          fmt::format("cuda: cuDNN, {}: expected success, found {}", what, status.get_message()));
    }
  }

 private:
  std::shared_ptr<fe::graph::Graph> graph_;
};

/// As far as a graph can be checked without a device.
std::string fault_of(fe::graph::Graph& graph) {
  auto status = graph.validate();
  if (status.is_good()) {
    status = graph.build_operation_graph(nullptr);
  }
  return status.is_good() ? "" : status.get_message();
}

class FusedAttention final : public CudnnAttention {
 public:
  explicit FusedAttention(std::shared_ptr<fe::graph::Graph> graph) : planned_(std::move(graph)) {}
  bool build(std::int64_t workspace_bytes) { return planned_.build(workspace_bytes); }

  void run(const AttentionArgs& args, void* workspace, cudaStream_t stream) override {
    const std::int64_t d = args.heads * args.d_head;
    auto* rows = static_cast<std::uint16_t*>(const_cast<void*>(args.qkv));
    std::unordered_map<std::int64_t, void*> operands{
        {kQ, rows}, {kK, rows + d}, {kV, rows + 2 * d}, {kO, args.context}};
    if (!args.uniform) {
      operands[kLengthsQ] = operands[kLengthsKv] = const_cast<std::int32_t*>(args.lengths);
      operands[kOffsetsQkv] = const_cast<std::int32_t*>(args.offsets_qkv);
      operands[kOffsetsOut] = const_cast<std::int32_t*>(args.offsets_out);
    }
    planned_.run(operands, workspace, stream, "attention");
  }

 private:
  Planned planned_;
};

class FusedProduct final : public CudnnProduct {
 public:
  explicit FusedProduct(std::shared_ptr<fe::graph::Graph> graph) : planned_(std::move(graph)) {}
  bool build(std::int64_t workspace_bytes) { return planned_.build(workspace_bytes); }

  void run(const ProductArgs& args, void* workspace, cudaStream_t stream) override {
    std::unordered_map<std::int64_t, void*> operands{{kX, const_cast<void*>(args.source)},
                                                     {kWeight, const_cast<void*>(args.weights)},
                                                     {kBias, const_cast<void*>(args.bias)},
                                                     {kY, args.result}};
    planned_.run(operands, workspace, stream, "a product with erf GELU");
  }

 private:
  Planned planned_;
};

}  // namespace

std::shared_ptr<CudnnAttention> CudnnAttention::make(const AttentionArgs& args, int capability,
                                                     std::int64_t workspace_bytes) {
  // Ragged offsets count elements with 32 bits.
  const bool countable =
      args.rows * 3 * args.heads * args.d_head <= std::numeric_limits<std::int32_t>::max();
  if (!is_half(args.element) || args.relative.keys != nullptr || args.d_head % 8 != 0 ||
      !countable || !cudnn_library().open()) {
    return nullptr;
  }
  auto made = std::make_shared<FusedAttention>(describe_attention(args, capability));
  return made->build(workspace_bytes) ? made : nullptr;
}

std::string CudnnAttention::check_description(const AttentionArgs& args, int capability) {
  return cudnn_library().open() ? fault_of(*describe_attention(args, capability)) : describe();
}

std::string CudnnAttention::describe() {
  if (!cudnn_library().open()) {
    return fmt::format("no cuDNN ({})", cudnn_library().error());
  }
  const std::size_t version = cudnnGetVersion();
  return fmt::format("cuDNN {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::shared_ptr<CudnnProduct> CudnnProduct::make(const LtProblem& problem, int capability,
                                                 std::int64_t workspace_bytes) {
  const bool wanted = problem.finish == Finish::bias_gelu_erf && problem.beta == 0.0F;
  if (!wanted || !is_half(problem.a.element) || !cudnn_library().open()) {
    return nullptr;
  }
  auto made = std::make_shared<FusedProduct>(describe_product(problem, capability));
  return made->build(workspace_bytes) ? made : nullptr;
}

std::string CudnnProduct::check_description(const LtProblem& problem, int capability) {
  return cudnn_library().open() ? fault_of(*describe_product(problem, capability))
                                : CudnnAttention::describe();
}

}  // namespace deformer::cuda

#else  // without cuDNN's headers there are our kernels alone

namespace deformer::cuda {

std::shared_ptr<CudnnAttention> CudnnAttention::make(const AttentionArgs&, int, std::int64_t) {
  return nullptr;
}

std::string CudnnAttention::check_description(const AttentionArgs&, int) {
  return describe();
}

std::string CudnnAttention::describe() {
  return "built without cuDNN";
}

std::shared_ptr<CudnnProduct> CudnnProduct::make(const LtProblem&, int, std::int64_t) {
  return nullptr;
}

std::string CudnnProduct::check_description(const LtProblem&, int) {
  return CudnnAttention::describe();
}

}  // namespace deformer::cuda

#endif
