"""What is run for each show: bursts of the program, and the figures made of their records. Data, but for the last step."""

import dataclasses

import figures

BASE = ["--model", "bert-base", "--task", "squad"]
FULL = ["--variant", "full"]
RAGGED_PAIRS = 3
NARROW = ("bf16", "int8")
REFERENCE_RATE = 4.98e11  # FMA FLOP/s of the machine on which `seconds` were taken (2-core Sapphire Rapids)


@dataclasses.dataclass(frozen=True)
class Burst:
    """One run of the program between two readings of the FMA rate. `seconds`: what it takes on the reference machine."""
    name: str
    seconds: float
    arguments: tuple
    verb: str = "sweep"

    def command(self, program, out, threads):
        given = [] if "--threads" in self.arguments else ["--threads", str(threads)]
        return [str(program), self.verb, *self.arguments, *given, "--parity", "off", "--quiet", "--format", "json",
                *([] if self.verb == "profile" else ["--out", str(out)])]


@dataclasses.dataclass(frozen=True)
class Show:
    number: int
    title: str
    bursts: tuple
    figures: object  # of ({burst: records}, probe): yields Figure; what it raises as LookupError is "not measured"


def burst(name, seconds, *parts, verb="sweep", rounds=None):
    words = [word for part in parts for word in ([part] if isinstance(part, str) else part)]
    return Burst(name, seconds, tuple(words + ([] if rounds is None else ["--rounds", str(rounds)])), verb)


def ragged_bursts():
    for index in range(1, RAGGED_PAIRS + 1):
        yield burst(f"dense {index}", 20, BASE, FULL, "--batch", "32", rounds=2)
        yield burst(f"ragged {index}", 11, "--model", "bert-base", "--question", "27", "--lengths", "uniform:32-320", FULL,
                    "--batch", "32", rounds=2)


BURSTS = {
    1: (burst("bert-base", 26, "--model", "bert-base", FULL, "--question", "9,27", "--passage", "18,293", "--batch", "1,8",
              "--filter", "(q9/p18/b1/|q27/p293/)", rounds=22),
        burst("bert-large", 15, "--model", "bert-large", "--task", "squad", FULL, rounds=15),
        burst("minilm-l6", 4, "--model", "minilm-l6", "--question", "27", "--passage", "101", FULL, rounds=30)),
    3: (burst("b1", 32, BASE, "--variant", "full,cached", "--split", "9,11", rounds=22),
        burst("b8", 50, BASE, "--variant", "full,cached", "--split", "9,11", "--batch", "8", rounds=10),
        burst("b32", 100, BASE, "--variant", "full,cached", "--split", "9,11", "--batch", "32", rounds=6)),
    4: tuple(ragged_bursts()),
    5: (burst("memory", 12, BASE, "--split", "9", rounds=3),
        burst("allocations", 66, BASE, "--split", "9", "--max-time", "1", verb="profile", rounds=3)),
    6: (burst("threads", 16, BASE, FULL, "--threads", "1,2", "--instances", "1,2", "--filter", "(/t1|/t2$)", rounds=15),),
    8: (burst("f32", 16, BASE, FULL, "--batch", "1,8", rounds=12),
        *(burst(dtype, 9, BASE, "--variant", "full,cached", "--split", "9", "--batch", "1,8", "--dtype", dtype, rounds=25)
          for dtype in NARROW)),
}
LEAST_OF_PEAK = (("bert-base L=320 b1", "bert-base", {"question": 27, "batch": 1}, 0.85),
                 ("bert-base L=320 b8", "bert-base", {"question": 27, "batch": 8}, 0.85),
                 ("bert-large L=320 b1", "bert-large", {}, 0.85),
                 ("bert-base L=27 b1", "bert-base", {"question": 9, "batch": 1}, 0.80),
                 ("minilm-l6 L=128 b1", "minilm-l6", {}, 0.70))


def attempt(name, make):
    """A figure, or in its place why there is none."""
    try:
        return make()
    except LookupError as error:
        return figures.not_measured(name, str(error))


def peak_figures(records, _probe):
    for name, run, wanted, least in LEAST_OF_PEAK:
        yield attempt(name, lambda: figures.of_fma_peak(figures.find(records(run), **wanted), name, least))


def cached_figures(records, _probe):
    for batch in (1, 8, 32):
        for split, least in ((9, 0.97), (11, 0.93)):
            yield attempt(f"squad k={split} b{batch}", lambda: figures.cached_over_flops(
                figures.find(records(f"b{batch}"), variant="cached", split=split), least))


def ragged_figures(records, _probe):
    pairs, reason = [], ""
    for index in range(1, RAGGED_PAIRS + 1):
        try:
            pairs.append([figures.find(records(f"{kind} {index}"), batch=32) for kind in ("dense", "ragged")])
        except LookupError as error:  # one pair less
            reason = str(error)
    name = "uniform:32-320 b32"
    yield figures.ragged_over_dense(pairs, most=1.05) if pairs else figures.not_measured(name, reason)


def memory_figures(records, _probe):
    yield attempt("RssAnon", lambda: figures.resident_bytes(records("memory")))
    yield attempt("allocations", lambda: figures.allocations(records("allocations")))


def thread_figures(records, probe):
    try:
        yield from figures.scaling(records("threads"), {threads: probe(threads) for threads in (1, 2)})
    except LookupError as error:
        yield figures.not_measured("threads and instances", str(error))


def narrow_figures(records, _probe):
    for dtype in NARROW:
        for batch in (1, 8):
            where = f"{dtype} L=320 b{batch}"
            yield attempt(where, lambda: figures.of_own_roof(
                figures.find(records(dtype), variant="full", batch=batch), where, least=0.8 if dtype == "bf16" else None))
            yield attempt(where, lambda: figures.over_f32(
                figures.find(records("f32"), batch=batch), figures.find(records(dtype), variant="full", batch=batch), where,
                least=1.5 if dtype == "int8" else None))
            yield attempt(where, lambda: figures.cached_over_flops(
                figures.find(records(dtype), variant="cached", batch=batch), 0.85, f"{dtype} "))


SHOWS = {number: Show(number, title, BURSTS[number], make) for number, title, make in (
    (1, "f32 as a fraction of the FMA peak measured in the same run", peak_figures),
    (3, "cached speedup / FLOP ratio, bert-base f32, another passage of the pool in every forward", cached_figures),
    (4, "time per real token of ragged batches, over what the FLOP model says from the dense run", ragged_figures),
    (5, "anonymous memory of a bert-base f32 run, and allocations inside the timed region", memory_figures),
    (6, "one thread against two; two instances against one", thread_figures),
    (8, "bf16 and int8: share of the roof, gain over f32, cached against FLOPs", narrow_figures))}


def seconds_of(show, rate):
    return sum(one.seconds for one in show.bursts) * REFERENCE_RATE / rate
