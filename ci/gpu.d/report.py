"""results/gpu-<name>-<date>.md: what was run, what came of it, and the figures that README promises of a GPU. A figure
that was not measured is said to be open; nothing is filled in."""

import os

import attribution
import verdicts
from json_lines import read_lines
from verdicts import OPEN


class Findings:
    """Records and peers' rows, to be asked for by what they measured. The latest of the same counts."""

    def __init__(self, run_lines, peer_rows):
        self.records = [line for line in run_lines if line.get("type") == "record" and line.get("status") == "ok"]
        self.peers = [row for row in peer_rows if "failed" not in row]

    def record(self, model, **wanted):
        """The latest record of a model ("base", "large") whose point has these fields."""
        for record in reversed(self.records):
            point = {"cache_at": "device", "cold": False, "lengths": "", "split": 0, "task": ""} | record["point"]
            if model in point["model"] and all(point.get(field) == value for field, value in wanted.items()):
                return record
        return None

    def gemm_tflops(self):
        rates = [row["tflops"] for row in self.peers if row["what"] == "gemm"]
        return max(rates) if rates else None

    def peer_ms(self, model, batch, tokens, modes=None):
        times = {row["mode"]: row["median_ms"] for row in self.peers if row["what"] == "model" and
                 (row["model"], row["batch"], row["tokens"]) == (model, batch, tokens) and
                 (modes is None or row["mode"] in modes)}
        return min(times.items(), key=lambda item: item[1]) if times else None


def milliseconds(record):
    return record["time"]["median"] / 1e6


def versus(record, peer):
    return f"{milliseconds(record):.3f} ms beside {peer[1]:.3f} ms of PyTorch {peer[0]}: {peer[1] / milliseconds(record):.3f}x"


def large_lines(found):
    full = found.record("large", variant="full", batch=32, question=27, passage=357, dtype="bf16")
    peer, gemm = found.peer_ms("large", 32, 384), found.gemm_tflops()
    achieved = full["achieved"]["gflops"] / 1e3 if full else None
    yield ("BERT-large bf16 b32 L384, share of the measured bf16 GEMM rate", ">= 65 %",
           f"{achieved:.0f} of {gemm:.0f} TFLOP/s: {100 * achieved / gemm:.1f} %" if full and gemm else OPEN)
    yield "the same, over the best PyTorch mode", ">= 1.1x", versus(full, peer) if full and peer else OPEN


def base_lines(found):
    full = found.record("base", variant="full", batch=1, question=27, passage=357, dtype="bf16", cold=False)
    peer = found.peer_ms("base", 1, 384, ["compile-graphs"])
    yield "BERT-base b1 L384 bf16", "<= 0.5 ms on a Hopper", f"{milliseconds(full):.3f} ms" if full else OPEN
    yield "the same, over torch.compile with CUDA graphs", ">= 1.3x", versus(full, peer) if full and peer else OPEN


def cached_lines(found):
    goals = {32: ">= 0.82", 128: ">= 0.95", 1: ">= 0.45"}
    for batch, goal in goals.items():
        record = found.record("base", variant="cached", split=9, batch=batch, task="squad", cache_at="device", cold=False)
        speedup = record["speedup"] if record else None
        yield (f"cached, squad k=9 b{batch}: speedup / FLOP ratio", goal,
               f"{speedup['median']:.2f}x / {speedup['flop_ratio']:.2f}x = {speedup['efficiency']:.3f}" if speedup else OPEN)
    record = found.record("large", variant="cached", split=20, batch=32, task="squad")
    speedup = record["speedup"] if record else None
    yield ("cached, BERT-large squad k=20 b32", "paper: 4.3x",
           f"{speedup['median']:.2f}x [{speedup['ci_low']:.2f}, {speedup['ci_high']:.2f}]" if speedup else OPEN)


def hidden_share(record):
    """Of the loading of passages, the share that ran beside the question's layers and so cost nothing."""
    loads = [phase for phase in record["phases"] if phase["name"].startswith("load")]
    hidden = sum(phase.get("hidden_median_ns") or 0 for phase in loads)
    whole = hidden + sum(phase["median_ns"] or 0 for phase in loads)
    return f"{100 * hidden / whole:.0f} % of {whole / 1e6:.3f} ms" if whole > 0 else "unknown"


def place_lines(found):
    at = {place: found.record("base", variant="cached", split=9, batch=32, task="squad", cache_at=place, cold=False)
          for place in ("device", "pinned", "pageable")}
    for place in ("pinned", "pageable"):
        text = OPEN
        if at["device"] and at[place]:
            more = milliseconds(at[place]) - milliseconds(at["device"])
            size = at[place]["cost"]["bytes_cache_batch"] / 1e6
            text = (f"{milliseconds(at[place]):.3f} ms, {more:+.3f} ms over the device's memory for {size:.1f} MB; "
                    f"hidden: {hidden_share(at[place])}")
        yield f"cached passages in {place} host memory, squad k=9 b32", "share of the copy hidden", text


def ragged_lines(found):
    dense = found.record("base", variant="full", batch=32, question=27, passage=357, dtype="bf16", lengths="", cold=False)
    ragged = found.record("base", variant="full", batch=32, lengths="uniform:32-384", dtype="bf16")
    text = OPEN
    if dense and ragged:
        per_token = [1e9 / record["throughput"]["tokens_per_s"] for record in (ragged, dense)]
        text = f"{per_token[0]:.1f} ns a token beside {per_token[1]:.1f} ns dense: {per_token[0] / per_token[1]:.3f}x"
    yield "uniform:32-384 b32, time per real token over dense", "<= 1.10x", text


def engine_lines(records):
    """Which engine serves what, of the latest record of each point."""
    latest = {record["name"]: record["engines"] for record in records if record.get("engines")}
    rows = [[name, "; ".join(f"{what}: {engine}" for what, engine in engines.items())] for name, engines in latest.items()]
    return ["", "## Who computes", "", *table(["point", "engines"], rows)] if rows else []


def shows(found, outcomes, folder=""):
    yield from verdicts.verify_lines(outcomes)
    yield from verdicts.parity_lines(folder)
    for part in (large_lines, base_lines, cached_lines, place_lines, ragged_lines):
        yield from part(found)
    yield from verdicts.sanitizer_rows(outcomes)


def table(titles, rows):
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return lines + ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows]


def peer_table(peers):
    rows = []
    for row in peers:
        if row["what"] == "gemm":
            what, result = f"GEMM {row['m']} x {row['n']} x {row['k']}", f"{row['tflops']:.0f} TFLOP/s"
        else:
            what = f"{row['model']} b{row['batch']} L{row['tokens']} {row['mode']}"
            result = row.get("failed") or f"cosine to eager {row['cosine_to_eager']:.5f}"
        rows.append([what, row["dtype"], f"{row['median_ms']:.3f}" if "median_ms" in row else "-", result])
    return table(["PyTorch", "dtype", "median ms", ""], rows)


def head_lines(title, device, command="ci/gpu-check"):
    return [f"# {device.get('name', 'unknown device')}, {title}", "",
            f"Made by `{command}`. " + ", ".join(f"{field}: {value}" for field, value in device.items() if field != "name")]


def step_lines(outcomes):
    return ["", "## Steps", "", *table(["step", "outcome", "seconds", "why"], [
        [o["step"], verdicts.told(o), f"{o['seconds']:.0f}", o["why"]] for o in outcomes])]


def write_sanitizer(path, device, outcomes, folder):
    """The page of a run of the sanitizer's steps alone, with the text of what was found."""
    date = os.path.basename(path).removesuffix("-sanitizer.md")[-10:]
    lines = head_lines(f"compute-sanitizer, {date}", device, "ci/gpu-check --only sanitizer")
    lines += step_lines(outcomes) + verdicts.sanitizer_lines(outcomes, folder)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def write(path, device, outcomes, run_file, peers_file, our_table, folder=""):
    peers = read_lines(peers_file)
    found = Findings(read_lines(run_file), peers)
    lines = head_lines(os.path.basename(path)[-13:-3], device) + ["", "## What was promised", ""]
    lines += table(["figure", "goal", "measured"], shows(found, outcomes, folder))
    lines += step_lines(outcomes)
    lines += verdicts.not_served_lines(outcomes, table)
    lines += attribution.lines(folder, table)
    if our_table:
        lines += ["", "## Measured here", "", our_table.strip()]
    lines += engine_lines(found.records)
    if peers:
        lines += ["", "## PyTorch on the same weights", ""] + peer_table(peers)
    lines += attribution.kernel_lines(folder, table) + verdicts.sanitizer_lines(outcomes, folder)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
