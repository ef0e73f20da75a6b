#pragma once
/// Files built into the program. Internal to reports/.

#include <string_view>

namespace deformer {

std::string_view web_style();
std::string_view web_script();
std::string_view web_chart_library();

}  // namespace deformer
