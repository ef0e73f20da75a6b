# What a backend outside of this tree is built with: one C header and a CMake package. `cmake --install build/release
# --component plugin-sdk --prefix DIR` installs nothing else.

include(CMakePackageConfigHelpers)
add_library(deformer_plugin_header INTERFACE)
target_include_directories(deformer_plugin_header INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(deformer_plugin_header PROPERTIES EXPORT_NAME plugin)
install(FILES backends/plugin/plugin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/deformer-bench COMPONENT plugin-sdk)
install(TARGETS deformer_plugin_header EXPORT deformer_plugin_sdk COMPONENT plugin-sdk)
set(package_folder lib/cmake/deformer-bench)
install(EXPORT deformer_plugin_sdk NAMESPACE deformer-bench:: FILE deformer-bench-config.cmake
        DESTINATION ${package_folder} COMPONENT plugin-sdk)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/deformer-bench-config-version.cmake
  COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_BINARY_DIR}/deformer-bench-config-version.cmake DESTINATION ${package_folder}
        COMPONENT plugin-sdk)
