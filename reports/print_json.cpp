#include "reports/table.hpp"

namespace deformer {

void print_json_rows(const Table& table, const Sink& sink) {
  sink("[");
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    sink(r == 0 ? "\n" : ",\n");
    sink(row_json(table, r).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  sink("\n]");
}

}  // namespace deformer
