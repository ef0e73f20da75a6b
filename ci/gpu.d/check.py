"""ci/gpu-check: runs the steps of steps.py on a machine with a device and writes its result files."""

import argparse
import datetime
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent import futures

import bundle
import device
import report
import steps
import verdicts
from json_lines import read_lines

BAD_USAGE, UNAVAILABLE = 2, 3
BUILD = "build/release"
WORK = "out/gpu"
# Of a budget: what stays for the result files, the least that a step is started with, what it gets to write down what it
# has (an interrupt) before it is ended, and the share of it that steps side by side may have.
LAST_S, LEAST_S, GRACE_S, SIDE_SHARE = 2.0, 3.0, 1.0, 0.35
MOST_BESIDE = 16  # steps side by side: each has a context on the device; most wait for it, so one a processor is no crowd


def say(text):
    print("gpu-check: " + text, file=sys.stderr, flush=True)


def parse():
    parser = argparse.ArgumentParser(prog="ci/gpu-check", description=__doc__)
    parser.add_argument("verb", nargs="?", choices=["run", "pack"], default="run")
    parser.add_argument("file", nargs="?", help="of pack: the archive")
    parser.add_argument("--name", help="of the result files (default: the device's)")
    parser.add_argument("--results", default="results", help="folder of the result files")
    parser.add_argument("--build", default=BUILD, help="folder of the built program")
    parser.add_argument("--only", default="", help="comma list of steps, or of beginnings of their names")
    parser.add_argument("--budget", type=float, default=0, help="minutes for all steps; 0: no limit")
    parser.add_argument("--quick", action="store_true",
                        help=f"{steps.QUICK_S} s a point, and large batches not compared with the reference (small ones are)")
    parser.add_argument("--dry-run", action="store_true", help="print the steps, run nothing")
    arguments = parser.parse_args()
    if arguments.verb == "pack" and not arguments.file:
        parser.error("pack: expected the archive to write, found none")
    return arguments


def chosen(only, quick=False, budget=0.0):
    """What is named; else everything, of which a run with a budget leaves out what is for a run of its own."""
    everything = steps.all_steps(quick)
    wanted = [word for word in only.split(",") if word]
    unknown = [word for word in wanted if not any(step.name.startswith(word) for step in everything)]
    if unknown:
        say(f"--only: no step begins with '{unknown[0]}'; the steps: " + " ".join(step.name for step in everything))
        sys.exit(BAD_USAGE)
    if not wanted:
        return [step for step in everything if not (budget and step.apart)]
    return [step for step in everything if any(step.name.startswith(word) for word in wanted)]


def ensure_program(build):
    """The program and its CUDA module, built here where they are not there. Exits with 3 where that can't be."""
    program, module = os.path.join(build, "deformer-bench"), os.path.join(build, "plugins", "deformer-bench-cuda.so")
    if not (os.path.exists(program) and os.path.exists(module)):
        missing = [tool for tool in ("cmake", "ninja", "c++") if shutil.which(tool) is None]
        if missing or not os.path.exists("CMakeLists.txt"):
            say(f"nothing built in {build} and no {', '.join(missing) or 'source'} to build it with; "
                "carry a tree made by `ci/gpu-check pack FILE.tar.gz`")
            sys.exit(UNAVAILABLE)
        say("building")
        for command in (["cmake", "--preset", "release", "-DDEFORMER_CUDA=ON", "-DDEFORMER_TESTS=OFF"],
                        ["cmake", "--build", "--preset", "release"]):
            if subprocess.run(command).returncode != 0:
                sys.exit("gpu-check: the build failed: " + " ".join(command) + "; where a library is missing, carry a tree "
                         "made by `ci/gpu-check pack FILE.tar.gz` on a machine that builds")
    return os.path.abspath(program)


def has_torch():
    return importlib.util.find_spec("torch") is not None


def missing_need(step):
    for need in step.needs.split():
        if need == "torch":
            if not has_torch():
                return "PyTorch is not there"
        elif shutil.which(need) is None and not os.path.exists("/usr/local/cuda/bin/" + need):
            return f"{need} is not there"
    return ""


def fill(command, places):
    words = [re.sub(r"\{(\w+)\}", lambda match: places[match.group(1)], word) for word in command]
    if shutil.which(words[0]) is None and os.path.exists("/usr/local/cuda/bin/" + words[0]):
        words[0] = "/usr/local/cuda/bin/" + words[0]
    return words


RUNNING = set()  # processes of steps, each of a group of its own


def signal_group(process, sent):
    try:
        os.killpg(process.pid, sent)
    except ProcessLookupError:
        pass  # it has ended


def end(process, limit_s):
    """Waits until the limit; then everything that the step started is interrupted, and ended a moment later."""
    grace_s = min(GRACE_S, limit_s / 2)
    for sent, seconds in ((None, limit_s - grace_s), (signal.SIGINT, grace_s), (signal.SIGKILL, None)):
        if sent is not None:
            signal_group(process, sent)
        try:
            return process.wait(seconds), sent is not None
        except subprocess.TimeoutExpired:
            pass
    raise AssertionError("what is killed ends")


def run_step(step, places, environment, limit_s):
    """Runs a step, its output in WORK/<step>.out and .log; what came of it in a word or two."""
    missing = missing_need(step)
    if missing:
        return "skipped: " + missing
    stem = os.path.join(WORK, step.name)
    with open(stem + ".log", "w", encoding="utf-8") as log, open(stem + ".out", "w", encoding="utf-8") as out:
        log.write(" ".join(fill(step.command, places)) + "\n")
        log.flush()
        try:
            process = subprocess.Popen(fill(step.command, places), stdout=out, stderr=log, env=environment,
                                       start_new_session=True)
        except OSError as error:
            return f"FAILED: {error}"
        RUNNING.add(process)
        code, ended = end(process, limit_s)
        signal_group(process, signal.SIGKILL)  # what it started and left behind
        RUNNING.discard(process)
    if ended:
        return f"unfinished after {limit_s:.0f} s"
    if code == 0:
        return "ok"
    if code == steps.SANITIZER_FOUND and step.found_ok:
        return verdicts.FOUND
    return "not to be had here" if code == UNAVAILABLE and step.absent_ok else f"FAILED (exit {code})"


def remembered(step):
    """Where a step beside others remembers its choices. One of the sanitizer's has its own, empty at first: what is
    remembered is not timed, and what is not run is not watched."""
    return os.path.join(WORK, step.name + ".remembered" if step.apart else "beside")


def environment_of(step, ours):
    """`ours` leads to carried and NVIDIA's libraries. Python keeps its own: another libstdc++ or cublasLt before
    PyTorch's may break it. What the program chooses by timing while others compute is remembered apart, so that no timed
    step goes by it."""
    if "{python}" in step.command:
        return dict(os.environ)
    own = {} if step.alone else {"DEFORMER_BENCH_CACHE_DIR": os.path.abspath(remembered(step))}
    return ours | own | step.environment


class Runner:
    """Runs steps until the budget is spent, counted from `started`."""

    def __init__(self, todo, places, environment, budget_s, started):
        self.todo, self.places, self.environment = todo, places, environment
        self.end = started + budget_s - LAST_S if budget_s else float("inf")
        side_s = SIDE_SHARE * budget_s if any(step.alone for step in todo) else budget_s
        self.side_end = min(self.end, time.monotonic() + side_s) if budget_s else float("inf")
        self.outcomes = {}

    def run(self, step):
        begin = time.monotonic()
        if step.apart:
            shutil.rmtree(remembered(step), ignore_errors=True)
        left = (self.end if step.alone else self.side_end) - begin
        outcome = "out of budget" if left < LEAST_S else run_step(
            step, self.places, environment_of(step, self.environment), min(left, step.minutes * 60))
        seconds = time.monotonic() - begin
        self.outcomes[step.name] = {"step": step.name, "outcome": outcome, "seconds": seconds, "why": step.why,
                                    **verdicts.of(step.name, outcome, WORK)}
        say(f"[{len(self.outcomes)}/{len(self.todo)}] {step.name}: {outcome} ({seconds:.0f} s)")

    def interrupted(self):
        for process in list(RUNNING):
            signal_group(process, signal.SIGKILL)
        os._exit(130)  # threads that wait for a step need not be waited for

    def all(self):
        """Outcomes in the order of the steps."""
        with futures.ThreadPoolExecutor(min(MOST_BESIDE, os.cpu_count() or 1)) as pool:
            try:
                for job in [pool.submit(self.run, step) for step in self.todo if not step.alone]:
                    job.result()
                for step in self.todo:
                    if step.alone:
                        self.run(step)
            except KeyboardInterrupt:
                self.interrupted()
        return [self.outcomes[step.name] for step in self.todo]


def merged_outcomes(path, new):
    """Outcomes of the day: steps run again replace what they said before."""
    before = {outcome["step"]: outcome for outcome in read_lines(path)}
    before |= {outcome["step"]: outcome for outcome in new if outcome["outcome"] != "out of budget"
               or outcome["step"] not in before}
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(outcome) + "\n" for outcome in before.values())
    return list(before.values())


def our_table(program, run_file, environment):
    if not os.path.exists(run_file):
        return ""
    done = subprocess.run([program, "report", run_file, "--format", "markdown", "--allow-mixed"], env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout


def places_of(arguments, program, name):
    date = datetime.date.today().isoformat()
    stem = os.path.join(arguments.results, f"gpu-{name}-{date}")

    def model(size):  # a checkpoint that PyTorch reads too, where there is PyTorch to write it
        return os.path.join(WORK, "checkpoint-" + size) if has_torch() else "bert-" + size

    return {"program": program, "python": sys.executable, "run_file": stem + ".jsonl", "report": stem + ".md",
            "sanitizer": stem + "-sanitizer.md",
            "work": WORK, "base": model("base"), "large": model("large"),
            "peers": os.path.join(WORK, f"peers-{name}-{date}.jsonl"),
            "outcomes": os.path.join(WORK, f"outcomes-{name}-{date}.jsonl")}


def written(todo, places):
    """A run of the sanitizer alone has a page of its own: it leaves the one with the measurements as it is."""
    return [places["sanitizer"]] if all(step.apart for step in todo) else [places["run_file"], places["report"]]


def main():
    started = time.monotonic()
    arguments = parse()
    if arguments.verb == "pack":
        bundle.pack(arguments.build, arguments.file)
        return
    todo = chosen(arguments.only, arguments.quick, arguments.budget)
    if arguments.dry_run:
        places = places_of(arguments, os.path.join(arguments.build, "deformer-bench"), arguments.name or "NAME")
        for number, step in enumerate(todo, 1):
            beside = "" if step.alone else ", beside others"
            print(f"{number:2} {step.name} (at most {step.minutes:g} min{beside}): {step.why}\n"
                  f"   {' '.join([*(f'{name}={value}' for name, value in step.environment.items()), *fill(step.command, places)])}")
        print(f"would write {' and '.join(written(todo, places))}")
        return
    none = device.why_none()
    if none:
        say(f"no GPU to check on: {none}; --dry-run prints the steps")
        sys.exit(UNAVAILABLE)
    facts = device.facts()
    program = ensure_program(arguments.build)
    places = places_of(arguments, program, arguments.name or device.slug(facts.get("name", "")))
    os.makedirs(WORK, exist_ok=True)
    os.makedirs(arguments.results, exist_ok=True)
    environment = device.environment([os.path.abspath(os.path.join(arguments.build, "lib"))])
    outcomes = merged_outcomes(places["outcomes"], Runner(todo, places, environment, arguments.budget * 60,
                                                            started).all())
    files = written(todo, places)
    if files == [places["sanitizer"]]:
        outcomes = [outcome for outcome in outcomes if outcome["step"].startswith("sanitizer-")]
        report.write_sanitizer(places["sanitizer"], facts, outcomes, WORK)
    else:
        report.write(places["report"], facts, outcomes, places["run_file"], places["peers"],
                     our_table(program, places["run_file"], environment), WORK)
    failed = [outcome["step"] for outcome in outcomes if outcome["outcome"].startswith("FAILED")]
    say(f"wrote {' and '.join(files)}; {len(failed)} steps failed {' '.join(failed)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
