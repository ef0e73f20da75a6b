#include "backends/cuda/cudnn_names.hpp"

#if DEFORMER_HAVE_CUDNN

#include <cudnn.h>
#include <nvrtc.h>

#include <fmt/format.h>

namespace deformer::cuda {
namespace {

/// The library's function of that name; called only after `cudnn_library().open()` was seen.
template <class Function>
Function* real(const char* name) {
  Function* function = nullptr;
  cudnn_library().bind(function, name);
  return function;
}

}  // namespace

const DynamicLibrary& cudnn_library() {
  static const DynamicLibrary opened({fmt::format("libcudnn.so.{}", CUDNN_MAJOR), "libcudnn.so"});
  return opened;
}

}  // namespace deformer::cuda

// Looked up once each, as the C names are called.
#define DEFORMER_PASS_ON(name, ...)                                         \
  static const auto function = deformer::cuda::real<decltype(name)>(#name); \
  return function(__VA_ARGS__)

extern "C" {

size_t CUDNNWINAPI cudnnGetVersion(void) {
  DEFORMER_PASS_ON(cudnnGetVersion);
}
const char* CUDNNWINAPI cudnnGetErrorString(cudnnStatus_t status) {
  DEFORMER_PASS_ON(cudnnGetErrorString, status);
}
void CUDNNWINAPI cudnnGetLastErrorString(char* message, size_t size) {
  DEFORMER_PASS_ON(cudnnGetLastErrorString, message, size);
}
cudnnStatus_t CUDNNWINAPI cudnnCreate(cudnnHandle_t* handle) {
  DEFORMER_PASS_ON(cudnnCreate, handle);
}
cudnnStatus_t CUDNNWINAPI cudnnDestroy(cudnnHandle_t handle) {
  DEFORMER_PASS_ON(cudnnDestroy, handle);
}
cudnnStatus_t CUDNNWINAPI cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  DEFORMER_PASS_ON(cudnnSetStream, handle, stream);
}
cudnnStatus_t CUDNNWINAPI cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
  DEFORMER_PASS_ON(cudnnGetStream, handle, stream);
}
cudnnStatus_t CUDNNWINAPI cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                                       cudnnBackendDescriptor_t* descriptor) {
  DEFORMER_PASS_ON(cudnnBackendCreateDescriptor, type, descriptor);
}
cudnnStatus_t CUDNNWINAPI cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  DEFORMER_PASS_ON(cudnnBackendDestroyDescriptor, descriptor);
}
cudnnStatus_t CUDNNWINAPI cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  DEFORMER_PASS_ON(cudnnBackendFinalize, descriptor);
}
cudnnStatus_t CUDNNWINAPI cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                                   cudnnBackendAttributeName_t name,
                                                   cudnnBackendAttributeType_t type, int64_t count,
                                                   const void* elements) {
  DEFORMER_PASS_ON(cudnnBackendSetAttribute, descriptor, name, type, count, elements);
}
cudnnStatus_t CUDNNWINAPI cudnnBackendGetAttribute(const cudnnBackendDescriptor_t descriptor,
                                                   cudnnBackendAttributeName_t name,
                                                   cudnnBackendAttributeType_t type,
                                                   int64_t requested, int64_t* count,
                                                   void* elements) {
  DEFORMER_PASS_ON(cudnnBackendGetAttribute, descriptor, name, type, requested, count, elements);
}
cudnnStatus_t CUDNNWINAPI cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                              cudnnBackendDescriptor_t operands) {
  DEFORMER_PASS_ON(cudnnBackendExecute, handle, plan, operands);
}

// The API also has engines that compile kernels at run time (a norm's, never attention's). They are
// refused: the run-time compiler is not loaded for what nobody asks for.

nvrtcResult nvrtcCreateProgram(nvrtcProgram*, const char*, const char*, int, const char* const*,
                               const char* const*) {
  return NVRTC_ERROR_INVALID_OPTION;
}
nvrtcResult nvrtcCompileProgram(nvrtcProgram, int, const char* const*) {
  return NVRTC_ERROR_INVALID_OPTION;
}
nvrtcResult nvrtcDestroyProgram(nvrtcProgram*) {
  return NVRTC_ERROR_INVALID_OPTION;
}
nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram, size_t*) {
  return NVRTC_ERROR_INVALID_OPTION;
}
nvrtcResult nvrtcGetProgramLog(nvrtcProgram, char*) {
  return NVRTC_ERROR_INVALID_OPTION;
}
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram, size_t*) {
  return NVRTC_ERROR_INVALID_OPTION;
}
nvrtcResult nvrtcGetCUBIN(nvrtcProgram, char*) {
  return NVRTC_ERROR_INVALID_OPTION;
}

}  // extern "C"

#undef DEFORMER_PASS_ON

#endif
