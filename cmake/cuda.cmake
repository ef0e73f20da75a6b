# The CUDA backend is a module of its own, plugins/deformer-bench-cuda.so beside the program, which never links
# CUDA itself. Built where a CUDA toolkit is found; where none is, one line says so.
#
#   DEFORMER_CUDA                AUTO: where there is a toolkit; ON: fail without one; OFF: leave it out
#   DEFORMER_CUDA_ARCHITECTURES  machine code in the module. All of them take four times one: a quick
#                                build while working on kernels is -DDEFORMER_CUDA_ARCHITECTURES=90-real
#
# `100` is machine code and PTX, from which a driver makes code for what comes after; 80 also serves 86 and 89.

set(DEFORMER_CUDA AUTO CACHE STRING "Build the CUDA module: AUTO, ON or OFF")
set_property(CACHE DEFORMER_CUDA PROPERTY STRINGS AUTO ON OFF)
set(DEFORMER_CUDA_ARCHITECTURES "80-real;90-real;100" CACHE STRING "Architectures of the CUDA module")
set(DEFORMER_HAVE_CUDA FALSE)

function(deformer_find_cuda)
  if(NOT DEFORMER_CUDA MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "DEFORMER_CUDA: expected AUTO, ON or OFF, found '${DEFORMER_CUDA}'")
  endif()
  if(DEFORMER_CUDA STREQUAL "OFF")
    message(STATUS "CUDA: left out, as DEFORMER_CUDA=OFF asks")
    return()
  endif()
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(DEFORMER_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
    mark_as_advanced(DEFORMER_NVCC)
    if(DEFORMER_NVCC)
      set(CMAKE_CUDA_COMPILER ${DEFORMER_NVCC} CACHE FILEPATH "CUDA compiler")
    endif()
  endif()
  set(missing "")
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    set(missing "no CUDA compiler (nvcc) was found")
  else()
    find_package(CUDAToolkit 12 QUIET)
    if(NOT CUDAToolkit_FOUND)
      set(missing "${CMAKE_CUDA_COMPILER} belongs to no toolkit of version 12 or later")
    endif()
  endif()
  if(missing STREQUAL "")
    set(DEFORMER_HAVE_CUDA TRUE PARENT_SCOPE)
  elseif(DEFORMER_CUDA STREQUAL "ON")
    message(FATAL_ERROR "DEFORMER_CUDA=ON: ${missing}; install a CUDA toolkit or set CUDACXX to its nvcc")
  else()
    message(STATUS "CUDA: left out, ${missing}")
  endif()
endfunction()

deformer_find_cuda()
if(DEFORMER_HAVE_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES OFF)  # per target, below
  enable_language(CUDA)
  find_package(CUDAToolkit 12 REQUIRED)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 knows nvcc's C++ up to 17; nvcc 12 and later know 20
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
  endif()
  message(STATUS "CUDA: toolkit ${CUDAToolkit_VERSION}, architectures ${DEFORMER_CUDA_ARCHITECTURES}")
endif()
