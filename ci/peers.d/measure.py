"""Measures one row: prepares every engine, checks that all agree, then rounds of interleaved bursts.

A round is one burst of every engine, in an order that changes from one to the next so that no engine always follows the
same neighbour. A burst that the machine disturbed is thrown away whole and made again."""

import dataclasses
import math
import os
import sys
import time

import agreement
import stats
from client import Gone, Refused
from engines import OURS, REFERENCE
from worker import LARGEST_TRIAL

PREPARE_TIMEOUT = 900
FORWARD_TIMEOUT = 300
MANY_ROUNDS, FEW_ROUNDS = 9, 6  # 9: the interval leaves out an outlier on each side; 6: the fewest that give a 95 % one
LONG_ROUND_SECONDS = 10  # rounds longer than this are few, and slow engines rest
REST_AFTER = 1  # rounds after which, in long rounds, ...
REST_BEYOND = 1.15  # ... an engine this much slower than the quickest peer is measured no further
TRIES = 4  # of one burst
EXPECTED = "expected.f32"


@dataclasses.dataclass(frozen=True)
class Options:
    threads: int
    seconds: float = 0.5
    rounds: int = 0  # 0: MANY_ROUNDS or FEW_ROUNDS


def say(text):
    print(text, file=sys.stderr, flush=True)


def order_of(round_index, names):
    """Of an even number of names, each stands in every place and behind every other once in as many rounds
    (E. J. Williams' balanced Latin square: a zigzag, moved on by one a round)."""
    count = len(names)
    zigzag = [step // 2 if step % 2 == 0 else count - 1 - step // 2 for step in range(count)]
    return [names[(place + round_index) % count] for place in zigzag]


def planned_rounds(options, trials_ns):
    if options.rounds:
        return options.rounds
    return FEW_ROUNDS if round_seconds(options, trials_ns) > LONG_ROUND_SECONDS else MANY_ROUNDS


def least_samples(options, trial_ns):
    """Two forwards a burst; one where a forward takes longer than two bursts should."""
    return 1 if trial_ns > 2e9 * options.seconds else 2


def estimated_seconds(row, engine_count, options):
    """About what a row takes, all engines as quick as they are at the median on a 2-core Sapphire Rapids: 330 GFLOP/s and 8 s
    to get ready, then trials of ten forwards; in long rounds half of the engines rest. Within 30 % of what L=27 and 320 took
    at b=1 and 8 there."""
    forward_s = row.flops / 330e9
    trials_ns = [forward_s * 1e9] * engine_count
    each, rounds = round_seconds(options, trials_ns), planned_rounds(options, trials_ns)
    quick = 0.5 if each > LONG_ROUND_SECONDS else 1
    trial_s = forward_s * min(1, LARGEST_TRIAL / row.batch)
    return engine_count * (8 + 10 * trial_s) + each * (REST_AFTER + quick * (rounds - REST_AFTER))


def round_seconds(options, trials_ns):
    return sum(max(options.seconds, least_samples(options, ns) * ns * 1e-9) for ns in trials_ns)


def resting(medians):
    """Names of peers too slow to be the quickest: `medians` is {name: median so far}."""
    peers = {name: value for name, value in medians.items() if name != OURS and value is not None}
    limit = REST_BEYOND * min(peers.values(), default=math.inf)
    return {name for name, value in peers.items() if value > limit}


def prepare(team, row, message, name):
    """{status, settings, tried, trial_ns} of one engine: the quickest of its processes is chosen for the row."""
    best, tried, reasons = None, [], []
    for worker in team.candidates(name, row):
        try:
            reply = worker.ask({**message, "do": "prepare"}, PREPARE_TIMEOUT)
        except (Refused, Gone) as error:
            reasons.append(str(error))
            continue
        tried += reply["tried"]
        if best is None or reply["trial_ns"] < best["trial_ns"]:
            best = reply
            team.choose(name, row, worker)
    if best is None:
        return {"status": "cannot", "reason": "; ".join(reasons) or "its process could not be started"}
    return {"status": "ok", "settings": best["settings"], "trial_ns": best["trial_ns"], "tried": tried, "bursts": {}}


def check(team, row, name, engine, folder):
    """Distance of an engine's output to the reference's; marks it invalid beyond the tolerance."""
    found = output(team, name, folder / f"{name}.f32")
    result = agreement.compare(found, agreement.read(folder / EXPECTED), row.dtype, row.width)
    reason = result.pop("reason", None)
    engine.update(result)
    if reason:
        engine.update(status="invalid", reason=f"differs from {REFERENCE} in f32 {reason}")


def output(team, name, path):
    team.chosen(name).ask({"do": "output", "path": str(path)}, FORWARD_TIMEOUT)
    return agreement.read(path)


def make_expected(team, row, message, folder):
    """What all outputs of the row are compared with: the reference's in f32, whatever the dtype of the row."""
    exact = dataclasses.replace(row, dtype="f32")
    engine = prepare(team, exact, {**message, "row": exact.message()}, REFERENCE)
    if engine["status"] != "ok":
        raise SystemExit(f"peers: {REFERENCE}, which the others are checked against, could not run {exact.name}: "
                         f"{engine['reason']}")
    output(team, REFERENCE, folder / EXPECTED)


def clean_burst(watch, worker, message, timeout):
    """(samples or None, bursts thrown away)."""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(0.5 * attempt)  # what disturbed the burst may be over then
        reply, clean, rates, foreign = watch.during(worker, lambda: worker.ask(message, timeout))
        if clean:
            return reply["samples_ns"], attempt
        say(f"    disturbed: FMA {rates[0] / watch.best:.2f} before, {rates[1] / watch.best:.2f} after; "
            f"{foreign:.0%} of the processors used by others")
    return None, TRIES


def run_rounds(team, watch, engines, options):
    """Fills `bursts` of every engine that is ok; returns the number of bursts thrown away and given up."""
    racing = [name for name, engine in engines.items() if engine["status"] == "ok"]
    trials = [engines[name]["trial_ns"] for name in racing]
    is_long = round_seconds(options, trials) > LONG_ROUND_SECONDS
    discarded = lost = 0
    for index in range(planned_rounds(options, trials)):
        if is_long and index == REST_AFTER:
            slow = resting({name: stats.median(burst_medians(engines[name]).values()) for name in racing})
            racing = [name for name in racing if name not in slow]
        for name in order_of(index, racing):
            engine = engines[name]
            if engine["status"] != "ok":
                continue
            message = {"do": "burst", "seconds": options.seconds, "least": least_samples(options, engine["trial_ns"])}
            try:
                samples, thrown = clean_burst(watch, team.chosen(name), message, FORWARD_TIMEOUT)
            except (Refused, Gone) as error:
                engine.update(status="cannot", reason=str(error))
                continue
            discarded += thrown
            if samples is None:
                lost += 1
            else:
                engine["bursts"][str(index)] = samples
    return {"discarded": discarded, "lost": lost}


def burst_medians(engine):
    """{round: median of its samples}."""
    return {int(index): stats.median(samples) for index, samples in engine["bursts"].items()}


def measure(row, team, watch, message, options, folder):
    """The record of one row."""
    engines = {}
    make_expected(team, row, message, folder)
    for name in team.names:
        begin = time.monotonic()
        engines[name] = engine = prepare(team, row, message, name)
        if engine["status"] == "ok":
            try:
                check(team, row, name, engine, folder)
            except (Refused, Gone) as error:
                engine.update(status="cannot", reason=str(error))
        say(f"  {name:14} {describe(engine)}  [{time.monotonic() - begin:.0f} s]")
    counts = run_rounds(team, watch, engines, options)
    for path in folder.glob("*.f32"):
        os.remove(path)
    return {"type": "row", "name": row.name, "row": {**row.message(), "flops": row.flops}, "threads": options.threads,
            "when": time.strftime("%Y-%m-%d %H:%M", time.gmtime()), "fma_peak": watch.best, "engines": engines, **counts}


def describe(engine):
    if engine["status"] == "cannot":
        return f"cannot: {engine['reason']}"
    tried = ", ".join(f"{name} {ns * 1e-6:.1f}" if ns else name for name, ns in engine["tried"])
    return (f"{engine['status']}: {engine['trial_ns'] * 1e-6:.1f} ms with {engine['settings']}"
            + (f" (tried, ms: {tried})" if tried else "") + f"; max_abs {engine.get('max_abs', math.nan):.1e}, "
              f"cosine {engine.get('min_cosine', math.nan):.5f}")
