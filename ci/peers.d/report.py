"""From records to Markdown: the summary of a row, and the page. Pure functions of the records."""

import measure
import stats
from engines import OURS

NO = "-"


def summarise(record):
    """{name: {median, interval, ratio, ratio_interval, rounds}} of the engines that count, ratios peer / ours."""
    ours = record["engines"].get(OURS, {"status": "cannot", "bursts": {}})
    own = measure.burst_medians(ours) if ours["status"] == "ok" else {}
    found = {}
    for name, engine in record["engines"].items():
        medians = measure.burst_medians(engine) if engine["status"] == "ok" else {}
        if not medians:
            continue
        ratios = stats.paired_ratios(medians, own)
        found[name] = {"median": stats.median(medians.values()), "interval": stats.median_interval(medians.values()),
                       "ratio": stats.median(ratios), "ratio_interval": stats.median_interval(ratios),
                       "rounds": len(medians)}
    return found


def fastest_peer(summary):
    peers = {name: entry["median"] for name, entry in summary.items() if name != OURS}
    return min(peers, key=peers.get) if peers else None


def verdict(entry):
    """Where the whole interval lies, in words; `~` where it holds 1."""
    if entry["ratio_interval"] is None:
        return "too few rounds"
    low, high = entry["ratio_interval"]
    return "ours is faster" if low > 1 else "ours is slower" if high < 1 else "~"


def time_text(ns):
    if ns is None:
        return NO
    for unit, size in (("s", 1e9), ("ms", 1e6)):
        if ns >= size:
            return f"{three(ns / size)} {unit}"
    return f"{three(ns / 1e3)} us"


def three(value):
    """Three significant digits without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def interval_text(interval, scale=three):
    return NO if interval is None else f"[{scale(interval[0])}, {scale(interval[1])}]"


def ratio_text(value):
    return NO if value is None else f"{value:.3f}" if value < 10 else three(value)


def table(header, body):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in body]


def headline_line(record):
    summary = summarise(record)
    row = record["row"]
    ours, peer = summary.get(OURS), fastest_peer(summary)
    line = [row["length"], row["batch"]]
    if ours is None:
        reason = record["engines"].get(OURS, {}).get("reason", "not measured")
        return line + [f"INVALID or missing: {reason}"] + [NO] * 7
    rate = row["flops"] / ours["median"]
    line += [time_text(ours["median"]), interval_text(ours["interval"], time_text), f"{rate:.0f}",
             NO if peak_of(record) is None else f"{rate * 1e9 / peak_of(record):.2f}"]
    if peer is None:
        return line + [NO] * 4
    entry = summary[peer]
    return line + [f"{peer} {time_text(entry['median'])}", ratio_text(entry["ratio"]),
                   interval_text(entry["ratio_interval"], ratio_text), verdict(entry)]


def peak_of(record):
    """FLOP/s of the row's dtype: the highest of all readings in the run for f32. None where no loop measures it."""
    measured = record["peak"].get("flops_per_s")
    return max(record["fma_peak"], measured or 0) if record["row"]["dtype"] == "f32" else measured


def peak_line(records):
    dtype = records[0]["row"]["dtype"]
    peak = max((peak_of(record) or 0 for record in records))
    if not peak:
        return f"{dtype} peak: unknown, {records[0]['peak']['missing']}."
    by = records[0]["peak"].get("by")
    return f"{dtype} peak: {peak * 1e-9:.0f} GFLOP/s" + (f" ({by})." if by else ".")


HEADLINE = ["L", "b", "ours", "95 %", "GFLOP/s", "of peak", "fastest peer", "peer / ours", "95 %", ""]


def engine_lines(record):
    """One line an engine: what it took, how, and why not."""
    summary = summarise(record)
    row, lines = record["row"], []
    for name, engine in record["engines"].items():
        place = [row["length"], row["batch"], name]
        if name not in summary:
            status = "INVALID: " if engine["status"] == "invalid" else ""
            reason = engine.get("reason", "no undisturbed burst")
            lines.append(place + [NO] * 5 + [distance_text(engine), cosine_text(engine), 0, status + reason])
            continue
        entry = summary[name]
        lines.append(place + [time_text(entry["median"]), interval_text(entry["interval"], time_text),
                              f"{row['flops'] / entry['median']:.0f}",
                              NO if name == OURS else ratio_text(entry["ratio"]),
                              NO if name == OURS else interval_text(entry["ratio_interval"], ratio_text),
                              distance_text(engine), cosine_text(engine), entry["rounds"], engine["settings"]])
    return lines


def distance_text(engine):
    return f"{engine['max_abs']:.1e}" if "max_abs" in engine else NO


def cosine_text(engine):
    return f"{engine['min_cosine']:.5f}" if "min_cosine" in engine else NO


ENGINE = ["L", "b", "engine", "median", "95 %", "GFLOP/s", "peer / ours", "95 %", "max_abs", "cosine", "rounds",
          "settings chosen, or why not"]


def group_section(records):
    """The two tables of one model and dtype."""
    first = records[0]["row"]
    ratios = []
    for record in records:
        summary = summarise(record)
        peer = fastest_peer(summary)
        if OURS in summary and peer is not None and summary[peer]["ratio"] is not None:
            ratios.append(summary[peer]["ratio"])
    mean = stats.geometric_mean(ratios)
    lines = [f"## {first['model']}, {first['dtype']}, {records[0]['threads']} threads", "", peak_line(records), ""]
    lines += table(HEADLINE, [headline_line(record) for record in records])
    if mean:
        lines += ["", f"Geometric mean of fastest peer / ours over {len(ratios)} rows: {mean:.3f}."]
    discarded, lost = (sum(record[key] for record in records) for key in ("discarded", "lost"))
    lines += ["", f"Disturbed bursts thrown away: {discarded}; given up after {measure.TRIES} tries: {lost}.",
              "", "Every engine:", ""]
    return lines + table(ENGINE, [line for record in records for line in engine_lines(record)]) + [""]


HOW = """\
`peer / ours` above 1: ours is faster. A burst is half a second of forwards (at least two, one where it takes over a
second), each engine in its own process, all others stopped. A round is one burst of each, in balanced order; medians
are over rounds (of a burst, its median), ratios are formed round by round, intervals are order statistics at 95 % (none
below 6 rounds). Bursts around which the FMA rate fell below 0.95 of the best seen, or during which others used over 5 %
of the processors, are thrown away whole and made again. Where a round takes over 10 s, peers over 1.15x slower than the
quickest rest after one round. All compute in the dtype of the table (f32 is forced where an engine's default is bf16;
in int8 the products are, and what is left is as each engine likes it, named in its settings), from the ids to the last
hidden state. `max_abs` is that state's largest distance from torch-eager's in f32, `cosine` the smallest between a row
of it and theirs; INVALID where f32 is more than 1e-4 away, or the cosine below 0.999 in bf16, 0.99 in int8. Settings
are the quickest of those tried (at batch 8 for larger ones). GFLOP/s counts GEMM + attention, n b (24 d^2 L + 4 d L^2),
int8's too; a peak is the best rate of a register-only loop of that dtype on all threads in the same run. f32 by AMX (each
factor exactly as three bf16 numbers, `amx_f32` among our settings) may exceed f32's: its roof is a sixth of bf16's.
"""


def rows_of(text):
    """{(model, dtype, L, b)} that a page shows: of its first table in each section."""
    found, section, in_headline = set(), None, False
    for line in text.splitlines():
        if line.startswith("## "):
            section = tuple(line[3:].split(", ")[:2])
        in_headline = line == table(HEADLINE, [])[0] or in_headline and line.startswith("|")
        cells = [cell.strip() for cell in line.split("|")[1:3]]
        if in_headline and len(cells) == 2 and all(map(str.isdigit, cells)):
            found.add((*section, *map(int, cells)))
    return found


def place(folder, slug, text, date):
    """Where a page goes: peers-<slug>.md; the same with the date, and a number where need be, while a page stands there
    with rows that this one lacks (of another build, or a checkout whose out/ is gone): they are nowhere else."""
    names = [f"peers-{slug}.md", f"peers-{slug}-{date}.md", *(f"peers-{slug}-{date}-{n}.md" for n in range(2, 100))]
    for name in names:
        path = folder / name
        if not path.exists() or rows_of(path.read_text(encoding="utf-8")) <= rows_of(text):
            return path
    raise SystemExit(f"peers: {folder} holds a hundred pages of {slug} of {date}; expected room for one more")


def page(records, machine, versions, command):
    """The whole Markdown page; `records` in the order of the table."""
    lines = ["# Peers: one forward pass, ours and others'", "", HOW]
    lines += table(["machine", ""], machine.items())
    lines += ["", f"Measured {min(r['when'] for r in records)} to {max(r['when'] for r in records)} UTC.", ""]
    lines += table(["engine", "versions"], [(name, ", ".join(f"{key} {value}" for key, value in found.items()))
                                            for name, found in versions.items()]) + [""]
    groups = {}
    for record in records:
        groups.setdefault((record["row"]["model"], record["row"]["dtype"]), []).append(record)
    for group in groups.values():
        lines += group_section(group)
    return "\n".join(lines + ["Again: `" + command + "`", ""])
