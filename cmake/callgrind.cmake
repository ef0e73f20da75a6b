# Valgrind's client requests are headers alone, of Debian's `valgrind`. Without them the gate can't count instructions.

find_path(VALGRIND_INCLUDE valgrind/callgrind.h)
mark_as_advanced(VALGRIND_INCLUDE)
set(callgrind_source ${CMAKE_SOURCE_DIR}/profilers/callgrind.cpp)
if(VALGRIND_INCLUDE)
  set_source_files_properties(${callgrind_source} PROPERTIES COMPILE_DEFINITIONS DEFORMER_HAVE_VALGRIND=1)
  target_include_directories(deformer_profilers SYSTEM PRIVATE ${VALGRIND_INCLUDE})
else()
  message(STATUS "callgrind: left out, valgrind/callgrind.h was not found (ci/setup installs it)")
  set_source_files_properties(${callgrind_source} PROPERTIES COMPILE_DEFINITIONS DEFORMER_HAVE_VALGRIND=0)
endif()
