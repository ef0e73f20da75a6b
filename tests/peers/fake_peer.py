"""A worker without an engine: speaks the protocol of ci/peers.d/worker.py, takes no time, and misbehaves on request.

    python fake_peer.py SPEED [trait...]      SPEED: ns a forward

Traits: `wrong` (its output is off), `rounded` (it is, a little, but not in f32), `refuses`, `dies` (in the first burst),
`hangs`, `chatty` (a library's print on stdout), `tuned` (has a setting for small batches only).
"""

import array
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "ci/peers.d"))
import worker

SPEED, TRAITS = float(sys.argv[1]), sys.argv[2:]


class Output(list):
    """What the worker asks of a numpy array."""

    def astype(self, _kind):
        return self

    def tofile(self, path):
        pathlib.Path(path).write_bytes(array.array("f", self).tobytes())


class Runner:
    def __init__(self, factor, dtype):
        self.factor, self.dtype = factor, dtype

    def run(self):
        time.sleep(SPEED * self.factor * 1e-9)

    def output(self):
        rounded = "rounded" in TRAITS and self.dtype != "f32"
        return Output([1.0, 2.5 if "wrong" in TRAITS else 2.125 if rounded else 2.0])


class Engine:
    def versions(self):
        return {"fake": "1.0"}

    def open(self, _message):
        if "chatty" in TRAITS:
            os.write(1, b"a library's greeting\n")

    def release(self):
        pass

    def candidates(self, row):
        if "refuses" in TRAITS:
            raise worker.CannotRun("no kernel for it")
        dtype = row["dtype"]
        small = [("fastest, small batches only", lambda ids, types: Runner(0.5, dtype))]
        return (small if "tuned" in TRAITS and row["batch"] <= 8 else []) + [("slow", lambda ids, types: Runner(3, dtype)), ("broken", lambda ids, types: 1 / 0),
                ("fast", lambda ids, types: Runner(1, dtype))]


class Misbehaving(worker.Worker):
    @staticmethod
    def read_ids(_path, row):
        return list(range(row["batch"])), list(range(row["batch"]))

    def burst(self, message):
        if "dies" in TRAITS:
            os._exit(3)
        if "hangs" in TRAITS:
            time.sleep(60)
        return super().burst(message)


worker.TRIAL_SECONDS = 0.01
worker.Worker = Misbehaving
worker.serve(Engine)
