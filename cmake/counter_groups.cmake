# The counter groups are data (profilers/counter_groups/*.json), compiled into the program so that it needs no
# file beside it.

file(GLOB groups CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/profilers/counter_groups/*.json)
set(DEFORMER_COUNTER_GROUPS "")
foreach(group IN LISTS groups)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${group})
  file(READ ${group} text)
  string(APPEND DEFORMER_COUNTER_GROUPS "    R\"json(${text})json\",\n")
endforeach()
configure_file(${CMAKE_SOURCE_DIR}/cmake/counter_groups.cpp.in ${CMAKE_BINARY_DIR}/generated/counter_groups.cpp @ONLY)
target_sources(deformer_profilers PRIVATE ${CMAKE_BINARY_DIR}/generated/counter_groups.cpp)
