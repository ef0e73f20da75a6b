"""A run file of any length: every field that a sweep writes, seeded noise, keys that are right.

    make_run_file.py RECORDS OUT [--samples 10] [--seed 1]

What reports of long files are timed on: RECORDS records in sets of four (full and three k of cached).
"""

import argparse
import hashlib
import json
import random

MACHINE = {"cpu_model": "Some Processor", "architecture": "x86_64", "isa": ["avx2", "fma", "avx512f"], "cores": 2,
           "logical_cpus": 2, "memory_bytes": 8 << 30,
           "deciding": {"cpu_model": "Some Processor", "isa": "avx2 fma avx512f", "cores": "2"}}
RUN = "0123456789ab"


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def shapes():
    """Different ones without end."""
    for passage in range(1, 4000):
        for batch in (1, 2, 4, 8):
            for model in ("bert-base", "bert-large", "minilm-l6", "bert-tiny"):
                for dtype in ("f32", "bf16"):
                    for threads in (1, 2, 4, 8, 16):
                        yield {"backend": "cpu", "batch": batch, "dtype": dtype, "model": model, "passage": passage,
                               "question": 27, "seed": 1, "task": "squad", "threads": threads}


class Maker:
    def __init__(self, samples, seed):
        self.samples, self.rng = samples, random.Random(seed)

    def around(self, centre, percent=1.0):
        return centre * (1 + self.rng.gauss(0, percent / 100))

    def time(self, ns):
        samples = [float(round(self.around(ns) * 2) / 2) for _ in range(self.samples)]
        middle = sorted(samples)[len(samples) // 2]
        return {"unit": "ns", "samples": samples, "round": list(range(self.samples)), "median": middle,
                "ci_low": min(samples), "ci_high": max(samples), "min": min(samples), "mean": sum(samples) / len(samples),
                "stdev": self.around(ns / 100, 30), "p90": None, "p99": None, "rounds": self.samples, "discarded": 0,
                "stopped": self.rng.choice(["precision", "time"]), "forwards_per_sample": 1}

    def speedup(self, ratio, flop_ratio, full):
        samples = [self.around(ratio) for _ in range(self.samples)]
        median = sorted(samples)[len(samples) // 2]
        return {"versus": full, "samples": samples, "median": median, "ci_low": min(samples), "ci_high": max(samples),
                "flop_ratio": flop_ratio, "efficiency": median / flop_ratio}

    def record(self, shape, split, number, full):
        variant = "cached" if split else "full"
        point = dict(shape, variant=variant)
        if split:
            point.update(split=split, cache_dtype="f32")
        point = dict(sorted(point.items()))
        flops = 1e8 * shape["passage"] * shape["batch"] / (1 + split / 4)
        ns = self.around(flops / 200, 5)
        name = "{model}/squad/q27/p{passage}/".format(**shape) + (f"k{split}/" if split else "") + \
            "b{batch}/".format(**shape) + variant + "/cpu/{dtype}/t{threads}".format(**shape)
        time = self.time(ns)
        return {"type": "record", "schema": 1, "run": RUN, "key": digest(point), "group": digest(shape), "name": name,
                "point": point, "status": "ok", "reason": None, "set": f"{RUN}-{number}", "set_size": 4,
                "reproduce": "deformer-bench sweep --model {model} --task squad --passage {passage} --batch {batch} "
                             "--dtype {dtype} --threads {threads}".format(**shape) + f" --variant full,{variant}",
                "time": time, "speedup": self.speedup(1 + split / 4, 1 + split / 3.9, full) if split else None,
                "cost": {"flops": flops, "flops_gemm": flops * 0.9, "flops_attention": flops * 0.1,
                         "flops_elementwise": 7291520, "flops_nominal": flops, "flops_precomputed": flops,
                         "flops_issued": flops, "flops_executed": None, "bytes_weights": 17478664,
                         "bytes_activations": 8849920, "bytes_activation_peak": 983040, "bytes_requested": 9832960,
                         "bytes_cache_passage": 1000 * split, "bytes_cache_batch": 1000 * split * shape["batch"]},
                "achieved": {"gflops": flops / time["median"], "roof_fraction": self.around(0.7, 5),
                             "roof_gflops": 242.66726925368226, "bound": "arithmetic",
                             "fma_peak_gflops": 242.66726925368226, "best_gemm_gflops": None},
                "throughput": {"items_per_s": 1e9 / time["median"], "tokens_per_s": 3e11 / time["median"]},
                "processors": [[0]], "engines": {"qkv": "panels", "out": "panels", "ffn1": "panels", "ffn2": "panels"},
                "memory": {"peak_bytes": 913984, "requested_bytes": 4247168, "rss_peak_bytes": 2033606656,
                           "rss_anon_bytes": 288358400, "huge_page_bytes": 18874368, "weights_bytes": 17478664,
                           "pool_bytes": 255927296, "planned_bytes": 274539016},
                "phases": [{"name": "embed(joint)", "median_ns": self.around(ns * 0.02), "flops": 0},
                           {"name": "encode(joint,0..12)", "median_ns": self.around(ns * 0.97), "flops": flops},
                           {"name": "head", "median_ns": self.around(ns * 0.01), "flops": 163840}],
                "ranges": None, "operations": None, "counters": None,
                "parity": {"against": "reference", "sequences": 1, "max_abs": self.around(1e-6, 10),
                           "cosine_min": 0.9999999999999849, "max_abs_between_instances": None, "tolerance": 0.0002,
                           "rule": "max_abs <= 2.0e-04", "ok": True},
                "pool": None}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("records", type=int)
    parser.add_argument("out")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    maker = Maker(options.samples, options.seed)
    run = {"type": "run", "schema": 1, "id": RUN, "started": "2026-01-01T00:00:00Z", "version": "0.1.0",
           "revision": "0" * 12, "build": "0" * 12, "flags": "", "command": ["deformer-bench", "sweep"], "options": {},
           "machine": MACHINE, "roofs": None}
    compact = json.JSONEncoder(separators=(",", ":")).encode
    with open(options.out, "w", encoding="utf-8") as file:
        file.write(compact(run) + "\n")
        written = 0
        for number, shape in enumerate(shapes(), 1):
            full = None
            for split in (0, 3, 6, 9):
                record = maker.record(shape, split, number, full)
                full = full or {"key": record["key"], "set": record["set"]}
                record["set_size"] = min(4, options.records - written + split // 3)
                file.write(compact(record) + "\n")
                written += 1
                if written == options.records:
                    file.write(compact({"type": "end", "run": RUN, "points": written, "ok": written, "skipped": 0,
                                        "failed": 0, "invalid": 0, "wall_s": 1.0}) + "\n")
                    return
    raise SystemExit("not so many shapes")


if __name__ == "__main__":
    main()
