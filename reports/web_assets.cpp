/// The assembler takes the files in (.incbin); the build rule names them as what this depends on.

#include "reports/web_assets.hpp"

#define DEFORMER_EMBED(symbol, path)                                             \
  asm(".section .rodata\n.global " #symbol "\n.global " #symbol "_end\n" #symbol \
      ":\n.incbin \"" path "\"\n" #symbol "_end:\n.byte 0\n.text\n");            \
  extern "C" const char symbol[];                                                \
  extern "C" const char symbol##_end[];

DEFORMER_EMBED(deformer_web_style, DEFORMER_WEB_FOLDER "/report.css")
DEFORMER_EMBED(deformer_web_script, DEFORMER_WEB_FOLDER "/report.js")
DEFORMER_EMBED(deformer_web_chart, DEFORMER_CHART_JS)

namespace deformer {

std::string_view web_style() {
  return {deformer_web_style, deformer_web_style_end};
}
std::string_view web_script() {
  return {deformer_web_script, deformer_web_script_end};
}
std::string_view web_chart_library() {
  return {deformer_web_chart, deformer_web_chart_end};
}

}  // namespace deformer
