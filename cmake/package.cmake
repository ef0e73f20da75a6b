# `cpack` makes a .deb for Debian 12. Its dependencies are what the linker found (dpkg-shlibdeps). Man
# page and shell completions come from the command line's own description: the program writes them.
set(generated ${CMAKE_BINARY_DIR}/description)  # see cli/CMakeLists.txt
install(FILES ${generated}/deformer-bench.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${generated}/deformer-bench.bash RENAME deformer-bench
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${generated}/_deformer-bench DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME deformer-bench)
set(CPACK_PACKAGE_CONTACT "deformer-bench <deformer-bench@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libgomp1")
include(CPack)
