"""Joins a run file and the codecs' rates into one Markdown table: results/cache-<cpu>-<date>.md."""
import datetime
import json
import pathlib
import re
import sys


def load(path):
    run, drift = None, {}
    for line in open(path, encoding="utf-8"):
        entry = json.loads(line)
        if entry["type"] == "run":
            run = entry
        elif entry["type"] == "record" and entry["point"]["variant"] == "cached":
            point, parity = entry["point"], entry["parity"] or {}
            drift[point.get("cache_dtype", "f32"), point["split"]] = parity.get("cosine_min")
    return run, drift


def cosine(value):
    """Drift is what is missing to 1: two digits of it."""
    return "-" if value is None else f"{1 - value:.1e}" if value < 1 else "0"


def main():
    run, drift = load(sys.argv[1])
    splits = sorted({split for _, split in drift})
    cpu = run["machine"].get("cpu") or run["machine"].get("cpu_model") or "unknown"
    lines = [
        f"# Stored passages by encoding: {cpu}",
        "",
        f"minilm-l6, 232 tokens of real text a passage, build {run['build']}, {run['started'][:10]}. One thread decodes a pool of",
        "192 MB of f32 passages. Drift: 1 - the worst row cosine against the float64 reference, by split.",
        "",
        "| encoding | bytes a passage | decoded, f32 GB/s | of copying f32 | " + " | ".join(f"drift k={k}" for k in splits) + " |",
        "|---|---:|---:|---:|" + "---:|" * len(splits),
    ]
    for line in open(sys.argv[2], encoding="utf-8"):
        dtype, size, decoded, copy, _ = line.split()
        lines.append(
            f"| {dtype} | {size} | {decoded} | {float(decoded) / float(copy):.2f} | "
            + " | ".join(cosine(drift.get((dtype, k))) for k in splits) + " |")
    name = re.sub(r"[^a-z0-9]+", "-", cpu.lower()).strip("-")
    path = pathlib.Path("results") / f"cache-{name}-{datetime.date.today()}.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    print(f"cache-table: wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
