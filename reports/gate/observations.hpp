#pragma once
/// What a gate judges: for every point what base and head were observed to do.
///
/// Times come in *rounds* nested in *processes*. A process is one start of a program: its memory
/// layout, address space and thread placement are drawn once and shared by all its rounds, so
/// rounds of one process are not independent, processes are. Base and head processes may be
/// *paired*: started one beside the other, their rounds interleaved, so that what disturbs one
/// disturbs both.
///
/// In run files a process is one set. `gate measure` marks its records with
///   "gate": {"pair": ID of the gate, "side": "base"|"head", "process": 0..., "confirming": bool}
/// and base's process i is paired with head's process i of the same `pair`, round by round
/// (`time.round`). Records without that mark are unpaired processes.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace deformer {

/// A sample of a point: the mean time of a forward, and of the `full` measured beside it.
struct GateRound {
  double ns = 0;
  double full_ns = 0;  ///< 0: none (the point is `full` itself, or has none)
};

/// One start of one program.
struct GateProcess {
  std::vector<GateRound> rounds;
};

/// A base process and a head process whose rounds were interleaved: base[i] stands beside head[i].
struct GatePair {
  std::vector<GateRound> base, head;  ///< of the same length
  bool confirming = false;  ///< measured after a regression was suspected, to confirm or clear it
};

/// A figure that is the same at every repetition. Lower is better.
struct ExactFigure {
  std::string name;             ///< "flops", "bytes_requested", "binary_bytes", ...
  std::string unit;             ///< "FLOP", "bytes", "" for counts
  bool depends_on_isa = false;  ///< compared only where both sides ran with the same instructions
  bool counted = false;         ///< counted tier (instructions): repeats closely, not exactly
  double value = 0;
  /// By what and how a counted one was counted ("callgrind-3.19.0, avx2 fma, 1 thread"): compared
  /// only with what was counted alike. Empty: nothing is said of it.
  std::string counted_as = {};
  std::map<std::string, double> of_ranges = {};  ///< of a counted one, by path; empty: unknown
  /// Least and most that any process counted; 0: counted once.
  double low = 0, high = 0;
  bool simulated =
      false;  ///< no processor counted it: the same on all machines of its instructions
};

/// One side of a point.
struct GateSide {
  /// "ok", "skipped", "failed", "invalid" as in records; "absent": not in the run at all.
  std::string status = "absent";
  std::string reason;
  std::vector<ExactFigure> figures;
  std::string count_status;  ///< "ok", or what a count that was asked for failed with; empty: none
  std::string count_reason;
  std::string isa;         ///< instructions the processor offered, as the fingerprint spells them
  std::string build;       ///< build id of the program
  std::string injected;    ///< slowdown planted on purpose; empty when none was
  bool unchecked = false;  ///< parity was off
  /// Ranges and phases as a record holds them ({"ranges":...,"phases":...,"injected":...}), medians
  /// over the processes; null when there are none. For attribution.
  nlohmann::ordered_json ranges;
};

/// One point, both sides.
struct GatePoint {
  std::string key, name, group, variant;
  std::string reproduce;  ///< command that measures it again
  GateSide base, head;
  std::vector<GatePair> pairs;                      ///< when measured side by side
  std::vector<GateProcess> base_alone, head_alone;  ///< processes that stand beside no other
};

/// A side of the whole gate.
struct GateProgram {
  std::string name;   ///< what the user called it: a path
  std::string build;  ///< build id; empty when unknown
  std::string version, revision;
  std::map<std::string, std::string> machine;  ///< deciding fields; empty when unknown
  std::vector<ExactFigure> figures;            ///< of the program itself: size of the binary
  bool unfinished = false;  ///< its last run has no end line: killed, or the file is truncated
};

struct GateInput {
  GateProgram base, head;
  bool identical_allowed = false;  ///< --aa: the same build on both sides is meant
  std::vector<GatePoint> points;   ///< in the order of base, then what only head has
};

}  // namespace deformer
