# Writes build_id.hpp when it changed. Run at build time, so that the id follows the sources.

cmake_policy(VERSION 3.25)

set(digests "${FLAGS}")
foreach(source IN LISTS SOURCES)
  file(SHA256 ${source} digest)
  file(RELATIVE_PATH relative ${SOURCE_DIR} ${source})
  string(APPEND digests "\n${relative} ${digest}")
endforeach()
string(SHA256 build_id "${digests}")
string(SUBSTRING ${build_id} 0 12 build_id)
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse --short=12 HEAD
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(revision "unknown")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT
"#pragma once
namespace deformer {
inline constexpr const char* kVersion = \"${VERSION}\";
inline constexpr const char* kRevision = \"${revision}\";
inline constexpr const char* kBuildId = \"${build_id}\";
inline constexpr const char* kBuildFlags = \"${FLAGS}\";
}  // namespace deformer
")
