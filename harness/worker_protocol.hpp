#pragma once
/// The worker protocol, version 1: how `gate` makes another binary measure.
///
/// `deformer-bench sweep --worker` reads requests on stdin and answers on stdout, both JSON lines
/// (UTF-8, one object a line, at most kLongestLine bytes). stdout carries nothing else: whatever
/// the process prints otherwise goes to stderr. Every request has a `type` and may have an `id`,
/// which its answer repeats. One answer a request, in their order. Times are nanoseconds.
///
/// A reader ignores fields it does not know, and a worker answers a request that it does not know,
/// or can't read, with an `error` and reads on: so a gate may ask a newer question of an older
/// worker, and gets a line instead of a silence. A version is raised when the meaning of a field
/// changes, never for a new one; `oldest` is the lowest version whose requests are still answered.
///
/// First, unasked:
///
///     {"type":"hello","protocol":1,"oldest":1,"version":"0.1.0","revision":...,"build":...,
///      "flags":...,"machine":{fingerprint as in a run line},"pid":...,"clock":CLOCK}
///
/// CLOCK is {"monotonic_ns":...,"realtime_ns":...} read together: a step of the wall clock, or a
/// machine that slept, shows as a change of their difference.
///
/// `plan`: the options of `sweep` that say which points and how they are measured.
///
///     {"type":"plan","id":1,"arguments":["--model","bert-tiny","--task","squad"]}
///     {"type":"planned","id":1,"groups":[{"group":KEY,"name":...,"points":[
///        {"key":...,"name":...,"point":{...},"skip":REASON or null,"reproduce":COMMAND}, ...]}]}
///
/// `prepare`: makes a planned group ready to run, in place of the one before: weights, sessions,
/// pools, warm-up, a few rounds that are thrown away. `parity` (default true): check against the
/// reference. `inject`: a slowdown to plant (model/injection.hpp); it is of the median forward.
///
///     {"type":"prepare","group":KEY,"parity":true,"inject":"op=ffn1,layer=2,slowdown=3%"}
///     {"type":"prepared","group":KEY,"round_ns":ESTIMATE,"injected":TEXT or null,"points":[
///        {"key":...,"forwards":in a sample,"parity":{as in a record} or null,"exact":EXACT}]}
///
/// EXACT holds figures in which any change is one: {"flops","flops_executed","requested_bytes",
/// "planned_bytes" (activations alive at once),"weights_bytes","launches" (kernels or parallel
/// regions of one forward),"allocations" (calls of operator new in it)}; null what is not known.
///
/// `measure`: rounds, each variant once in each, none discarded.
///
///     {"type":"measure","rounds":4}
///     {"type":"measured","first":INDEX of the first,"clock":CLOCK,"elapsed_ns":...,
///      "allocations":..., "rounds":[{"ns":[a forward, by point],"ratio":[full over it, null for
///      full and without one],"disturbed":by the worker's own probe}]}
///
/// `records`: the group's records over all its rounds but those in `discard` (whole, for all
/// variants), as the run file holds them (interface, schema 1) with the given `run` and `set`, and
/// further "low_ns" in each of `ranges`, the lower quartile of its rounds, and "allocations" in
/// `memory`. The group is then done with: to measure more, prepare it again.
///
///     {"type":"records","run":...,"set":...,"discard":[indices, ascending]}
///     {"type":"records","records":[...]}
///
/// `count`: one forward of every point of the prepared group, whose instructions callgrind counts:
/// only where `valgrind --tool=callgrind --instr-atstart=no` runs the worker, with one thread.
///
///     {"type":"count"}
///     {"type":"counted","isa":"avx2 fma","points":[{"key":...,"ranges":[PATH of leaf 0, ...]}]}
///
/// Its counts are in callgrind's own output: a part of it labelled count_label(point, leaf) is what
/// point number `point` spent up to the end of its leaf number `leaf` and since the one before;
/// leaf -1 is what came after the last.
///
/// With "by":"counters" the worker counts them itself, by a hardware counter and in user mode
/// alone, of as many forwards as asked for, one after the other, again with one thread:
///
///     {"type":"count","by":"counters","forwards":5}
///     {"type":"counted","isa":...,"by":"PAPI_TOT_INS","engines":TEXT,"points":[{"key":...,
///      "ranges":[PATH, ...],"forwards":[INSTRUCTIONS of each],"of_ranges":[of each leaf, a
///      forward] or null where they can't be counted apart}]}
///
/// `counters`: whether that works where the worker runs; either is null.
///
///     {"type":"counters"}
///     {"type":"counters","source":"PAPI_TOT_INS","missing":REASON}
///
/// `hello` says "counts":["callgrind","counters"] of what a worker knows to be asked: one that
/// leaves a word out is older, or was built without.
///
/// `quit`, or the end of stdin: {"type":"bye"} and the process ends with code 0.
///
/// Anything that goes wrong: {"type":"error","id":...,"message":what was expected and found}.

#include <cstddef>
#include <cstdint>
#include <string>

namespace deformer {

inline constexpr int kWorkerProtocol = 1;
inline constexpr int kOldestWorkerProtocol = 1;
/// A request or an answer; the records of a thousand rounds of a deep model are a tenth of it.
inline constexpr std::size_t kLongestLine = std::size_t{64} << 20;
/// Of a part of callgrind's output.
inline std::string count_label(std::size_t point, int leaf) {
  return "deformer-bench " + std::to_string(point) + " " + std::to_string(leaf);
}
/// Of one `count` by counters.
inline constexpr std::int64_t kMostForwardsCounted = 1000;
/// Of one `measure`.
inline constexpr std::int64_t kMostRoundsAsked = 10'000;

}  // namespace deformer
