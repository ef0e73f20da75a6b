# Everything comes from Debian 12's packages; ci/setup installs them. Packages without a CMake
# configuration of their own get an imported target here.

find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(ICU REQUIRED COMPONENTS uc data)
find_package(benchmark REQUIRED)
find_package(simdjson REQUIRED)

function(deformer_import target header library)
  string(MAKE_C_IDENTIFIER ${target} id)
  find_path(${id}_INCLUDE ${header} PATH_SUFFIXES ${ARGN} REQUIRED)
  find_library(${id}_LIBRARY NAMES ${library} REQUIRED)
  mark_as_advanced(${id}_INCLUDE ${id}_LIBRARY)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE ${${id}_INCLUDE})
  target_link_libraries(${target} INTERFACE ${${id}_LIBRARY})
endfunction()

deformer_import(DNNL::dnnl oneapi/dnnl/dnnl.hpp dnnl)
deformer_import(openblas::openblas cblas.h openblas openblas x86_64-linux-gnu/openblas-pthread)
deformer_import(hwloc::hwloc hwloc.h hwloc)
deformer_import(papi::papi papi.h papi)
deformer_import(hwy::hwy hwy/highway.h hwy)
deformer_import(sentencepiece::sentencepiece sentencepiece_processor.h sentencepiece)
deformer_import(xsmm::xsmm libxsmm.h xsmm)
target_link_libraries(xsmm::xsmm INTERFACE openblas::openblas ${CMAKE_DL_LIBS} pthread rt m)
