"""ci/cpu-shows' driver: measures the shows asked for and writes the page. See ci/cpu-shows for the command.

Every show measured is a line of out/cpu-shows/shows.jsonl, beside the records of its bursts. The page shows the latest
line of each show of this build and machine, so that it may be made in parts (--only)."""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "ci/peers.d"))  # its witnesses of a quiet machine, its worker, its names of machines

import client
import engines
import figures
import journal
import machine
import page
import plan
import quiet

TRIES = 3  # of one burst


def say(text):
    print(text, file=sys.stderr, flush=True)


def read_arguments(words=None):
    parser = argparse.ArgumentParser(prog="ci/cpu-shows", description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="LIST", help=f"shows by comma, of {', '.join(map(str, plan.SHOWS))}")
    parser.add_argument("--dry-run", action="store_true", help="say what would be measured and how long it takes")
    parser.add_argument("--minutes", type=float, default=15, help="no burst begins that would end later (default %(default)g)")
    parser.add_argument("--threads", type=int, default=machine.cores(), help="default: the cores (%(default)s)")
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build/release", help="where the program is")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "out/cpu-shows", help="journal and records")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "results", help="folder of the page")
    arguments = parser.parse_args(words)
    known = [str(number) for number in plan.SHOWS]
    asked = arguments.only.split(",") if arguments.only else known
    unknown = [text for text in asked if text not in known]
    if unknown:
        parser.error(f"--only: expected some of {', '.join(known)}, found '{unknown[0]}' (2: ci/peers; 7 stands in the history)")
    if arguments.threads < 1 or not arguments.minutes > 0:
        parser.error("expected --threads of 1 or more and --minutes above 0")
    arguments.shows = [plan.SHOWS[int(text)] for text in known if text in asked]
    return arguments


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Machine:
    """The witnesses: the FMA loop in a process of its own, and who else used the processors."""

    def __init__(self, program, threads, work):
        environment = engines.find(engines.OURS).environment({}, threads, work)
        self.probe = client.Worker([str(program)], environment, work / "probe.log")
        self.threads = threads
        self.watch = quiet.Watch(self.probe, threads)
        self.watch.settle()

    @property
    def best(self):
        return self.watch.best

    def rate_of(self, threads):
        return max(self.probe.ask({"do": "probe", "threads": threads}, 60)["flops_per_s"] for _ in range(5))

    def during(self, action):
        """(what `action` returns, whether the machine was quiet, shares of the best rate before and after, others' share)."""
        before = self.watch.rate()
        begin, busy, own = time.monotonic(), quiet.busy_seconds(), children_seconds()
        result = action()
        busy, own = quiet.busy_seconds() - busy, children_seconds() - own
        foreign = max(0.0, busy - own) / ((time.monotonic() - begin) * os.cpu_count())
        rates = [before, self.watch.rate()]
        return result, quiet.is_clean(rates, self.best, foreign), [rate / self.best for rate in rates], foreign

    def close(self):
        self.probe.close()


def run_program(command, log, timeout):
    """The rows of one run. @raises LookupError with the last line that it left, when there are none."""
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith("DEFORMER_BENCH_") or key == "DEFORMER_BENCH_CACHE_DIR"}
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment,
                              timeout=timeout, check=False)
        log.write_text(done.stderr, encoding="utf-8")
        return json.loads(done.stdout)["rows"]
    except subprocess.TimeoutExpired:
        raise LookupError(f"not done after {timeout:.0f} s")
    except (OSError, ValueError, KeyError) as error:
        said = log.read_text(encoding="utf-8").strip().splitlines() if log.exists() else []
        raise LookupError(said[-1] if said else f"expected JSON of {command[0]}, found {error}")


def measure_burst(burst, options, quiet_machine, deadline, run=run_program):
    """(records or None, its line of the journal): made again while the machine disturbs it and there is time."""
    expected = burst.seconds * plan.REFERENCE_RATE / quiet_machine.best
    line = {"name": burst.name, "rates": None, "foreign": 0.0, "thrown": 0, "discarded": 0, "seconds": 0.0, "reason": ""}
    out = options.work / (re.sub(r"\W+", "-", burst.name) + ".jsonl")
    while line["thrown"] < TRIES:
        if time.monotonic() + expected > deadline:
            line["reason"] = "the time was over" + (" when it was to be made again" if line["thrown"] else "")
            return None, line
        out.unlink(missing_ok=True)
        begin = time.monotonic()
        try:
            rows, clean, line["rates"], line["foreign"] = quiet_machine.during(lambda: run(
                burst.command(options.build_dir / "deformer-bench", out, options.threads), out.with_suffix(".err"),
                60 + 10 * expected))
        except LookupError as error:
            line["reason"] = str(error)
            return None, line
        line["seconds"] = time.monotonic() - begin
        if clean:
            line["discarded"] = sum(row["time"]["discarded"] for row in rows if row["time"])
            return rows, line
        line["thrown"] += 1
        say("    disturbed: FMA {:.2f} before, {:.2f} after; {:.0%} of the processors used by others".format(
            *line["rates"], line["foreign"]))
    line["reason"] = f"disturbed {TRIES} times"
    return None, line


def measure_show(show, options, quiet_machine, deadline):
    """The journal's line of one show."""
    say(f"cpu-shows: {show.number}: {show.title}")
    records, lines = {}, []
    for burst in show.bursts:
        rows, line = measure_burst(burst, options, quiet_machine, deadline)
        records[burst.name] = rows, line["reason"]
        lines.append(line)
        say(f"  {burst.name:12} {line['reason'] or 'ok'}, {line['seconds']:.0f} s, {line['thrown']} thrown away")

    def of_burst(name):
        rows, reason = records[name]
        if rows is None:
            raise LookupError(reason)
        return rows

    found = [{**dataclasses.asdict(figure), "verdict": figure.verdict, "goal": figure.goal}
             for figure in show.figures(of_burst, quiet_machine.rate_of)]
    for figure in found:
        say("    " + "  ".join(page.figure_line(figure)))
    return {"show": show.number, "title": show.title, "when": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
            "fma_peak": quiet_machine.best, "figures": found, "bursts": lines}


def build_of(program):
    done = subprocess.run([str(program), "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return re.search(r"^build (\w+)", done.stdout, re.MULTILINE).group(1)


def tell(shows, rate):
    for show in shows:
        say(f"cpu-shows: {show.number}: {len(show.bursts)} bursts, about {plan.seconds_of(show, rate):.0f} s: {show.title}")
    total = sum(plan.seconds_of(show, rate) for show in shows)
    say(f"cpu-shows: about {total / 60:.1f} minutes in all, more where bursts are disturbed (by an FMA rate of "
        f"{rate * 1e-9:.0f} GFLOP/s; longer where f32 can't use AMX)")


def main():
    options = read_arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    options.results.mkdir(parents=True, exist_ok=True)
    about, build = machine.describe(), build_of(options.build_dir / "deformer-bench")
    path = options.work / "shows.jsonl"
    quiet_machine = Machine(options.build_dir / "deformer-bench-peer", options.threads, options.work)
    measured = []
    try:
        tell(options.shows, quiet_machine.best)
        deadline = time.monotonic() + 60 * options.minutes
        for show in [] if options.dry_run else options.shows:
            line = {**measure_show(show, options, quiet_machine, deadline), "machine": about, "build": build,
                    "threads": options.threads}
            journal.append(path, line)
            measured.append(line)
            write_page(path, about, build, options)
    finally:
        quiet_machine.close()
    return figures.exit_code([figure["verdict"] for line in measured for figure in line["figures"]])


def write_page(path, about, build, options):
    """After each show: what is interrupted later keeps the page of what was done."""
    lines = page.latest(journal.records(path), about, build, options.threads)
    written = options.results / f"cpu-shows-{machine.slug(about)}.md"
    written.write_text(page.page(lines, about, build, options.threads), encoding="utf-8")
    say(f"cpu-shows: {os.path.relpath(written)}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("cpu-shows: interrupted: the shows that were measured whole are in the page")
