"""From the records of bursts to figures beside their goals: pure functions, told by example in tests/cpu_shows."""

import dataclasses
import math
import statistics

MEGABYTE = 1e6
WEIGHTS_FACTOR = 1.10  # packed weights may take a tenth more than the checkpoint's numbers
SPARE_BYTES = 40 * MEGABYTE  # the program itself, its libraries, thread stacks, the records


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured number. `low` and `high` are its 95 % interval or its range, None where there is none; `goal` is met
    at `least` and above, or at `most` and below; a figure with neither is told and not judged."""
    name: str
    value: float
    least: float = None
    most: float = None
    low: float = None
    high: float = None
    note: str = ""

    @property
    def verdict(self):
        if self.least is None and self.most is None:
            return "told"
        above = self.least is None or self.value >= self.least
        return "pass" if above and (self.most is None or self.value <= self.most) else "miss"  # not a number: a miss

    @property
    def goal(self):
        return f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}" if self.most is not None else "-"


def is_point(record, **wanted):
    """Whether the record's point has these fields; batch, split and the like as numbers."""
    neutral = {"instances": 1}
    return all(record["point"].get(name, neutral.get(name)) == value for name, value in wanted.items())


def find(records, **wanted):
    """The one record of that point. @raises LookupError naming what the others are, when it is not ok or not there."""
    found = [record for record in records if is_point(record, **wanted)]
    asked = " ".join(f"{name}={value}" for name, value in wanted.items())
    if not found:
        raise LookupError(f"expected a record of {asked}, found {[record['name'] for record in records]}")
    if found[-1]["status"] != "ok":
        raise LookupError(f"{found[-1]['name']}: {found[-1]['status']}: {found[-1]['reason']}")
    return found[-1]


def interval(low, high, scale=1.0):
    return {} if low is None or high is None else {"low": low * scale, "high": high * scale}


def of_fma_peak(record, name, least):
    """Show 1: achieved / FMA peak of the same run. AMX may lift it above 1; the share of the higher roof stands beside."""
    achieved, time = record["achieved"], record["time"]
    value = achieved["fma_fraction"]
    if value is None:
        raise LookupError(f"{record['name']}: no FMA peak was measured in its run")
    scale = value * time["median"]  # a fraction is work over time: the interval of the time turned round
    bounds = {} if time["ci_low"] is None else {"low": scale / time["ci_high"], "high": scale / time["ci_low"]}
    note = (f"{time['median'] * 1e-6:.4g} ms, {achieved['gflops']:.0f} of {achieved['fma_peak_gflops']:.0f} GFLOP/s; "
            f"{achieved['roof_fraction']:.2f} of the roof by {achieved['arithmetic_by']}")
    return Figure(name, value, least=least, note=note, **bounds)


def of_own_roof(record, name, least):
    """Show 8: achieved / the roof of the record's own dtype."""
    achieved, time = record["achieved"], record["time"]
    value = achieved["roof_fraction"]
    if value is None:
        raise LookupError(f"{record['name']}: no roof was measured in its run")
    note = (f"{time['median'] * 1e-6:.4g} ms, {achieved['gflops']:.0f} of {achieved['roof_gflops']:.0f} GFLOP/s, "
            f"bound by {achieved['bound']}")
    return Figure(f"{name}, of its roof", value, least=least, note=note)


def over_f32(f32, narrow, name, least):
    """Show 8: how many times quicker than f32 in the same minutes."""
    times = f32["time"]["median"], narrow["time"]["median"]
    return Figure(f"{name}, f32 / it", times[0] / times[1], least=least,
                  note=f"{times[0] * 1e-6:.4g} and {times[1] * 1e-6:.4g} ms")


def cached_over_flops(record, least, prefix=""):
    """Shows 3 and 8: cached speedup / FLOP ratio."""
    speedup, pool = record["speedup"], record["pool"]
    ratio = speedup["flop_ratio"]
    note = f"{speedup['median']:.2f}x of {ratio:.2f}x; pool of {pool['passages']} passages, {pool['bytes'] / MEGABYTE:.0f} MB"
    if pool["shortfall"]:
        note += ", less than twice the last-level cache"
    return Figure(f"{prefix}squad k={record['point']['split']} b{record['point']['batch']}", speedup["median"] / ratio, least=least,
                  note=note, **interval(speedup["ci_low"], speedup["ci_high"], 1 / ratio))


def time_over_model(dense, ragged):
    """Time of a ragged forward over what the dense one's time says of its FLOPs. The same as of the times per real
    token: both sides have the same tokens."""
    return ragged["time"]["median"] / (dense["time"]["median"] * ragged["cost"]["flops"] / dense["cost"]["flops"])


def ragged_over_dense(pairs, most):
    """Show 4: the median of pairs of bursts, and their range."""
    ratios = [time_over_model(dense, ragged) for dense, ragged in pairs]
    dense, ragged = pairs[-1]

    def tokens_ns(record):
        return 1e9 / record["throughput"]["tokens_per_s"]

    note = (f"{tokens_ns(ragged) * 1e-3:.1f} us a real token, dense L=320 {tokens_ns(dense) * 1e-3:.1f}; "
            f"{ragged['achieved']['gflops']:.0f} and {dense['achieved']['gflops']:.0f} GFLOP/s; {len(ratios)} pairs, range")
    return Figure("uniform:32-320 b32, time / FLOP model", statistics.median(ratios), most=most, low=min(ratios),
                  high=max(ratios), note=note)


def resident_bytes(records):
    """Show 5: RssAnon over what it may be."""
    memory = records[0]["memory"]
    activations = max(record["memory"]["peak_bytes"] for record in records)
    allowed = WEIGHTS_FACTOR * memory["weights_bytes"] + activations + memory["pool_bytes"] + SPARE_BYTES
    note = (f"{memory['rss_anon_bytes'] / MEGABYTE:.0f} MB of {allowed / MEGABYTE:.0f}: 1.10 x weights "
            f"{memory['weights_bytes'] / MEGABYTE:.0f}, activations {activations / MEGABYTE:.0f}, pool "
            f"{memory['pool_bytes'] / MEGABYTE:.0f}, and 40; {memory['huge_page_bytes'] / MEGABYTE:.0f} MB in huge pages")
    return Figure("bert-base RssAnon / allowed", memory["rss_anon_bytes"] / allowed, most=1, note=note)


def allocations(records):
    """Show 5: calls of operator new in one forward, each phase of each variant counted."""
    counts = [phase["allocations"] for record in records for phase in record["phases"]]
    if not counts or None in counts:
        raise LookupError("expected every phase's allocations to be counted, found some that are not")
    note = f"in {len(counts)} phases of {', '.join(record['point']['variant'] for record in records)}"
    return Figure("allocations in a forward", sum(counts), most=0, note=note)


def scaling(records, rates):
    """Show 6; `rates` is {threads: FLOP/s of the FMA loop}: what the cores themselves gain."""
    one, two = (find(records, threads=count, instances=1) for count in (1, 2))
    apart = find(records, threads=1, instances=2)

    def rate_of(record):
        return record["throughput"]["items_per_s"]

    yield Figure("full b1, 2 threads / 1", one["time"]["median"] / two["time"]["median"],
                 note=f"{one['time']['median'] * 1e-6:.4g} and {two['time']['median'] * 1e-6:.4g} ms; "
                      f"the FMA loop gains {rates[2] / rates[1]:.2f}")
    yield Figure("2 instances x 1 thread / 1 x 2, items/s", rate_of(apart) / rate_of(two),
                 note=f"{rate_of(apart):.4g} and {rate_of(two):.4g} items/s")


def exit_code(verdicts):
    """1 a goal is missed, 4 something is not measured, 0 all is well."""
    return 1 if "miss" in verdicts else 4 if "not measured" in verdicts else 0


def not_measured(name, reason):
    return Missing(name, reason)


@dataclasses.dataclass(frozen=True)
class Missing:
    """In the place of a figure that could not be had."""
    name: str
    note: str
    verdict: str = "not measured"
    goal: str = "-"
    value: float = math.nan
    low: float = None
    high: float = None
