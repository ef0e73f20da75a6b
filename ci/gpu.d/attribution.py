"""Where the time between the FLOP ratio and the measured speedup goes: of `profile` on a device, a column a batch."""

import json
import os

import steps

# Steps of the record's `waterfall` that take time.
LOSSES = ["small products", "weight bandwidth", "load", "fixed cost", "remainder"]
OURS = "launching and waiting"


def records(path):
    """full and cached of a profile; {} where it was not run, or not to its end."""
    try:
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["rows"]
    except (OSError, ValueError, KeyError):
        return {}
    return {row["point"]["variant"]: row for row in rows if row.get("status") == "ok"}


def kernel_rows(record):
    return (record.get("kernels") or {}).get("rows") or []


def kernels_ns(record):
    """What the kernels took, one after the other; None where none were watched."""
    return sum(row["ns"] for row in kernel_rows(record)) or None


def outside_ns(record):
    """Of a forward, what no kernel explains: less than nothing where kernels overlap."""
    inside = kernels_ns(record)
    return None if inside is None else record["time"]["median"] - inside


def per_layer(record):
    """Kernels of a layer by phase, copies and fills apart: "encode(joint,0..12) 8 + 1"."""
    texts, layers, phases = [], record_layers(record), {}
    for row in kernel_rows(record):
        if row["phase"] in layers:
            counts = phases.setdefault(row["phase"], [0, 0])
            counts[row["name"] in ("copy", "fill")] += row["count"]
    for phase, (kernels, others) in phases.items():
        text = f"{kernels / layers[phase]:.3g}"
        texts.append(f"{phase} {text}" + (f" + {others / layers[phase]:.3g}" if others else ""))
    return "; ".join(texts) or "unknown"


def record_layers(record):
    """Phase -> its layers, by its name: "encode(joint,9..12)" has three."""
    layers = {}
    for phase in record["phases"]:
        if phase["name"].startswith("encode("):
            first, last = phase["name"].rstrip(")").split(",")[-1].split("..")
            layers[phase["name"]] = int(last) - int(first)
    return layers


def microseconds(ns):
    return f"{ns / 1e3:+.1f} us"


def column(found):
    """Row title -> cell, of one batch."""
    full, cached = found["full"], found["cached"]
    by_step = {step["step"]: step for step in cached["waterfall"]["steps"]}
    cells = {"FLOP ratio": f"{by_step['FLOP ratio']['ratio']:.2f}x"}
    for name in LOSSES:
        cells[name] = f"{microseconds(by_step[name]['ns'])}, leaves {by_step[name]['ratio']:.2f}x"
    cells["measured ratio"] = f"{by_step['measured ratio']['ratio']:.2f}x"
    scale = cached["cost"]["flops"] / full["cost"]["flops"]
    outside = [outside_ns(record) for record in (full, cached)]
    cells[OURS] = "unknown" if None in outside else f"{microseconds(outside[1] - outside[0] * scale)} of these"
    for title, record in (("full", full), ("cached", cached)):
        inside = kernels_ns(record)
        cells[f"{title}: kernels alone, of the forward"] = "unknown" if inside is None else (
            f"{inside / 1e3:.0f} of {record['time']['median'] / 1e3:.0f} us")
        cells[f"{title}: kernels a layer (+ copies and fills)"] = per_layer(record)
        cells[f"{title}: launches a forward"] = str(record["memory"].get("launches"))
    return cells


def lines(folder, table):
    """The table; none where nothing was profiled."""
    columns = {}
    for batch in steps.ATTRIBUTED:
        found = records(os.path.join(folder, f"profile-b{batch}.out"))
        if "full" in found and found.get("cached", {}).get("waterfall"):
            columns[batch] = column(found)
    if not columns:
        return []
    titles = list(dict.fromkeys(title for cells in columns.values() for title in cells))
    rows = [[title, *(cells.get(title, "") for cells in columns.values())] for title in titles]
    return ["", "## What the loss is made of, squad k=9", "",
            "Of `profile`, by phases. Each loss is cached's time less what full takes for as many FLOPs. small products: layers "
            "at the question's length with one layer's weights, most of it kernels that are too short to fill the device; "
            f"{OURS}: what no kernel explains, which lies within the other losses (below nothing where kernels start early "
            "behind one another). launches: as the backend counts what it captures; a forward is one launch of that graph, in "
            "which the host can wait for nothing.", "",
            *table(["", *(f"b{batch}" for batch in columns)], rows)]


def kernel_lines(folder, table):
    """Every kernel of what was profiled, the longest first."""
    rows = []
    for batch in steps.ATTRIBUTED:
        for variant, record in records(os.path.join(folder, f"profile-b{batch}.out")).items():
            for row in sorted(kernel_rows(record), key=lambda row: -row["ns"]):
                rows.append([f"b{batch} {variant}", row["phase"], row["name"], row["count"],
                             f"{row['ns'] / row['count'] / 1e3:.2f}", f"{row['ns'] / 1e3:.1f}"])
    return ["", "## Kernels, by CUPTI", "", *table(["point", "phase", "kernel", "count", "us each", "us"], rows)] if rows else []
