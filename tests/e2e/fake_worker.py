"""A program that speaks the worker protocol and measures nothing: times are drawn as a test asks, and it misbehaves
as a test asks. `write_fake(path, **behaviour)` makes an executable of it.

    factor       times are this many times the base's
    noise        standard deviation of a round, relative
    slow_until   the factor holds until there is a file of this name
    at, what     at this request ("start" is before the hello), the `nth` of its kind in the process: crash, exit,
                 hang, garbage, error, deaf (answers no more and reads no more), parity, clock, liar, rounds
    from_start   misbehave from this start on (0: always)
    protocol     the version it claims
    build        its build id; build_later from the second start on
    machine      deciding fields; machine_later from the second start on
    points       names of variants it plans
    round_s      what a round takes
    instructions of a forward, as the fake valgrind (write_fake_valgrind) is told; None: a worker that is too old
    isa          that it says was counted
    counters     why it has none; None: a worker that is too old for them
    spread       what its processes' counts by counters differ by, relative
    engines      that it says were counted
    patch        {type of an answer: {path, by dots: value}}: what to say instead; a path into a list names its first
    reproduce    the command in its records
    raw          {type of an answer: line}: what to say instead of the whole, "ID" in it is the request's
"""

import json
import os
import random
import sys
import time

VARIANTS = {"full": 300000.0, "cached": 200000.0}


def write_fake(path, **behaviour):
    here = os.path.dirname(os.path.abspath(__file__))
    if os.path.exists(path + ".starts"):
        os.remove(path + ".starts")
    behaviour.setdefault("build", "build-of-" + os.path.basename(path))
    size = behaviour.pop("size", 16384)  # the same for all, whatever they do: it is judged
    with open(path, "w", encoding="utf-8") as file:
        file.write((f"#!{sys.executable} -B\nimport sys\nsys.path.insert(0, {here!r})\n"
                    f"import fake_worker\nfake_worker.main({path!r}, {behaviour!r})\n").ljust(size, "#"))
    os.chmod(path, 0o755)
    return path


VALGRIND = '''#!{python} -B
import os, sys
what = {what!r}
out = [word.split("=", 1)[1] for word in sys.argv if word.startswith("--callgrind-out-file=")][0]
if what == "crash":
    sys.stderr.write("valgrind: the impossible happened\\n")
    sys.exit(1)
if what == "hang":
    import time
    time.sleep(1000)
os.environ["FAKE_CALLGRIND"] = what
os.environ["FAKE_CALLGRIND_OUT"] = out
words = sys.argv[[word.startswith("-") for word in sys.argv].index(False, 1):]
os.execv(words[0], words)
'''


def write_fake_valgrind(folder, what=""):
    """A `valgrind` for the search path. `what`: crash, hang, silent (writes no file), garbage, cut (the file ends early),
    zero. Returns the environment that has it, before all else or alone."""
    path = os.path.join(folder, "valgrind")
    with open(path, "w", encoding="utf-8") as file:
        file.write(VALGRIND.format(python=sys.executable, what=what))
    os.chmod(path, 0o755)
    return {"PATH": folder + ":" + os.environ["PATH"]}


def starts_of(path):
    """The process ids of all its starts."""
    try:
        with open(path + ".starts", encoding="utf-8") as file:
            return [int(line) for line in file]
    except FileNotFoundError:
        return []


class Fake:
    def __init__(self, path, behaviour):
        self.b = behaviour
        self.start = len(starts_of(path))
        with open(path + ".starts", "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        self.random = random.Random(f"{path}{self.start}")
        self.seen = {}
        self.rounds = []
        self.wall_shift = 0

    def say(self, **answer):
        for path, value in self.b.get("patch", {}).get(answer["type"], {}).items():
            at, last = answer, path.split(".")[-1]
            for step in path.split(".")[:-1]:
                at = at[step][0] if isinstance(at[step], list) else at[step]
            if value == "LEFT OUT":
                del at[last]
            else:
                at[last] = value
        line = json.dumps(answer)
        if answer["type"] in self.b.get("raw", {}):
            line = self.b["raw"][answer["type"]].replace("ID", str(answer.get("id")))
            if line.startswith("REPEAT "):
                _, times, piece = line.split(" ", 2)
                line = piece * int(times)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def misbehaves(self, request):
        """What to do wrong now, or None."""
        self.seen[request] = self.seen.get(request, 0) + 1
        late = self.start >= self.b.get("from_start", 0)
        if request != self.b.get("at") or self.seen[request] < self.b.get("nth", 1) or not late:
            return None
        return self.b["what"]

    def misbehave(self, what):
        """Does what ends or breaks the conversation."""
        if what == "crash":
            os.abort()
        if what == "exit":
            sys.stderr.write("no, thank you\n")
            sys.exit(3)
        if what == "old":
            sys.stderr.write("The following argument was not expected: --worker\n")
            sys.exit(2)
        if what == "hang":
            time.sleep(1000)
        if what == "garbage":
            sys.stdout.write("{\"type\":\"measured\", garbage\n")
            sys.stdout.flush()
        if what == "deaf":
            child = os.fork()  # a grandchild holds the pipes open
            if child == 0:
                time.sleep(1000)
            time.sleep(1000)

    def clock(self):
        return {"monotonic_ns": time.monotonic_ns(), "realtime_ns": time.time_ns() + self.wall_shift}

    def later(self, name, otherwise):
        return self.b.get(name + "_later" if self.start >= 2 and name + "_later" in self.b else name, otherwise)

    def point(self, variant):
        import support
        point = {"backend": "cpu", "batch": 1, "dtype": "f32", "model": "bert-tiny", "passage": 48, "question": 16,
                 "seed": 1, "threads": 1, "variant": variant}
        if variant == "cached":
            point.update(split=1, cache_dtype="f32")
        return support.canonical_hash(point), point

    def points(self):
        return [(variant,) + self.point(variant) for variant in self.b.get("points", ["full"])]

    def plan(self, request):
        self.say(type="planned", id=request["id"], groups=[{"group": "00112233445566aa", "name": "fake", "points": [
            {"key": key, "name": "fake/" + variant, "point": point, "skip": None, "reproduce": "true"}
            for variant, key, point in self.points()]}])

    def prepare(self, request, what):
        self.rounds = []
        self.inject = request.get("inject")
        self.say(type="prepared", id=request["id"], group=request["group"], injected=self.inject,
                 round_ns=self.b.get("round_s", 0.002) * 1e9,
                 points=[{"key": key, "forwards": 1, "exact": {},
                          "parity": {"ok": what != "parity", "max_abs": 1.0} if request["parity"] else None}
                         for _, key, _ in self.points()])

    def measure(self, request, what):
        begin = time.monotonic_ns()
        first = len(self.rounds)
        slow = not os.path.exists(self.b.get("slow_until", ""))
        for _ in range(request["rounds"]):
            time.sleep(self.b.get("round_s", 0.002))
            factor = self.b.get("factor", 1.0) if slow else 1.0
            self.rounds.append([VARIANTS[variant] * factor * self.random.lognormvariate(0, self.b.get("noise", 0.01))
                                for variant, _, _ in self.points()])
        elapsed = time.monotonic_ns() - begin
        self.wall_shift += 10_000_000_000 if what == "clock" else 0
        rounds = [{"ns": ns, "ratio": [None] * len(ns), "disturbed": False} for ns in self.rounds[first:]]
        self.say(type="measured", id=request["id"], first=first, clock=self.clock(), allocations=0,
                 elapsed_ns=elapsed * 100 if what == "liar" else elapsed,
                 rounds=rounds[:-1] if what == "rounds" else rounds)

    def counters(self, request):
        missing = self.b.get("counters", "")
        self.say(type="counters", id=request["id"], source=None if missing else "PAPI_TOT_INS", missing=missing or None)

    def count_by_counters(self, request):
        total = self.b.get("instructions", 1000000) * (1 + self.b.get("spread", 0) * (self.start % 3 - 1))
        self.say(type="counted", id=request["id"], isa=self.b.get("isa", "avx512f"), by="PAPI_TOT_INS",
                 engines=self.b.get("engines", "panels"), points=[
                     {"key": key, "ranges": ["encode/qkv", "encode/ffn1"], "of_ranges": [250000, total - 250000],
                      "forwards": [total + i for i in range(request["forwards"])]} for _, key, _ in self.points()])

    def count(self, request):
        if request.get("by") == "counters":
            self.count_by_counters(request)
            return
        what = os.environ["FAKE_CALLGRIND"]
        text = "version: 1\ncreator: callgrind-fake\n"
        for i, (variant, _, _) in enumerate(self.points()):
            for leaf, share in ((0, 0.25), (1, 0.75), (-1, 0)):
                more = self.b.get("instructions", 1000000) - 1000000 if leaf == 1 else 0
                count = 0 if what == "zero" else int(share * 1000000) + more
                text += (f"part: 1\n\ndesc: Trigger: Client Request: deformer-bench {i} {leaf}\n\nevents: Ir\n"
                         f"fn=(1) f\n0 7\n\ntotals: {count}\n")
        text = {"garbage": "\x00\xff" * 100 + "\n" + text.replace("totals: ", "totals: x"), "cut": text[:60]}.get(what, text)
        if what != "silent":
            with open(os.environ["FAKE_CALLGRIND_OUT"], "w", encoding="latin-1") as file:
                file.write(text)
        self.say(type="counted", id=request["id"], isa=self.b.get("isa", "avx2"), points=[
            {"key": key, "ranges": ["encode/qkv", "encode/ffn1"]} for _, key, _ in self.points()])

    def records(self, request):
        records = []
        for i, (variant, key, point) in enumerate(self.points()):
            samples = [ns[i] for r, ns in enumerate(self.rounds) if r not in set(request["discard"])]
            records.append({"type": "record", "schema": 1, "run": request["run"], "key": key,
                            "group": "00112233445566aa", "name": "fake/" + variant, "point": point, "status": "ok",
                            "reason": None, "set": request["set"], "set_size": 1,
                            "reproduce": self.b.get("reproduce", "true"),
                            "time": {"unit": "ns", "samples": samples, "round": list(range(len(samples)))},
                            "speedup": None, "parity": {"ok": True}})
        self.say(type="records", id=request["id"], records=records)

    def serve(self):
        self.misbehave(self.misbehaves("start"))
        counts = ["callgrind"] if self.b.get("instructions", 1000000) is not None else []
        counts += ["counters"] if self.b.get("counters", "") is not None else []
        self.say(type="hello", **({"counts": counts} if counts else {}), protocol=self.b.get("protocol", 1), version="fake", revision="r",
                 build=self.later("build", "b"), flags="", clock=self.clock(),
                 machine={"deciding": self.later("machine", {"cpu_model": "fake", "isa": "none"})})
        for line in sys.stdin:
            request = json.loads(line)
            kind = request["type"]
            if kind == "quit":
                self.say(type="bye")
                return
            what = self.misbehaves(kind)
            self.misbehave(what)
            if what == "error":
                self.say(type="error", id=request["id"], message="I would rather not")
            elif kind in ("prepare", "measure"):
                getattr(self, kind)(request, what)
            else:
                getattr(self, kind)(request)


def main(path, behaviour):
    assert sys.argv[1:] == ["sweep", "--worker"], sys.argv
    Fake(path, behaviour).serve()
