"""ci/peers' driver: measures the rows asked for and writes the report. See ci/peers for the command.

Every row measured is one line of out/peers/records.jsonl, raw samples included. The report shows the latest record of
each row that was measured on this machine with the versions in use now, so a table may be made in parts (--rows)."""

import argparse
import json
import pathlib
import sys
import time

import checkpoint
import engines
import machine
import measure
import report
import rows
from client import Refused, Worker
from quiet import Watch
from team import Team

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read_arguments():
    parser = argparse.ArgumentParser(prog="ci/peers", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", metavar="REGEX", help="only rows whose name (bert-base/f32/L320/b8) matches")
    parser.add_argument("--quick", action="store_true", help="two rows and three rounds, report in out/peers/quick.md")
    parser.add_argument("--engines", metavar="NAMES", help="comma list of " + ", ".join(e.name for e in engines.ENGINES))
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a burst (default 0.5)")
    parser.add_argument("--rounds", type=int, default=0, help="default 9, or 6 where a round takes over 10 s")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="default: the cores (%(default)s)")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/deformer-bench-peer")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows = arguments.rows or rows.QUICK
        arguments.rounds = arguments.rounds or 3
    return arguments


def engine_names(text):
    known = [engine.name for engine in engines.ENGINES]
    names = text.split(",") if text else known
    for name in names:
        engines.find(name)
    return [name for name in known if name in names]


def comparable(record, now):
    """Whether a record may stand in one table with what is measured now."""
    return record["machine"] == now["machine"] and record["threads"] == now["threads"] and all(
        record["versions"].get(name, found) == found for name, found in now["versions"].items())


def latest_records(path, now):
    """The latest comparable record of every row, in the order of the table."""
    found = {}
    if path.exists():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            if comparable(record, now):
                found[record["name"]] = record
    order = [row.name for row in rows.expand(rows.TABLE + rows.EXTRA)]
    return sorted(found.values(), key=lambda record: order.index(record["name"]))


def peaks_of(dtypes, probe, threads):
    """{dtype: {flops_per_s, by}, or {missing: why}}: the arithmetic roof, as `deformer-bench machine` measures it."""
    found = {}
    for dtype in dtypes:
        try:
            found[dtype] = probe.ask({"do": "peak", "dtype": dtype, "threads": threads}, 60)
        except Refused as error:
            found[dtype] = {"missing": str(error)}
    return found


def measure_rows(chosen, team, watch, options, work, now):
    """Yields the record of each row."""
    watch.settle()
    peaks = peaks_of(sorted({row.dtype for row in chosen}), watch.probe, options.threads)
    for row in chosen:
        begin = time.monotonic()
        measure.say(f"peers: {row.name}")
        message = {"row": row.message(), "checkpoint": str(checkpoint.make(work, row.model)),
                   "ids": str(checkpoint.make_ids(work / "ids", row)), "threads": options.threads, "work": str(work)}
        record = {**measure.measure(row, team, watch, message, options, work), **now,
                  "peak": peaks[row.dtype], "seconds": time.monotonic() - begin}
        for line in report.engine_lines(record):
            measure.say("    " + "  ".join(map(str, line[2:])))
        measure.say(f"  {record['seconds']:.0f} s, {record['discarded']} bursts thrown away")
        yield record


def main():
    arguments = read_arguments()
    names, chosen = engine_names(arguments.engines), rows.select(arguments.rows)
    if not chosen:
        sys.exit(f"peers: no row matches '{arguments.rows}'; rows are named like {rows.expand(rows.TABLE)[0].name}")
    work = ROOT / "out/peers"
    work.mkdir(parents=True, exist_ok=True)
    journal = work / ("quick.jsonl" if arguments.quick else "records.jsonl")
    if arguments.quick:
        journal.unlink(missing_ok=True)
    options = measure.Options(arguments.threads, arguments.seconds, arguments.rounds)
    team = Team(names, arguments.program, arguments.threads, work)
    probe = Worker([str(arguments.program)], engines.find(engines.OURS).environment({}, arguments.threads, work),
                   work / "probe.log")
    try:
        now = {"machine": machine.describe(), "threads": arguments.threads,
               "versions": {name: team.versions(name) for name in names}}
        with open(journal, "a", encoding="utf-8") as file:
            for record in measure_rows(chosen, team, Watch(probe, arguments.threads), options, work, now):
                file.write(json.dumps(record) + "\n")
                file.flush()
    finally:
        team.close()
        probe.close()
    write_report(journal, now, arguments)


def write_report(journal, now, arguments):
    records = latest_records(journal, now)
    folder = ROOT / ("out/peers" if arguments.quick else "results")
    folder.mkdir(exist_ok=True)
    name = "quick.md" if arguments.quick else f"peers-{machine.slug(now['machine'])}.md"
    (folder / name).write_text(report.page(records, now["machine"], now["versions"],
                                           "ci/peers --quick" if arguments.quick else "ci/peers"))
    print(f"peers: {len(records)} rows in {(folder / name).relative_to(ROOT)}")


if __name__ == "__main__":
    main()
