// `gate files`: verdict on the run file HEAD against the run file BASE.

#include <fmt/format.h>

#include "cli/gate.hpp"
#include "cli/verbs.hpp"
#include "records/run_file.hpp"
#include "reports/gate/load.hpp"

namespace deformer::cli {

int run_gate_files(const std::vector<std::string>& arguments) {
  App app(
      "gate files",
      "Verdict on the run file HEAD against BASE. Files of `gate measure` hold both sides, "
      "measured side by side: name the file twice. Of separate sweeps the noise from session to "
      "session is assumed.",
      "deformer-bench gate files base.jsonl head.jsonl");
  std::string path_base;
  std::string path_head;
  std::string filter;
  bool identical_allowed = false;
  GateRuleOptions rule_options;
  GateOutputOptions output;
  app.add_option("BASE", path_base, "Run file, the base")->required();
  app.add_option("HEAD", path_head, "Run file, judged against it")->required();
  app.add_option("--filter", filter, "Regular expression on names: judge only these points");
  app.add_flag("--aa", identical_allowed, "Both sides are the same build, and that is meant");
  add_rule_options(app, rule_options);
  add_output_options(app, output);
  if (const auto code = app.read(arguments)) {
    return *code;
  }
  GateRules rules = gate_rules(rule_options);
  const RunFile base = read_run_file(path_base);  // first, so that it is named first
  GateInput input = gate_input(base, read_run_file(path_head), filter, warn);
  input.identical_allowed = identical_allowed;
  add_calibration(rules, rule_options, input.base.machine, "in " + path_base);
  return print_gate(judge(input, rules), output);
}

}  // namespace deformer::cli
