#include "workloads/json_field.hpp"

#include <fmt/format.h>

#include "model/error.hpp"
#include "model/json_input.hpp"

namespace deformer {

bool json_bool(const nlohmann::json& config, const char* key, bool absent,
               const std::filesystem::path& file) {
  const auto found = config.find(key);
  if (found == config.end()) return absent;
  if (!found->is_boolean()) {
    throw BadInput(fmt::format("{}: expected true or false for \"{}\", found {}; correct the file",
                               file.string(), key, describe(*found)));
  }
  return found->get<bool>();
}

}  // namespace deformer
