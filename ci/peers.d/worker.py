"""A worker: one engine in its own process, told what to do by lines of JSON on stdin, answering on stdout.

    python worker.py ENGINE          (a name of engines.py)

    {"do":"hello"}                                  -> {"ok":true,"versions":{...}}
    {"do":"prepare","row":{...},"checkpoint":DIR,
     "ids":FILE,"threads":N,"work":DIR}             -> {"ok":true,"settings":S,"trial_ns":N,"tried":[[S,N],...]}
    {"do":"output","path":FILE}                     -> {"ok":true}; FILE is raw f32 [batch, length, d]
    {"do":"burst","seconds":S,"least":N}            -> {"ok":true,"samples_ns":[...]}, one a forward (or mean of several)
    {"do":"probe"}                                  -> {"ok":true,"flops_per_s":R} (the native worker only)
    {"do":"peak","dtype":D,"threads":N}             -> {"ok":true,"flops_per_s":R,"by":INSTRUCTION} (as probe)

Whatever cannot be done is {"ok":false,"reason":TEXT}. The end of stdin ends the worker. ours.cpp speaks the same.
"""

import ctypes
import importlib
import json
import math
import os
import signal
import sys
import time
import traceback

PR_SET_PDEATHSIG = 1
SHORT_NS = 1_000_000  # below this a sample is the mean of several forwards, so that the clock's own cost drowns
WARM_BELOW_NS = 250_000_000  # a burst of shorter forwards starts with an untimed one: the caches were another's
TRIAL_SECONDS = 0.2  # of one turn
TRIAL_TURNS = 3
FIRST_TRIALS = 4  # before a setting may be hopeless
LARGEST_TRIAL = 8  # settings for larger batches are chosen at this one: a trial at 32 x 512 takes a minute each
HOPELESS = 1.3  # a setting this much slower than the best so far is tried no further


class CannotRun(Exception):
    """The engine has no way to run this row; the message is the table's reason."""


def time_once(run, inner=1):
    begin = time.perf_counter_ns()
    for _ in range(inner):
        run()
    return (time.perf_counter_ns() - begin) / inner


def trials(runners):
    """{name: ns of its quickest forward}: the choice between settings needs no interval. All take turns, so that what
    disturbs the machine for a moment is not taken for one setting's fault; the hopeless are left out of later turns."""
    best = {}
    for name, runner in runners.items():
        best[name] = time_once(runner.run)
        if best[name] < WARM_BELOW_NS:  # one slow start must not make a setting hopeless
            best[name] = min([best[name], *(time_once(runner.run) for _ in range(FIRST_TRIALS - 1))])
    for _ in range(trial_turns(min(best.values()))):
        for name, runner in runners.items():
            end = time.monotonic() + TRIAL_SECONDS
            while time.monotonic() < end and best[name] < HOPELESS * min(best.values()):
                best[name] = min(best[name], time_once(runner.run))
    return best


def trial_turns(forward_ns):
    """Short forwards are noisy and cheap to repeat, long ones neither."""
    return TRIAL_TURNS if forward_ns < TRIAL_SECONDS * 1e9 else 1 if forward_ns < 1e9 else 0


def burst(run, seconds, least, expected_ns):
    """Samples of single forwards for `seconds`, at least `least` of them."""
    if expected_ns < WARM_BELOW_NS:
        run()
    inner = max(1, math.ceil(SHORT_NS / expected_ns))
    samples = []
    end = time.monotonic() + seconds
    while len(samples) < least or time.monotonic() < end:
        samples.append(time_once(run, inner))
    return samples


class Worker:
    """Chooses among an engine's settings and runs the chosen one.

    An engine has `versions()`, `open(message)`, called when checkpoint or threads change, `release()`, called before a
    new row, and `candidates(row)`, the documented settings worth trying: pairs of a name and a function that returns a
    runner, an object with `run()` (what is timed: ids in memory to hidden states in memory) and `output()` (a float32
    array).
    """

    def __init__(self, engine):
        self.engine = engine
        self.opened = None
        self.chosen = {}  # (row without batch, batch of the trial) -> (settings, ns)
        self.runner = None
        self.trial_ns = None

    def hello(self, _message):
        return {"versions": self.engine.versions()}

    def prepare(self, message):
        self.runner = None
        row = message["row"]
        opening = [message[key] for key in ("checkpoint", "threads", "work")]
        if opening != self.opened:
            self.engine.open(message)
            self.opened = opening
        self.engine.release()
        ids, types = self.read_ids(message["ids"], row)
        settings, tried, self.runner, self.trial_ns = self.choose(row, ids, types)
        if self.runner is None:
            self.runner = dict(self.engine.candidates(row))[settings](ids, types)
            self.runner.run()  # compiles; the time is known well enough from the smaller batch
        return {"settings": settings, "trial_ns": self.trial_ns, "tried": tried}

    @staticmethod
    def read_ids(path, row):
        import checkpoint  # needs numpy, which the tests' fake engine does without
        return checkpoint.read_ids(path, row)

    def choose(self, row, ids, types):
        """(settings, what was tried, runner, ns a forward): the quickest settings for this row, or for its first
        LARGEST_TRIAL sequences; then there is no runner yet, and the time is extrapolated. Settings that only the smaller
        batch has are not tried for the larger one."""
        few = dict(row, batch=min(row["batch"], LARGEST_TRIAL))
        key = json.dumps([few[name] for name in ("model", "dtype", "length", "batch")])
        for_row = [name for name, _ in self.engine.candidates(row)]
        if few != row and self.chosen.get(key, ("", 0))[0] in for_row:
            best, ns = self.chosen[key]
            return best, [], None, ns * row["batch"] / few["batch"]
        runners, failures = {}, []
        for name, build in self.engine.candidates(few):
            if name not in for_row:
                continue
            try:
                runner = build(ids[:few["batch"]], types[:few["batch"]])
                runner.run()  # compiles, allocates, packs
                runners[name] = runner
            except Exception as error:  # a setting that fails is no reason to drop the others
                traceback.print_exc()
                failures.append([f"{name}: {one_line(error)}", None])
        if not runners:
            raise CannotRun("; ".join(text for text, _ in failures) or "no settings for such a row")
        times = trials(runners)
        best = min(times, key=times.get)
        self.chosen[key] = best, times[best]
        tried = [[name, ns] for name, ns in times.items()] + failures
        return best, tried, runners[best] if few == row else None, times[best] * row["batch"] / few["batch"]

    def output(self, message):
        self.require_runner()  # which has run at least once, on these ids
        self.runner.output().astype("float32").tofile(message["path"])
        return {}

    def burst(self, message):
        self.require_runner()
        return {"samples_ns": burst(self.runner.run, message["seconds"], message["least"], self.trial_ns)}

    def require_runner(self):
        if self.runner is None:
            raise CannotRun("nothing is prepared")


def one_line(error):
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def answer(worker, line):
    try:
        message = json.loads(line)
        if message.get("do") not in ("hello", "prepare", "output", "burst"):
            return {"ok": False, "reason": f"expected hello, prepare, output or burst, found {message.get('do')!r}"}
        return {"ok": True, **getattr(worker, message["do"])(message)}
    except CannotRun as error:
        return {"ok": False, "reason": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"ok": False, "reason": one_line(error)}


def serve(make_engine):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a stopped worker would outlive its driver for ever
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries print to stdout; the protocol has it for itself
    worker = Worker(make_engine())
    for line in sys.stdin:
        replies.write(json.dumps(answer(worker, line)) + "\n")


if __name__ == "__main__":
    sys.modules["worker"] = sys.modules[__name__]  # the engines' `from worker import CannotRun` must be this one
    import engines
    module, _, argument = engines.find(sys.argv[1]).module.partition(":")
    serve(lambda: importlib.import_module(module).make(argument))
