"""A worker without an engine: speaks the protocol of ci/peers.d/worker.py, takes no time, and misbehaves on request.

    python fake_peer.py SPEED [trait...]      SPEED: ns a forward

Traits: `wrong` (its output is off), `refuses`, `dies` (in the first burst), `hangs`, `chatty` (a library's print on stdout).
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
    def __init__(self, factor):
        self.factor = factor

    def run(self):
        time.sleep(SPEED * self.factor * 1e-9)

    def output(self):
        return Output([1.0, 2.5 if "wrong" in TRAITS else 2.0])


class Engine:
    def versions(self):
        return {"fake": "1.0"}

    def open(self, _message):
        if "chatty" in TRAITS:
            os.write(1, b"a library's greeting\n")

    def release(self):
        pass

    def candidates(self, _row):
        if "refuses" in TRAITS:
            raise worker.CannotRun("no kernel for it")
        return [("slow", lambda ids, types: Runner(3)), ("broken", lambda ids, types: 1 / 0),
                ("fast", lambda ids, types: Runner(1))]


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
