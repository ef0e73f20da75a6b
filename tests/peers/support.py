"""What the tests of ci/peers share: its modules on the path, and engines that are fakes."""

import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "ci/peers.d"))

import engines
import rows
import team

ROW = rows.Row("bert-tiny", "f32", 27, 1)


class Fake(engines.Engine):
    """An engine whose processes are fake_peer.py; `module` holds its speed and traits."""

    def command(self, _program):
        return [sys.executable, "-B", str(HERE / "fake_peer.py"), *self.module.split()]


def fake_team(**described):
    """fake_team(ours="1e6", openvino="2e6 wrong"): a team of fakes and its folder."""
    named = {name.replace("_", "-"): Fake(name.replace("_", "-"), text) for name, text in described.items()}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="deformer-peers-"))
    return team.Team(list(named), "", 1, folder, registry=named.__getitem__)


class QuietMachine:
    """A Watch that calls every burst clean, but those whose turn is in `disturbed`."""

    def __init__(self, disturbed=()):
        self.best, self.turn, self.disturbed = 2e11, 0, set(disturbed)

    def during(self, _worker, action):
        result = action()
        self.turn += 1
        return result, self.turn - 1 not in self.disturbed, [self.best, self.best], 0.0


def record(bursts, status="ok", **row):
    """A record whose engines took `bursts` = {name: [ns of each round]}."""
    found = {name: {"status": status, "settings": f"{name}'s", "trial_ns": 1, "tried": [], "max_abs": 1e-6, "min_cosine": 0.99987,
                    "bursts": {str(index): [ns] for index, ns in enumerate(values)}} for name, values in bursts.items()}
    return {"name": ROW.name, "row": {**ROW.message(), "flops": 10 ** 9, **row}, "threads": 2, "when": "2026-01-01 00:00",
            "fma_peak": 2e11, "peak": {"flops_per_s": 1.9e11, "by": "AVX2 vfmadd"}, "engines": found, "discarded": 3, "lost": 1}
