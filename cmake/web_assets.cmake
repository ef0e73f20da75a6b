# The html report carries its style, its script and Debian's Chart.js: the assembler takes them into
# reports/web_assets.cpp.
find_file(DEFORMER_CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js REQUIRED NO_DEFAULT_PATH)
mark_as_advanced(DEFORMER_CHART_JS)
set(web ${CMAKE_SOURCE_DIR}/reports/web)
set_source_files_properties(reports/web_assets.cpp PROPERTIES
  COMPILE_DEFINITIONS "DEFORMER_WEB_FOLDER=\"${web}\";DEFORMER_CHART_JS=\"${DEFORMER_CHART_JS}\""
  OBJECT_DEPENDS "${web}/report.css;${web}/report.js;${DEFORMER_CHART_JS}")
