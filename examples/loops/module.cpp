// A whole backend of deformer-bench: BERT, f32, one thread, in plain loops. It shows what every
// module has to do, not how to be fast.

#include <deformer-bench/plugin.h>

#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "bert.hpp"
#include "session.hpp"

namespace {

using loops::Bert;
using loops::Dense;
using loops::Floats;
using loops::Norm;
using loops::Session;

// No exception may leave a module.
struct Unavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <typename Body>
int32_t guarded(deformer_error* error, Body body) noexcept {
  const auto say = [error](const char* text) {
    std::snprintf(error->message, sizeof error->message, "%s", text);
  };
  try {
    body();
    return DEFORMER_OK;
  } catch (const Unavailable& why) {
    say(why.what());
    return DEFORMER_UNAVAILABLE;
  } catch (const std::bad_alloc&) {
    say("too little memory");
    return DEFORMER_UNAVAILABLE;
  } catch (const std::exception& why) {
    say(why.what());
    return DEFORMER_FAILED;
  }
}

// ---- backend

void info(void*, deformer_info* out) {
  out->name = "loops";
  out->description = "example: BERT in plain loops, one thread";
  out->unavailable = "";
}

std::string reason_against(const deformer_config& config, int32_t dtype, int32_t cache_dtype) {
  if (config.family != DEFORMER_BERT) return "loops computes BERT only";
  if (dtype != DEFORMER_F32) return "loops computes in f32 only";
  if (cache_dtype != DEFORMER_F32) return "loops reads cached passages as f32 only";
  return "";
}

int32_t why_not(void*, const deformer_config* config, int32_t dtype, int32_t cache_dtype,
                deformer_error* reason) {
  return guarded(reason, [&] {
    const std::string why = reason_against(*config, dtype, cache_dtype);
    if (!why.empty()) throw Unavailable(why);
  });
}

// ---- model

class Reader {
 public:
  explicit Reader(const deformer_weights& weights) : weights_(weights) {}

  Floats values(int32_t tensor, int64_t layer, int64_t count) const {
    Floats out(static_cast<std::size_t>(count));
    deformer_error error{};
    if (weights_.read(weights_.context, tensor, layer, 0, out.data(), count, &error) !=
        DEFORMER_OK) {
      throw std::runtime_error(error.message);
    }
    return out;
  }
  Dense dense(int32_t weight, int64_t layer, int64_t outputs, int64_t inputs) const {
    return {values(weight, layer, outputs * inputs), values(weight + 1, layer, outputs)};
  }
  Norm norm(int32_t weight, int64_t layer, int64_t d) const {
    return {values(weight, layer, d), values(weight + 1, layer, d)};
  }

 private:
  const deformer_weights& weights_;
};

Bert read_bert(const deformer_weights& weights, int64_t positions) {
  const deformer_config& c = *weights.config;
  const Reader read(weights);
  const int64_t d = c.d_model;
  const int64_t rows = c.positions_grow ? positions : c.max_positions;
  Bert bert;
  bert.d = d;
  bert.heads = c.heads;
  bert.ff = c.d_ff;
  bert.eps = c.layer_norm_eps;
  bert.gelu_tanh = c.activation == DEFORMER_GELU_TANH;
  bert.words = read.values(DEFORMER_WORD_EMBEDDING, -1, c.vocab_size * d);
  bert.positions = read.values(DEFORMER_POSITION_EMBEDDING, -1, rows * d);
  bert.types = read.values(DEFORMER_TYPE_EMBEDDING, -1, c.type_vocab_size * d);
  bert.embedding_norm = read.norm(DEFORMER_EMBEDDING_NORM_WEIGHT, -1, d);
  for (int64_t l = 0; l < c.layers; ++l) {
    bert.layers.push_back({read.dense(DEFORMER_QUERY_WEIGHT, l, d, d),
                           read.dense(DEFORMER_KEY_WEIGHT, l, d, d),
                           read.dense(DEFORMER_VALUE_WEIGHT, l, d, d),
                           read.dense(DEFORMER_ATTENTION_OUT_WEIGHT, l, d, d),
                           read.dense(DEFORMER_FFN1_WEIGHT, l, c.d_ff, d),
                           read.dense(DEFORMER_FFN2_WEIGHT, l, d, c.d_ff),
                           read.norm(DEFORMER_ATTENTION_NORM_WEIGHT, l, d),
                           read.norm(DEFORMER_FFN_NORM_WEIGHT, l, d)});
  }
  if (c.head == DEFORMER_HEAD_CLASSES) bert.pooler = read.dense(DEFORMER_POOLER_WEIGHT, -1, d, d);
  if (c.head != DEFORMER_HEAD_NONE) {
    const int64_t outputs = c.head == DEFORMER_HEAD_CLASSES ? c.classes : 2;
    bert.head = read.dense(DEFORMER_HEAD_WEIGHT, -1, outputs, d);
  }
  return bert;
}

int64_t bytes_of(const Bert& bert) {
  std::size_t floats = bert.words.size() + bert.positions.size() + bert.types.size();
  for (const loops::Layer& layer : bert.layers) {
    for (const Dense* dense :
         {&layer.query, &layer.key, &layer.value, &layer.out, &layer.ffn1, &layer.ffn2}) {
      floats += dense->weight.size() + dense->bias.size();
    }
  }
  return static_cast<int64_t>(floats * sizeof(float));
}

// ---- the table

Bert& bert_of(deformer_model* model) {
  return *reinterpret_cast<Bert*>(model);
}
Session& session_of(deformer_session* session) {
  return *reinterpret_cast<Session*>(session);
}

int32_t load(void*, const deformer_weights* weights, const deformer_load_options* options,
             deformer_model** out, deformer_error* error) {
  return guarded(error, [&] {
    const std::string why = reason_against(*weights->config, options->dtype, DEFORMER_F32);
    if (!why.empty()) throw Unavailable(why);
    *out = reinterpret_cast<deformer_model*>(new Bert(read_bert(*weights, options->positions)));
  });
}

void unload(deformer_model* model) {
  delete &bert_of(model);
}

int64_t weight_bytes(deformer_model* model) {
  return bytes_of(bert_of(model));
}

int32_t prepare(deformer_model* model, const deformer_plan* plan, const deformer_shape* shape,
                const deformer_session_options* options, deformer_session** out,
                deformer_error* error) {
  return guarded(error, [&] {
    *out =
        reinterpret_cast<deformer_session*>(new Session(bert_of(model), *plan, *shape, *options));
  });
}

void release(deformer_session* session) {
  delete &session_of(session);
}

int32_t run(deformer_session* session, const deformer_inputs* inputs, deformer_error* error) {
  return guarded(error, [&] { session_of(session).run(*inputs); });
}

int32_t result(deformer_session* session, int32_t what, int32_t segment, int64_t layers,
               deformer_floats* out, deformer_error*) {
  const Session& from = session_of(session);
  const Floats* floats = what == DEFORMER_OUTPUT        ? &from.output()
                         : what == DEFORMER_HEAD_OUTPUT ? &from.head()
                                                        : from.kept(segment, layers);
  out->data = floats != nullptr ? floats->data() : nullptr;
  out->count = floats != nullptr ? static_cast<int64_t>(floats->size()) : 0;
  return DEFORMER_OK;
}

void times(deformer_session* session, deformer_times* out) {
  out->phase_ns = session_of(session).phase_ns().data();
}

void memory(deformer_session* session, deformer_memory* out) {
  out->peak_bytes = out->requested_bytes = out->allocated_bytes = session_of(session).bytes();
}

}  // namespace

const deformer_backend* deformer_bench_backend(uint32_t) {
  static const deformer_backend table = [] {
    deformer_backend made{};
    made.abi = DEFORMER_PLUGIN_ABI;
    made.size = sizeof made;
    made.info = info;
    made.why_not = why_not;
    made.load = load;
    made.unload = unload;
    made.weight_bytes = weight_bytes;
    made.prepare = prepare;
    made.release = release;
    made.run = run;
    made.result = result;
    made.times = times;
    made.memory = memory;
    return made;
  }();
  return &table;
}
