"""Show 5: plants slowdowns, measures with and without, and counts how often `compare` names the planted operation first.

A line a trial goes to OUT/attributions.jsonl as it ends, so that it can be run in pieces; all lines there count.
"""

import json
import os
import time

from shows import Row, program, sweep_file

POINTS = {
    "bert-tiny": ["--model", "bert-tiny", "--question", "16", "--passage", "48", "--split", "1"],
    "minilm-l6": ["--model", "minilm-l6", "--question", "16", "--passage", "48", "--split", "4"],
}
LAYERS = {"bert-tiny": 2, "minilm-l6": 6}
OPERATIONS = ["qkv", "attention", "out", "norm1", "ffn1", "ffn2", "norm2"]


def planted_at(model, index, slowdown):
    """In turn in every operation, layer by layer."""
    operation = OPERATIONS[index % len(OPERATIONS)]
    layer = index // len(OPERATIONS) % LAYERS[model]
    return f"op={operation},layer={layer},slowdown={slowdown:g}%", f"layer {layer}/{operation}"


def trial(options, model, index):
    """Without and with, right after each other, in an order that turns."""
    planted, ending = planted_at(model, index, options.slowdown)
    a, b = (os.path.join(options.out, name) for name in ("a.jsonl", "b.jsonl"))
    begin = time.monotonic()
    # The same passage each time, no parity and no roofs: none is looked at here, and each takes as long as the rounds.
    common = [*POINTS[model], "--variant", options.variants, "--threads", "1", "--detail", "op", "--max-time",
              str(options.max_time), "--parity", "off", "--roofs", "off", "--passages", "1", "--quiet"]
    sides = [(a, common), (b, [*common, "--inject", planted])]
    for path, arguments in sides if index % 2 == 0 else reversed(sides):
        sweep_file(options, path, arguments)
    points = [{"name": row["name"], "ratio": row["ratio"],
               "first": [[found["path"], found["excess_ns"]] for found in row["attribution"]["ranges"][:3]]}
              for row in json.loads(program(options, "compare", a, b, "--format", "json"))["rows"]]
    return {"model": model, "index": index, "planted": planted, "seconds": time.monotonic() - begin,
            "ending": ending, "points": points}


def counted(trials):
    """A row for each point; a trial that named another first is told in words."""
    rows = []
    for name in dict.fromkeys(point["name"] for one in trials for point in one["points"]):
        found = [(one, point) for one in trials for point in one["points"] if point["name"] == name]
        # Nothing found names nothing: an empty list of ranges is a miss.
        missed = [(one, point) for one, point in found
                  if not (point["first"] and point["first"][0][0].endswith(one["ending"]))]
        note = "; ".join(f"trial {one['index']}: {one['planted']}, found {point['first']}" for one, point in missed)
        rows.append(Row(name, f"{len(found) - len(missed)} of {len(found)} named first", "all", not missed, note))
    return rows


def show(options):
    path = os.path.join(options.out, "attributions.jsonl")
    for model in options.models:
        for index in range(options.first, options.first + options.each):
            row = trial(options, model, index)
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    with open(path, encoding="utf-8") as file:
        return counted([json.loads(line) for line in file])
