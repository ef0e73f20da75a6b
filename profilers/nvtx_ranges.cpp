#include "profilers/nvtx_ranges.hpp"

#if DEFORMER_HAVE_NVTX
#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtPayload.h>
#endif

#include <algorithm>
#include <array>

#include "profilers/clock.hpp"

namespace deformer {

#if DEFORMER_HAVE_NVTX

namespace {

/// What a range carries: laid out as kSchema says.
struct Payload {
  std::int64_t layer;
  std::int64_t flops;
  std::int64_t bytes;
};

nvtxDomainHandle_t domain() {
  static nvtxDomainHandle_t handle = nvtxDomainCreateA("deformer-bench");
  return handle;
}

std::uint64_t payload_schema() {
  static const std::uint64_t id = [] {
    static const std::array<nvtxPayloadSchemaEntry_t, 3> entries{{
        {0, NVTX_PAYLOAD_ENTRY_TYPE_INT64, "layer", nullptr, 0, offsetof(Payload, layer), nullptr,
         nullptr},
        {0, NVTX_PAYLOAD_ENTRY_TYPE_INT64, "FLOPs", nullptr, 0, offsetof(Payload, flops), nullptr,
         nullptr},
        {0, NVTX_PAYLOAD_ENTRY_TYPE_INT64, "bytes", nullptr, 0, offsetof(Payload, bytes), nullptr,
         nullptr},
    }};
    nvtxPayloadSchemaAttr_t schema{};
    schema.fieldMask =
        NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_TYPE | NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_ENTRIES |
        NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NUM_ENTRIES | NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_STATIC_SIZE;
    schema.type = NVTX_PAYLOAD_SCHEMA_TYPE_STATIC;
    schema.entries = entries.data();
    schema.numEntries = entries.size();
    schema.payloadStaticSize = sizeof(Payload);
    return nvtxPayloadSchemaRegister(domain(), &schema);
  }();
  return id;
}

std::uint32_t category(const std::string& name) {
  constexpr std::array<const char*, 4> kNames{"run", "phase", "layer", "op"};
  const auto found = std::ranges::find(kNames, name);
  return static_cast<std::uint32_t>(found - kNames.begin()) + 1;
}

/// Everything a push needs, made beforehand.
struct Prepared {
  nvtxEventAttributes_t attributes{};
  nvtxPayloadData_t data{};
  Payload payload{};
};

void prepare(Prepared& prepared, const std::string& name, const NvtxRange& range) {
  prepared.payload = {range.layer, range.flops, range.bytes};
  prepared.data.schemaId = payload_schema();
  prepared.data.size = sizeof(Payload);
  prepared.data.payload = &prepared.payload;
  nvtxEventAttributes_t& attributes = prepared.attributes;
  attributes.version = NVTX_VERSION;
  attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  attributes.category = category(range.category);
  attributes.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
  attributes.message.registered = nvtxDomainRegisterStringA(domain(), name.c_str());
  attributes.payloadType = NVTX_PAYLOAD_TYPE_EXT;
  attributes.reserved0 = 1;  // how many payloads
  attributes.payload.ullValue = reinterpret_cast<std::uint64_t>(&prepared.data);
}

}  // namespace

std::string nvtx_missing() {
  return "";
}

struct NvtxWatcher::State {
  struct alignas(64) Thread {
    int leaf = -1;  ///< the one that is open
  };
  const RangeTree& tree;
  std::vector<Prepared> ranges;
  std::vector<Thread> threads;

  /// Operations stand in a layer (run 0, phase 1, layer 2, operation 3), which nobody opens.
  const RangeTree::Range* layer_of(int leaf) const {
    const RangeTree::Range& range = tree[tree.leaf_range(leaf)];
    return range.depth == 3 ? &tree[range.parent] : nullptr;
  }
  bool first_of_layer(int leaf) const {
    const RangeTree::Range* layer = layer_of(leaf);
    return layer != nullptr && layer->first_leaf == leaf;
  }
  bool last_of_layer(int leaf) const {
    const RangeTree::Range* layer = layer_of(leaf);
    return layer != nullptr && layer->last_leaf == leaf + 1;
  }
  void push(int range) const {
    nvtxDomainRangePushEx(domain(), &ranges[static_cast<std::size_t>(range)].attributes);
  }
};

NvtxWatcher::NvtxWatcher(const RangeTree& tree, const std::vector<NvtxRange>& ranges, int threads)
    : state_(new State{tree, std::vector<Prepared>(ranges.size()),
                       std::vector<State::Thread>(static_cast<std::size_t>(threads))}) {
  for (const char* name : {"run", "phase", "layer", "op"}) {
    nvtxDomainNameCategoryA(domain(), category(name), name);
  }
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    prepare(state_->ranges[i], tree[static_cast<int>(i)].name, ranges[i]);
  }
}

NvtxWatcher::~NvtxWatcher() = default;

void NvtxWatcher::opened(int range) {
  state_->push(range);
}

void NvtxWatcher::closed(int /*range*/) {
  began(0, state_->tree.leaves());  // a leaf that the last barrier opened is none of the next phase
  nvtxDomainRangePop(domain());
}

void NvtxWatcher::began(int thread, int leaf) {
  State::Thread& own = state_->threads[static_cast<std::size_t>(thread)];
  if (own.leaf >= 0) {  // begun at a barrier that ended a phase; it begins again
    const bool first = state_->first_of_layer(own.leaf);
    own.leaf = -1;
    nvtxDomainRangePop(domain());
    if (first) {
      nvtxDomainRangePop(domain());
    }
  }
  if (leaf >= state_->tree.leaves()) {
    return;
  }
  own.leaf = leaf;
  const int range = state_->tree.leaf_range(leaf);
  if (state_->first_of_layer(leaf)) {
    state_->push(state_->tree[range].parent);
  }
  state_->push(range);
}

void NvtxWatcher::ended(int thread, int leaf) {
  State::Thread& own = state_->threads[static_cast<std::size_t>(thread)];
  if (own.leaf < 0) {
    return;
  }
  own.leaf = -1;
  nvtxDomainRangePop(domain());
  if (state_->last_of_layer(leaf)) {
    nvtxDomainRangePop(domain());
  }
}

double nvtx_ns_per_range() {
  constexpr int kRanges = 100'000;
  Prepared prepared;
  prepare(prepared, "nvtx_ns_per_range", {"op", -1, 0, 0});
  std::int64_t best_ns = -1;
  for (int burst = 0; burst < 5; ++burst) {  // noise only adds
    const std::int64_t start = now_ns();
    for (int i = 0; i < kRanges; ++i) {
      nvtxDomainRangePushEx(domain(), &prepared.attributes);
      nvtxDomainRangePop(domain());
    }
    const std::int64_t took_ns = now_ns() - start;
    best_ns = best_ns < 0 ? took_ns : std::min(best_ns, took_ns);
  }
  return static_cast<double>(best_ns) / kRanges;
}

#else

std::string nvtx_missing() {
  return "built without the NVTX headers; ci/setup installs them (PyPI nvidia-nvtx)";
}

struct NvtxWatcher::State {};

NvtxWatcher::NvtxWatcher(const RangeTree&, const std::vector<NvtxRange>&, int) {}
NvtxWatcher::~NvtxWatcher() = default;
void NvtxWatcher::opened(int) {}
void NvtxWatcher::closed(int) {}
void NvtxWatcher::began(int, int) {}
void NvtxWatcher::ended(int, int) {}
double nvtx_ns_per_range() {
  return -1;
}

#endif

}  // namespace deformer
