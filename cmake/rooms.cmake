# A room is a folder of the design's table and one static library, deformer_<name>, of all its sources.

set(DEFORMER_WARNINGS -Wall -Wextra -Wshadow -Wconversion -Werror)

add_library(deformer_options INTERFACE)
target_include_directories(deformer_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(deformer_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${DEFORMER_WARNINGS}>")
if(DEFORMER_SANITIZE)
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_compile_options(deformer_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${sanitizers}>")
  target_link_options(deformer_options INTERFACE ${sanitizers})
endif()

# Under the sanitizers GCC 12 takes what std::regex moves about for uninitialised. The warning stays everywhere else.
function(deformer_quiet_regex)
  foreach(source IN LISTS ARGN)
    if(DEFORMER_SANITIZE)
      file(STRINGS ${source} uses REGEX "^#include <regex>")
      if(uses)
        set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS -Wno-maybe-uninitialized)
      endif()
    endif()
  endforeach()
endfunction()

# MODULES: modules link this room as well as the program does. FILES more sources, EXCEPT those of other rooms.
function(deformer_room name)
  cmake_parse_arguments(ROOM "MODULES" "" "DIRS;FILES;EXCEPT;ROOMS;LIBS" ${ARGN})
  if(NOT ROOM_DIRS)
    set(ROOM_DIRS ${name})
  endif()
  set(sources)
  foreach(dir IN LISTS ROOM_DIRS)
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${dir}/*.cpp)
    list(APPEND sources ${found})
  endforeach()
  list(TRANSFORM ROOM_FILES PREPEND ${CMAKE_SOURCE_DIR}/)
  list(TRANSFORM ROOM_EXCEPT PREPEND ${CMAKE_SOURCE_DIR}/)
  list(APPEND sources ${ROOM_FILES})
  list(REMOVE_ITEM sources "" ${ROOM_EXCEPT})
  list(TRANSFORM ROOM_ROOMS PREPEND deformer_)
  deformer_quiet_regex(${sources})
  if(sources)
    add_library(deformer_${name} STATIC ${sources})
    target_link_libraries(deformer_${name} PUBLIC deformer_options ${ROOM_ROOMS} ${ROOM_LIBS})
    if(ROOM_MODULES)  # hidden symbols: code that may move, without indirection inside the room
      set_target_properties(deformer_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON
        CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
    endif()
  else()
    add_library(deformer_${name} INTERFACE)
    target_link_libraries(deformer_${name} INTERFACE deformer_options ${ROOM_ROOMS} ${ROOM_LIBS})
  endif()
endfunction()

# A module of the program: plugins/deformer-bench-<name>.so in the build folder, lib/deformer-bench/plugins where it
# is installed. Exports its entry point alone.
set(DEFORMER_PLUGIN_FOLDER lib/deformer-bench/plugins)  # not LIBDIR: found from bin/ by this very path
function(deformer_module target name)
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME deformer-bench-${name} SUFFIX .so
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins LINKER_LANGUAGE CXX
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/module.map)
  target_link_options(${target} PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/module.map
    -Wl,--as-needed -Wl,--gc-sections -Wl,--no-undefined)
  install(TARGETS ${target} LIBRARY DESTINATION ${DEFORMER_PLUGIN_FOLDER})
endfunction()
