# NVTX v3 is headers alone: those of a CUDA toolkit, or of the PyPI package that ci/setup puts into .venv.

file(GLOB nvtx_hints ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/nvidia/*/include)
find_path(NVTX3_INCLUDE nvtx3/nvToolsExtPayload.h HINTS ${nvtx_hints} PATHS /usr/local/cuda/include)
mark_as_advanced(NVTX3_INCLUDE)
set(nvtx_source ${CMAKE_SOURCE_DIR}/profilers/nvtx_ranges.cpp)
if(NVTX3_INCLUDE)
  set_source_files_properties(${nvtx_source} PROPERTIES COMPILE_DEFINITIONS DEFORMER_HAVE_NVTX=1)
  target_include_directories(deformer_profilers SYSTEM PRIVATE ${NVTX3_INCLUDE})
  target_link_libraries(deformer_profilers PUBLIC ${CMAKE_DL_LIBS})
else()
  message(STATUS "NVTX: left out, nvtx3/nvToolsExtPayload.h was not found (ci/setup installs it)")
  set_source_files_properties(${nvtx_source} PROPERTIES COMPILE_DEFINITIONS DEFORMER_HAVE_NVTX=0)
endif()
