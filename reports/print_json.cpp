#include "reports/table.hpp"

namespace deformer {

void print_json_rows(const Table& table, const Sink& sink) {
  sink("[");
  print_rows(
      table.rows.size(),
      [&table](std::size_t r, std::string& out) {
        out += r == 0 ? "\n" : ",\n";
        out += row_json(table, r).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
      },
      sink);
  sink("\n]");
}

}  // namespace deformer
