"""Shows 1 to 4 and 6: what is measured once, each figure beside its goal."""

import json
import os
import subprocess

import trace_check
from shows import Row, percent, rows_of, run

PAPER_REDUCTIONS = {"squad": 70.3, "race": 72.9, "boolq": 72.0, "mnli": 56.4}  # per cent, table 1 of the paper


def squad(options, batch, seconds, *more):
    """bert-base's squad at k=9: full and cached."""
    return rows_of(options, "profile", "--model", "bert-base", "--task", "squad", "--split", "9", "--variant", "full,cached",
                   "--batch", str(batch), "--threads", "2", "--parity", "off", "--max-time", str(seconds), "--quiet",
                   *more)


def of_whole(row):
    return sum(operation["median_ns"] for operation in row["operations"]) / row["ranges"][0]["median_ns"]


def largest_losses(row, count=3):
    lost = sorted((one for one in row["operations"] if one.get("lost_ns") is not None),
                  key=lambda one: -one["lost_ns"])[:count]
    return [f"{one['name']} {one['lost_ns'] / 1e6:.2f} ms ({one['bound_by']})" for one in lost]


def where_it_goes(options):
    """Show 1."""
    rows = []
    for batch in options.batches:
        records = squad(options, batch, options.squad_time)
        for record in records:
            part = of_whole(record)
            rows.append(Row(f"b{batch} {record['point']['variant']}: operations of the whole", percent(part), "within 2 %",
                            abs(part - 1) < 0.02))
            losses = largest_losses(record)
            rows.append(Row(f"b{batch} {record['point']['variant']}: largest losses", ", ".join(losses), "three named",
                            len(losses) == 3))
        fall = records[1]["waterfall"]
        steps = " > ".join(f"{step['ratio']:.2f}" for step in fall["steps"] if step["step"] != "remainder")
        rows.append(Row(f"b{batch}: waterfall", steps, "", None if not fall["steps"] else True,
                        ", ".join(step["step"] for step in fall["steps"] if step["step"] != "remainder")))
        rest = fall["remainder_fraction"]
        rows.append(Row(f"b{batch}: remainder", f"{100 * rest:+.1f} %", "< 5 %", abs(rest) < 0.05))
    return rows


def overhead_row(what, over, goal):
    """Held where the whole interval is below; missed where it is above; else not told."""
    low, high = over["ci_low"] - 1, over["ci_high"] - 1
    control = over["control"]
    return Row(what, f"{100 * (over['ratio'] - 1):+.2f} % [{100 * low:+.2f}, {100 * high:+.2f}]", f"< {100 * goal:g} %",
               True if high < goal else False if low > goal else None,
               f"{over['rounds']} pairs; without over without {100 * (control['ratio'] - 1):+.2f} % "
               f"[{100 * (control['ci_low'] - 1):+.2f}, {100 * (control['ci_high'] - 1):+.2f}]; "
               f"the stamps alone {over['replayed_ns']:.0f} ns")


def what_recording_costs(options):
    """Show 2. Ten rounds: what is asked of this run are the pairs that follow them."""
    rows = []
    for threads in (1, 2):
        record, = rows_of(options, "profile", "--model", "bert-tiny", "--task", "squad", "--split", "1", "--variant", "full",
                          "--threads", str(threads), "--parity", "off", "--rounds", "10", "--max-time",
                          str(options.pairs_time), "--quiet")
        rows.append(overhead_row(f"t{threads}: phase ranges", record["overhead"]["phase"], 0.002))
        rows.append(overhead_row(f"t{threads}: op detail", record["overhead"]["op"], 0.02))
        nvtx = record["nvtx"]
        rows.append(Row(f"t{threads}: an NVTX range without a tool",
                        "-" if nvtx["missing"] else f"{nvtx['ns_per_range']:.2f} ns", "nanoseconds",
                        None if nvtx["missing"] else nvtx["ns_per_range"] < 100, nvtx["missing"] or ""))
    return rows


def tested(options, binary, pattern):
    """{test: (passed, its figures)} of a test program."""
    path = os.path.join(options.out, f"{binary}.json")
    command = [os.path.join(os.path.dirname(options.program), "tests", binary), f"--gtest_filter={pattern}",
               f"--gtest_output=json:{path}"]
    print("$", *command[:2], flush=True)
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    with open(path, encoding="utf-8") as file:
        suites = json.load(file)["testsuites"]
    return {case["name"]: ("failures" not in case, case) for suite in suites for case in suite["testsuite"]}


def counters(options):
    """Show 3."""
    rows = []
    for row in json.loads(run([options.program, "list", "--format", "json"]))["rows"]:
        if row["kind"] == "counter":
            missing = row.get("unavailable")
            rows.append(Row(row["name"], "-" if missing else "works", "works or says why not", None if missing else True,
                            missing or ""))
    found = tested(options, "test_profilers", "Counters.*")
    passed, case = found["TheTaskClockIsTheThreadsCpuTime"]
    rows.append(Row("task clock / CLOCK_THREAD_CPUTIME_ID", case["task_clock_over_thread_cputime"], "within 1 %", passed,
                    case["source"]))
    passed, case = found["PageFaultsAreThoseOfGetrusage"]
    rows.append(Row("page faults, getrusage", f"{case['page_faults']}, {case['getrusage']}", "within 2", passed,
                    case["source"]))
    for name, what in (("CacheHostileLoopsShow", "cache"), ("BranchHostileLoopsShow", "branch")):
        passed, case = found[name]
        missing = case.get("missing", "")
        rows.append(Row(f"{what}-hostile loop", "-" if missing else f"{case['hostile']} against {case['gentle']}",
                        "5 times as many", None if missing else passed, missing))
    return rows


def memory(options):
    """Show 4."""
    rows = []
    for task, published in PAPER_REDUCTIONS.items():
        full, cached = rows_of(options, "cost", "--model", "bert-base", "--task", task, "--split", "9", "--variant",
                               "full,cached")
        less = 100 * (1 - cached["memory"]["requested_bytes"] / full["memory"]["requested_bytes"])
        rows.append(Row(f"{task}: requested less than full", f"{less:.1f} %", f"{published} within 5", abs(less - published) <= 5))
    found = squad(options, 1, 1, "--rounds", "10")[1]["memory"]
    rows.append(Row("squad: the same of this backend's buffers", percent(found["requested_reduction"], 1), "", True,
                    "not the paper's definition: fused operations write no scores and no result of GELU"))
    rows.append(Row("squad: largest plan, arena", f"{found['planned_largest_bytes']}, {found['allocated_bytes']}", "equal",
                    found["planned_largest_bytes"] == found["allocated_bytes"]))
    passed, case = tested(options, "test_backends", "CpuMemory.*")["TheAllocatorGaveWhatWasPlanned"]
    rows.append(Row("planned, what malloc's own books gave", f"{case['planned']}, {case['given']}", "equal but for huge pages begun, and lists",
                    passed))
    return rows


def trace(options):
    """Show 6."""
    path = os.path.join(options.out, "trace.json")
    squad(options, 1, 1, "--rounds", "10", "--trace", path)
    with open(path, encoding="utf-8") as file:
        wrong, found = trace_check.check(json.load(file))
    held = not wrong
    return [Row("ranges, tracks, processes", f"{found.get('ranges')}, {found.get('tracks')}, {found.get('processes')}",
                "format, nested, none negative", held, "; ".join(wrong[:3])),
            Row("counter tracks", ", ".join(found.get("counters", [])), "", bool(found.get("counters")),
                f"look at {path}: https://ui.perfetto.dev, or viztracer's vizviewer")]
