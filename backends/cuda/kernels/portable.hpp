#pragma once
/// Marks of functions that are compiled for the device by nvcc and for the host by any compiler, so
/// that the arithmetic of kernels is tested where there is no device.

#if defined(__CUDACC__)
#define DEFORMER_PORTABLE __host__ __device__ __forceinline__
#else
#define DEFORMER_PORTABLE inline
#endif
#if defined(__CUDA_ARCH__)
#define DEFORMER_UNROLL _Pragma("unroll")
#else
#define DEFORMER_UNROLL
#endif
