#ifndef DEFORMER_BENCH_PLUGIN_H
#define DEFORMER_BENCH_PLUGIN_H
/* A backend of deformer-bench as a shared module. Plain C: any compiler will do.
 *
 * A module exports one function, deformer_bench_backend, which returns a table of functions. The
 * program finds it as plugins/deformer-bench-NAME.so beside itself, in
 * ../lib/deformer-bench/plugins, or is told `--plugin FILE`. examples/loops is a whole backend of
 * this kind.
 *
 *   backend   what it is, what it supports and why not
 *   model     weights packed once, in a layout that serves every shape
 *   session   everything allocated for one plan and shape; `run` allocates nothing
 *
 * Rules. No exception and no longjmp may leave a function on either side. A function that can fail
 * returns one of the DEFORMER_ codes and, unless that is DEFORMER_OK, writes a message: what was
 * expected, what was found, what to do. Pointers in arguments are valid during the call, unless it
 * says otherwise. What a module hands out stays valid until the object it belongs to is freed or
 * used again. Sessions of different `instance` may run at the same time, on threads of their own;
 * nothing else of one model is called from two threads at once.
 *
 * Growing. Structs and the table only ever gain fields at their end; `size` is what its writer
 * knew. A change that breaks this gets another DEFORMER_PLUGIN_ABI, and is refused with both
 * numbers.
 *
 * Rows are tokens, packed without padding: texts in the order item, then text within the item;
 * pairs in the order item, question, passage. Matrices are row-major [out, in]: y = x W^T + b. */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DEFORMER_PLUGIN_ABI 1u

/* Result of a call. The program's exit code follows: 2, 3, and a failed point. */
enum {
  DEFORMER_OK = 0,
  DEFORMER_BAD_INPUT = 1,   /* what the user gave is wrong */
  DEFORMER_UNAVAILABLE = 2, /* this machine or module does not have it */
  DEFORMER_FAILED = 3       /* anything else */
};

#define DEFORMER_MESSAGE_BYTES 1024
typedef struct deformer_error {
  char message[DEFORMER_MESSAGE_BYTES]; /* UTF-8, ends with a zero byte */
} deformer_error;

enum {
  DEFORMER_F32 = 0,
  DEFORMER_BF16,
  DEFORMER_F16,
  DEFORMER_INT8,
  DEFORMER_FP8,
  DEFORMER_BIT1,
  DEFORMER_TF32
};
enum { DEFORMER_BERT = 0, DEFORMER_XLNET };
enum { DEFORMER_GELU_ERF = 0, DEFORMER_GELU_TANH };
enum { DEFORMER_HEAD_NONE = 0, DEFORMER_HEAD_SPAN, DEFORMER_HEAD_CLASSES };
enum { DEFORMER_QUESTION_FIRST = 0, DEFORMER_PASSAGE_FIRST };
enum { DEFORMER_QUESTION = 0, DEFORMER_PASSAGE, DEFORMER_JOINT }; /* segments */
enum { DEFORMER_EMBED = 0, DEFORMER_ENCODE, DEFORMER_LOAD, DEFORMER_JOIN, DEFORMER_HEAD };
enum { DEFORMER_DETAIL_NONE = 0, DEFORMER_DETAIL_PHASE, DEFORMER_DETAIL_LAYER, DEFORMER_DETAIL_OP };
/* Where cached passages live: memory of the processor that computes (for a CPU the host's), pinned
 * host memory that it reads directly, plain host memory. */
enum { DEFORMER_AT_DEVICE = 0, DEFORMER_AT_PINNED, DEFORMER_AT_PAGEABLE };

/* Tensors. d = d_model; those from QUERY_WEIGHT to FFN_NORM_BIAS once a layer. */
enum {
  DEFORMER_WORD_EMBEDDING = 0,    /* [vocab, d] */
  DEFORMER_POSITION_EMBEDDING,    /* [max_positions, d]; BERT */
  DEFORMER_TYPE_EMBEDDING,        /* [type_vocab, d]; BERT */
  DEFORMER_EMBEDDING_NORM_WEIGHT, /* [d]; BERT, so its bias */
  DEFORMER_EMBEDDING_NORM_BIAS,
  DEFORMER_QUERY_WEIGHT, /* [d, d]; biases [d], which XLNet lacks here and on ATTENTION_OUT */
  DEFORMER_QUERY_BIAS,
  DEFORMER_KEY_WEIGHT,
  DEFORMER_KEY_BIAS,
  DEFORMER_VALUE_WEIGHT,
  DEFORMER_VALUE_BIAS,
  DEFORMER_POSITION_WEIGHT,      /* [d, d]; XLNet: projects the table of relative positions */
  DEFORMER_CONTENT_BIAS,         /* [d]; XLNet's r_w */
  DEFORMER_POSITION_BIAS,        /* [d]; XLNet's r_r */
  DEFORMER_SEGMENT_BIAS,         /* [d]; XLNet's r_s */
  DEFORMER_SEGMENT_EMBEDDING,    /* [2, d]; XLNet: same segment, another one */
  DEFORMER_ATTENTION_OUT_WEIGHT, /* [d, d] */
  DEFORMER_ATTENTION_OUT_BIAS,
  DEFORMER_ATTENTION_NORM_WEIGHT,
  DEFORMER_ATTENTION_NORM_BIAS,
  DEFORMER_FFN1_WEIGHT, /* [d_ff, d] */
  DEFORMER_FFN1_BIAS,
  DEFORMER_FFN2_WEIGHT, /* [d, d_ff] */
  DEFORMER_FFN2_BIAS,
  DEFORMER_FFN_NORM_WEIGHT,
  DEFORMER_FFN_NORM_BIAS,
  DEFORMER_POOLER_WEIGHT, /* [d, d]; only with a classes head */
  DEFORMER_POOLER_BIAS,
  DEFORMER_HEAD_WEIGHT, /* [2 or classes, d] */
  DEFORMER_HEAD_BIAS
};

typedef struct deformer_config {
  uint32_t size;
  int32_t family;
  const char* name;
  int64_t layers, d_model, heads, d_ff; /* heads divides d_model */
  int64_t vocab_size;
  int64_t max_positions; /* rows of the position table; 0 for XLNet */
  int64_t type_vocab_size;
  double layer_norm_eps;
  int32_t activation, head;
  int64_t classes;        /* outputs of a classes head; a span head has 2 */
  int64_t positions_grow; /* 0 or 1: the position table has as many rows as anybody asks for */
} deformer_config;

/* Where the weights come from. `read` may be called during `load` only, from several threads: fills
 * `out` with `count` elements from `first` on, as f32; layer -1 for what belongs to no layer. Parts
 * of a tensor can be had of the embedding tables alone, in whole rows. */
typedef struct deformer_weights {
  uint32_t size;
  const deformer_config* config;
  const char* hash; /* identifies the weights */
  void* context;
  int32_t (*read)(void* context, int32_t tensor, int64_t layer, int64_t first, float* out,
                  int64_t count, deformer_error* error);
} deformer_weights;

typedef struct deformer_load_options {
  uint32_t size;
  int32_t dtype;
  int32_t threads;   /* that pack */
  int64_t positions; /* rows the position table must have where positions_grow */
  /* Folder in which a backend may keep what it measured, and the strings that such a value depends
   * on beside its own (name, value, name, value, ...). NULL and 0 where nothing is to be kept. */
  const char* store_folder;
  const char* const* store_identity;
  int64_t store_identity_count;
} deformer_load_options;

typedef struct deformer_phase {
  int32_t kind, segment;
  int64_t first_layer, last_layer; /* ENCODE: layers [first, last) */
} deformer_phase;

/* A forward pass. full: embed(joint) encode(joint,0..n) head. decomposed: embed(q) encode(q,0..k)
 * embed(p) encode(p,0..k) join encode(joint,k..n) head. cached: load(p) for the passages' two. To
 * fill a cache: embed(p) encode(p,0..k). Token type of the first text (by `order`) 0, second 1. */
typedef struct deformer_plan {
  uint32_t size;
  int32_t order;
  int32_t positions_run_on; /* positions of the second text run on; else they restart at 0 */
  int64_t split;
  const deformer_phase* phases;
  int64_t phase_count;
} deformer_plan;

/* Lengths of one batch: an item is r questions x c passages, every pair joined. */
typedef struct deformer_shape {
  uint32_t size;
  int64_t batch, questions_per_item, passages_per_item;
  const int64_t* question_tokens; /* batch * questions_per_item */
  const int64_t* passage_tokens;  /* batch * passages_per_item */
} deformer_shape;

typedef struct deformer_session_options {
  uint32_t size;
  int32_t threads, cache_dtype;
  int32_t detail;    /* how far down times are wanted */
  int32_t instance;  /* sessions of one instance run one after the other */
  int32_t one_layer; /* every layer uses the weights of layer 0: a probe, its result unused */
  int32_t cache_at;  /* where cached passages lie */
  int32_t cold;      /* empty the device's last-level cache before each run */
  const int64_t* keep_layers; /* keep states after so many layers, of every segment encoded there */
  int64_t keep_count;
  const int32_t* processors; /* to bind the threads to; none leaves them to the scheduler */
  int64_t processor_count;
} deformer_session_options;

/* Ids lie in [0, vocab); all are real tokens. Cached passages: one pointer each, rows as f32, bf16,
 * f16 (little-endian) for these cache dtypes; a backend says in why_not which it takes. */
typedef struct deformer_inputs {
  uint32_t size;
  const int32_t* question_ids;
  int64_t question_count;
  const int32_t* passage_ids;
  int64_t passage_count;
  const void* const* cached_passages;
  int64_t cached_count;
} deformer_inputs;

typedef struct deformer_floats {
  const float* data; /* NULL with count 0: there is none */
  int64_t count;
} deformer_floats;

/* Times of a thread at one range: began, had no more to do, met the others; -1 unknown. */
typedef struct deformer_stamp {
  int64_t start_ns, worked_ns, end_ns;
} deformer_stamp;

/* Of the last run; the program zeroes it and sets `size` before. Ranges are the run, then each
 * phase before its layers, each layer before its operations (embed qkv attention out norm1 ffn1
 * ffn2 norm2 load join head), as far down as `detail`; leaves are those that hold no others. */
typedef struct deformer_times {
  uint32_t size;
  int32_t threads;              /* rows of stamps; 0: none are known below phases */
  int64_t device_ns;            /* by the device's clock; 0: the caller's clock counts */
  const int64_t* phase_ns;      /* as many as the plan has phases; NULL: unknown */
  const deformer_stamp* stamps; /* [threads][leaves] */
  int64_t leaves;
  const int64_t* range_start_ns; /* of every range */
  const int64_t* range_end_ns;
  int64_t ranges;
  /* Of each phase, what it worked beside earlier ones, so that it isn't in phase_ns; NULL: none. */
  const int64_t* hidden_ns;
} deformer_times;

/* The program zeroes it and sets `size` before. 0 is unknown. */
typedef struct deformer_memory {
  uint32_t size;
  int64_t peak_bytes;         /* activations alive at once */
  int64_t requested_bytes;    /* sum of every buffer of one forward */
  int64_t allocated_bytes;    /* what is really held, by all sessions */
  const int64_t* phase_bytes; /* of peak_bytes, while each phase runs; NULL: unknown */
  int64_t flops_executed;     /* issued by one forward, padding of tiles included */
  int64_t launches;           /* of one forward: a device's kernels, or parallel regions */
} deformer_memory;

/* The program zeroes it and sets `size` before. Strings live as long as the module; NULL is "". */
typedef struct deformer_info {
  uint32_t size;
  const char* name;        /* lower-case letters, digits, dashes: what --backend takes */
  const char* description; /* one line with library versions */
  const char* unavailable; /* why it can't be used here; "" when it can */
  const char* device;      /* where not the host's processors compute: "NVIDIA H100" */
  const char* device_bus;  /* "00000000:01:00.0", by which NVML knows it */
  int64_t device_memory_bytes;
  int64_t device_cache_bytes;
} deformer_info;

/* What a device ran of one kernel (or of copies) in one phase of a forward. */
typedef struct deformer_kernel {
  const char* name; /* valid during the call */
  int64_t phase;    /* of the plan; -1: of none */
  int64_t count, ns;
} deformer_kernel;
typedef void (*deformer_kernel_sink)(void* context, const deformer_kernel* kernel);

typedef struct deformer_model deformer_model;     /* the module's own */
typedef struct deformer_session deformer_session; /* the module's own */

/* Memory for a pool of cached passages. */
typedef struct deformer_pool {
  void* address; /* not the host's to follow where it lies on a device */
  void* handle;  /* the module's own */
} deformer_pool;

enum { DEFORMER_OUTPUT = 0, DEFORMER_HEAD_OUTPUT, DEFORMER_LAYER_OUTPUT };

/* Functions marked [may be NULL] are optional. Handles may be NULL only where an error was told. */
typedef struct deformer_backend {
  uint32_t abi;  /* DEFORMER_PLUGIN_ABI, first for ever */
  uint32_t size; /* sizeof(deformer_backend) */
  void* self;    /* first argument of the next four */

  void (*info)(void* self, deformer_info* out);
  /* DEFORMER_OK, or DEFORMER_UNAVAILABLE with the reason. */
  int32_t (*why_not)(void* self, const deformer_config* config, int32_t dtype, int32_t cache_dtype,
                     deformer_error* reason);
  /* The same of cached passages at a place, and of cold runs. [may be NULL: device and warm] */
  int32_t (*why_not_placed)(void* self, int32_t cache_at, int32_t cold, deformer_error* reason);
  int32_t (*load)(void* self, const deformer_weights* weights, const deformer_load_options* options,
                  deformer_model** out, deformer_error* error);

  void (*unload)(deformer_model* model);
  int64_t (*weight_bytes)(deformer_model* model);
  /* Names of the engine that serves the product number `index`; 0 when there are no more.
   * [may be NULL] */
  int32_t (*engine)(deformer_model* model, int64_t index, const char** product,
                    const char** engine);
  int32_t (*prepare)(deformer_model* model, const deformer_plan* plan, const deformer_shape* shape,
                     const deformer_session_options* options, deformer_session** out,
                     deformer_error* error);

  /* [all three may be NULL, then passages lie in plain host memory] `data` of a write lies in host
   * memory or in the same pool, and is there when it returns. An address of NULL asks for
   * plain host memory at that place. A pool is freed before its model. */
  int32_t (*pool_make)(deformer_model* model, int32_t cache_at, int64_t bytes, deformer_pool* out,
                       deformer_error* error);
  int32_t (*pool_write)(deformer_model* model, deformer_pool* pool, int64_t offset,
                        const void* data, int64_t bytes, deformer_error* error);
  void (*pool_free)(deformer_model* model, deformer_pool* pool);

  void (*release)(deformer_session* session);
  /* One forward pass, finished when it returns. The timed region: allocates nothing. */
  int32_t (*run)(deformer_session* session, const deformer_inputs* inputs, deformer_error* error);
  /* OUTPUT: the last phase's rows before the head, [rows, d_model]. HEAD_OUTPUT: span [rows, 2],
   * classes [pairs, classes]. LAYER_OUTPUT: a state of keep_layers, of `segment`, after `layers`.
   */
  int32_t (*result)(deformer_session* session, int32_t what, int32_t segment, int64_t layers,
                    deformer_floats* out, deformer_error* error);
  void (*times)(deformer_session* session, deformer_times* out);
  void (*memory)(deformer_session* session, deformer_memory* out);
  /* One forward that is watched, not timed: tells `sink` what the device ran. [may be NULL] */
  int32_t (*kernels)(deformer_session* session, const deformer_inputs* inputs,
                     deformer_kernel_sink sink, void* context, deformer_error* error);
} deformer_backend;

/* The entry point. `program_abi` is what the program speaks. NULL: the module can't serve it. */
#if defined(_WIN32)
#define DEFORMER_EXPORT __declspec(dllexport)
#else
#define DEFORMER_EXPORT __attribute__((visibility("default")))
#endif
DEFORMER_EXPORT const deformer_backend* deformer_bench_backend(uint32_t program_abi);

#ifdef __cplusplus
}
#endif
#endif
