"""ci/peers' driver: measures the rows asked for and writes the report. See ci/peers for the command.

Every row measured is one line of out/peers/records.jsonl, raw samples included. The report, written after each row, shows
the latest record of each row that was measured on this machine with the versions in use now, so a table may be made in
parts (--rows, --missing). A page in results/ with rows that the new one lacks is not written over (report.place)."""

import argparse
import pathlib
import re
import sys
import time

import checkpoint
import engines
import journal
import machine
import measure
import report
import rows
from client import Refused, Worker
from quiet import Watch
from team import Team

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read_arguments(words=None):
    parser = argparse.ArgumentParser(prog="ci/peers", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", metavar="REGEX", help="only rows whose name (bert-base/f32/L320/b8) matches")
    parser.add_argument("--missing", action="store_true", help="of these, only rows that the report does not have yet of "
                        "the versions in use: goes on with a run that was interrupted")
    parser.add_argument("--dry-run", action="store_true", help="name the rows and about how long they take")
    parser.add_argument("--quick", action="store_true", help="two rows and three rounds, report in out/peers/quick.md")
    parser.add_argument("--engines", metavar="NAMES", help="comma list of " + ", ".join(e.name for e in engines.ENGINES))
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a burst (default 0.5)")
    parser.add_argument("--rounds", type=int, default=0, help="default 9, or 6 where a round takes over 10 s")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="default: the cores (%(default)s)")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/deformer-bench-peer")
    arguments = parser.parse_args(words)
    if arguments.threads < 1 or arguments.rounds < 0 or not 0 < arguments.seconds <= 60:
        parser.error("expected --threads of 1 or more, --rounds of 0 or more, --seconds above 0 and at most 60")
    if arguments.quick:
        arguments.rows = arguments.rows or rows.QUICK
        arguments.rounds = arguments.rounds or 3
    try:
        arguments.chosen = rows.select(arguments.rows)
    except re.error as error:
        parser.error(f"--rows: expected a regular expression, found '{arguments.rows}': {error}")
    if not arguments.chosen:
        parser.error(f"--rows: no row matches '{arguments.rows}'; they are named like {rows.expand(rows.TABLE)[0].name}")
    return arguments


def engine_names(text):
    known = [engine.name for engine in engines.ENGINES]
    names = text.split(",") if text else known
    for name in names:
        engines.find(name)
    return [name for name in known if name in names]


def tell(chosen, engine_count, options):
    """Names the rows and the time they take, before any is measured."""
    seconds = [measure.estimated_seconds(row, engine_count, options) for row in chosen]
    for row, each in zip(chosen, seconds):
        measure.say(f"peers: {row.name}: about {each:.0f} s")
    measure.say(f"peers: {len(chosen)} rows, about {sum(seconds) / 60:.0f} minutes (judged by a 2-core Sapphire Rapids; more "
                "where bursts are disturbed, or exports are made for the first time)")


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
    names, chosen = engine_names(arguments.engines), arguments.chosen
    options = measure.Options(arguments.threads, arguments.seconds, arguments.rounds)
    work = ROOT / "out/peers"
    work.mkdir(parents=True, exist_ok=True)
    path = work / ("quick.jsonl" if arguments.quick else "records.jsonl")
    if arguments.quick and not arguments.dry_run:
        path.unlink(missing_ok=True)
    if arguments.dry_run and not arguments.missing:  # which starts no engine
        tell(chosen, len(names), options)
        return
    team = Team(names, arguments.program, arguments.threads, work)
    probe = Worker([str(arguments.program)], engines.find(engines.OURS).environment({}, arguments.threads, work),
                   work / "probe.log")
    try:
        now = {"machine": machine.describe(), "threads": arguments.threads,
               "versions": {name: team.versions(name) for name in names}}
        if arguments.missing:
            done = {record["name"] for record in journal.latest(path, now)}
            chosen = [row for row in chosen if row.name not in done]
        tell(chosen, len(names), options)
        if not arguments.dry_run:
            measure_all(chosen, team, Watch(probe, arguments.threads), options, work, now, path, arguments)
    except KeyboardInterrupt:
        sys.exit("peers: interrupted: the rows that were measured whole are in the report; --missing goes on")
    finally:
        team.close()
        probe.close()


def measure_all(chosen, team, watch, options, work, now, path, arguments):
    """The report is written after each row: what is interrupted later has those before it."""
    if not chosen:
        write_report(path, now, arguments)
        return
    for record in measure_rows(chosen, team, watch, options, work, now):
        journal.append(path, record)
        write_report(path, now, arguments)


def write_report(path, now, arguments):
    records = journal.latest(path, now)
    folder = ROOT / ("out/peers" if arguments.quick else "results")
    folder.mkdir(exist_ok=True)
    if not records:
        sys.exit("peers: nothing was measured with these versions")
    text = report.page(records, now["machine"], now["versions"], "ci/peers --quick" if arguments.quick else "ci/peers")
    if arguments.quick:
        page = folder / "quick.md"
    else:
        page = report.place(folder, machine.slug(now["machine"]), text, time.strftime("%Y-%m-%d", time.gmtime()))
    page.write_text(text, encoding="utf-8")
    print(f"peers: {len(records)} rows in {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
