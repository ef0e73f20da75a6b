# The build id names what was compiled: a digest of all sources and of the compiler and its flags. Two
# builds of the same tree with the same compiler share it; records of another build do not count as done.

file(GLOB_RECURSE build_id_sources CONFIGURE_DEPENDS
     ${CMAKE_SOURCE_DIR}/model/*.[ch]pp ${CMAKE_SOURCE_DIR}/profilers/*.[ch]pp
     ${CMAKE_SOURCE_DIR}/backends/*.[ch]pp ${CMAKE_SOURCE_DIR}/backends/*.cu
     ${CMAKE_SOURCE_DIR}/backends/*.cuh ${CMAKE_SOURCE_DIR}/backends/*.h ${CMAKE_SOURCE_DIR}/cache/*.[ch]pp
     ${CMAKE_SOURCE_DIR}/workloads/*.[ch]pp ${CMAKE_SOURCE_DIR}/records/*.[ch]pp
     ${CMAKE_SOURCE_DIR}/harness/*.[ch]pp ${CMAKE_SOURCE_DIR}/reports/*.[ch]pp
     ${CMAKE_SOURCE_DIR}/cli/*.[ch]pp
     ${CMAKE_SOURCE_DIR}/reports/web/*)
list(SORT build_id_sources)
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
string(STRIP "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${build_type}}" build_flags)
string(JOIN "|" DEFORMER_BUILD_FLAGS ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}
       ${CMAKE_BUILD_TYPE} "${build_flags}" "sanitize=${DEFORMER_SANITIZE}")
add_custom_target(deformer_build_id
  COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${CMAKE_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
          "-DFLAGS=${DEFORMER_BUILD_FLAGS}" "-DSOURCES=${build_id_sources}"
          -DOUTPUT=${CMAKE_BINARY_DIR}/generated/build_id.hpp -P ${CMAKE_SOURCE_DIR}/cmake/write_build_id.cmake
  BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/build_id.hpp
  VERBATIM)
