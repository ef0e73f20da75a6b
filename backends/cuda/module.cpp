// The module's one entry point.

extern "C" __attribute__((visibility("default"))) const void* deformer_bench_backend(void);

extern "C" const void* deformer_bench_backend(void) {
  return nullptr;
}
