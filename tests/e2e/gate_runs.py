"""Run files made by hand for the gate: times drawn around a known truth, everything else as a sweep writes it."""

import json
import os
import random

import support

MACHINE = {"cpu_model": "Test CPU", "architecture": "x86_64", "isa": "avx2 fma", "cores": "2", "logical_cpus": "2"}


def point(variant, question=27, model="bert-tiny"):
    fields = {"backend": "cpu", "batch": 1, "dtype": "f32", "model": model, "passage": 293, "question": question,
              "seed": 1, "threads": 1, "variant": variant}
    if variant != "full":
        fields["split"] = 1
    if variant == "cached":
        fields["cache_dtype"] = "f32"
    return fields


class Side:
    """One side of a gate. `factor`: how many times as long its points take as they should, by variant."""

    def __init__(self, side, factor=None, build=None, machine=None, pairs=12, rounds=12, process=0.002, noise=0.006,
                 questions=(27,), seed=1, marked=True, offset=0):
        self.side, self.pairs, self.rounds = side, pairs, rounds
        self.factor = dict({"full": 1.0, "cached": 1.0}, **(factor or {}))
        self.process, self.noise, self.questions, self.marked = process, noise, questions, marked
        self.random = random.Random(f"{side}{seed}")
        self.run = f"run-{side}-{offset}"
        self.offset = offset
        self.run_line = {"type": "run", "schema": 1, "id": self.run, "started": "2026-01-01T00:00:00Z", "version": "1",
                         "build": build or f"build-{side}", "command": ["deformer-bench"], "options": {},
                         "machine": {"deciding": dict(MACHINE if machine is None else machine)}}
        self.records = [record for pair in range(pairs) for record in self._set(pair)]
        self.end_line = {"type": "end", "run": self.run, "points": 2, "ok": 2, "skipped": 0, "failed": 0, "invalid": 0,
                         "wall_s": 1}

    def _times(self, middle_ns):
        layout = self.random.gauss(0, self.process)
        return [middle_ns * (1 + layout) * (1 + self.random.gauss(0, self.noise)) for _ in range(self.rounds)]

    def _set(self, pair):
        lines = []
        for question in self.questions:
            full = self._times(2e6 * self.factor["full"])
            cached = self._times(1e6 * self.factor["cached"])
            of_full = self._record("full", question, pair, full)
            of_cached = self._record("cached", question, pair, cached)
            of_cached["speedup"] = {"versus": {"key": of_full["key"], "set": of_full["set"]},
                                    "samples": [f / c for f, c in zip(full, cached)]}
            lines += [of_full, of_cached]
        return lines

    def _record(self, variant, question, pair, samples):
        fields = point(variant, question)
        record = {"type": "record", "schema": 1, "run": self.run, "key": support.canonical_hash(fields),
                  "group": f"{question:016x}", "name": f"bert-tiny/q{question}/{variant}", "point": fields,
                  "status": "ok", "reason": None, "set": f"{self.run}-{pair}-{question}", "set_size": 2,
                  "reproduce": f"deformer-bench sweep --model bert-tiny --question {question} --variant {variant}",
                  "time": {"unit": "ns", "samples": samples, "round": list(range(len(samples)))}, "speedup": None,
                  "cost": {"flops": 1000000, "bytes_weights": 4000, "bytes_activations": 100},
                  "memory": {"requested_bytes": 5000}, "phases": [{"name": "head", "median_ns": 10.0, "flops": 1}],
                  "parity": {"against": "reference", "ok": True}}
        if self.marked:
            record["gate"] = {"pair": "gate-1", "side": self.side, "process": pair + self.offset, "confirming": False}
        return record

    def each(self, change):
        """Changes every record; a change that returns False takes it out."""
        self.records = [record for record in self.records if change(record) is not False]
        return self

    def lines(self, end=True):
        return [self.run_line] + self.records + ([self.end_line] if end else [])

    def write(self, folder, end=True):
        return support.write(os.path.join(folder, f"{self.side}.jsonl"), text(self.lines(end)))


def text(lines):
    return "".join(json.dumps(line) + "\n" for line in lines)
