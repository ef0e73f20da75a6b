"""The history of runs: what a user types, and writers that are killed at random."""

import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
import stat
import subprocess
import time
import unittest

import support
from support import folder, run, write


def run_file(at, name, median=100.0, points=3, day=1, revision="abc", cpu="A"):
    """A run file of our own making: `points` points, all of this median time."""
    lines = [{"type": "run", "schema": 1, "id": name, "started": f"2026-01-{day:02}T12:00:00Z", "version": "0.1.0",
              "revision": revision, "build": "b", "flags": "", "command": ["deformer-bench"], "options": {},
              "machine": {"cpu_model": cpu, "cores": 2, "deciding": {"cpu_model": cpu}}, "roofs": None}]
    for number in range(1, points + 1):
        shape = {"backend": "cpu", "batch": 1, "dtype": "f32", "model": "bert-tiny", "passage": number,
                 "question": 4, "seed": 1, "threads": 1}
        point = dict(shape, split=1, variant="decomposed")
        lines.append({"type": "record", "schema": 1, "run": name, "key": support.canonical_hash(point),
                      "group": support.canonical_hash(shape), "name": f"bert-tiny/q4/p{number}/decomposed",
                      "point": point,
                      "status": "ok", "reason": None, "set": f"{name}-1", "reproduce": "deformer-bench sweep",
                      "time": {"unit": "ns", "samples": [median] * 10, "round": list(range(10)), "median": median,
                               "ci_low": median * 0.99, "ci_high": median * 1.01, "min": median, "mean": median,
                               "stdev": 0.0, "p90": None, "p99": None, "rounds": 10, "discarded": 0,
                               "stopped": "rounds"},
                      "speedup": None, "cost": {"flops": 1000}, "achieved": None, "memory": {"peak_bytes": 64},
                      "phases": None, "counters": None,
                      "parity": {"against": "reference", "sequences": 1, "max_abs": 0.0, "cosine_min": 1.0,
                                 "tolerance": 1e-4, "ok": True}})
    lines.append({"type": "end", "run": name, "points": points, "ok": points, "skipped": 0, "failed": 0, "invalid": 0,
                  "wall_s": 1.0})
    return write(os.path.join(at, name + ".jsonl"), "".join(json.dumps(line) + "\n" for line in lines))


@contextlib.contextmanager
def mounted(test, at, *options):
    """Something mounted at a folder; what cannot be mounted skips the test."""
    os.makedirs(at, exist_ok=True)
    made = subprocess.run(["mount", *options, at], capture_output=True)
    if made.returncode != 0:
        test.skipTest("needs to mount: " + made.stderr.decode())
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


@contextlib.contextmanager
def read_only(test, at):
    """A folder that cannot be written, by root neither."""
    if os.geteuid() != 0:
        os.chmod(at, stat.S_IRUSR | stat.S_IXUSR)
        try:
            yield
        finally:
            os.chmod(at, stat.S_IRWXU)
        return
    with mounted(test, at, "--bind", at):
        subprocess.run(["mount", "-o", "remount,bind,ro", at], check=True)
        yield


class Use(support.TestCase):
    def history(self, action, *args, code=0, **kwargs):
        return self.run_ok(["gate", "history", action, *args, "--db", self.path("h.sqlite")], code, **kwargs)

    def rows(self, action, *args):
        return self.json_ok(["gate", "history", action, *args, "--db", self.path("h.sqlite"), "--format", "json"])

    def fill(self, days=28, rise=15):
        for day in range(1, days + 1):
            median = (100.0 if day < rise else 105.0) + 0.1 * (day * 7 % 5)
            self.history("add", run_file(self.at, f"r{day}", median, day=day, revision=f"rev{day}"))

    def test_a_run_is_stored_once_and_comes_back(self):
        path = run_file(self.at, "one")
        self.assertIn("added", self.history("add", path).out)
        self.assertIn("there already", self.history("add", path).out)
        rows = self.rows("runs")
        self.assertEqual([(row["run"], row["revision"], row["records"]) for row in rows], [("one", "abc", 3)])
        again = write(self.path("again.jsonl"), self.history("lines", "one").out)
        self.assertEqual(support.read_run_file(again), support.read_run_file(path))
        self.run_ok(["report", again])

    def test_the_revision_and_the_date_that_are_given_count(self):
        self.history("add", run_file(self.at, "one"), "--revision", "v2", "--date", "2026-03-01T10:00:00+02:00")
        row = self.rows("runs")[0]
        self.assertEqual((row["revision"], row["date"]), ("v2", "2026-03-01 08:00:00"))
        result = self.history("add", run_file(self.at, "two"), "--date", "soon", code=2)
        self.assertIn("--date: expected a date as", result.err)

    def test_a_change_is_found_and_drawn(self):
        self.fill()
        changes = self.rows("changes", "--filter", "p1/")
        self.assertEqual([(row["metric"], row["change"], row["revision"]) for row in changes],
                         [("time", "1.05x slower", "rev15")])
        trend = self.rows("trend", "--filter", "p1/", "--last", "20")
        self.assertEqual(len(trend), 20)
        self.assertEqual([row["revision"] for row in trend if row["change"]], ["rev15"])
        self.assertEqual({row["flops"] for row in trend}, {1000})
        self.assertIn("1.05x slower", self.history("changes", "--format", "markdown").out)
        plot = self.history("plot", "--filter", "p1/").out
        self.assertIn("since rev15: 1.05x slower", plot)
        svg = self.history("plot", "--filter", "p1/", "--format", "svg").out
        self.assertTrue(svg.startswith("<svg") and svg.endswith("</svg>\n"))
        names = self.history("plot", "--out", self.path("figures")).out.split()
        self.assertEqual(len(names), 3)
        for name in names:
            self.assertTrue(support.read_bytes(name).endswith(b"</svg>\n"))
        self.assertIn("expected one point", self.history("plot", "--format", "svg", code=2).err)

    def test_what_an_action_does_not_take_is_refused(self):
        self.history("add", code=2)
        self.history("add", self.path("missing.jsonl"), code=2)
        self.history("runs", code=2)  # no such history
        self.history("add", run_file(self.at, "one"))
        self.history("runs", "--revision", "x", code=2)
        self.history("trend", "--filter", "(", code=2)
        self.history("trend", "--filter", "nothing", code=4)
        self.history("lines", "two", code=2)
        self.history("trend", "--out", "x", code=2)
        self.history("frobnicate", code=2)
        self.history("add", write(self.path("empty.jsonl"), ""), code=4)

    def test_a_read_only_medium_is_read_and_not_written(self):
        self.history("add", run_file(self.at, "one"))
        two = run_file(folder(), "two")
        with read_only(self, self.at):
            self.assertIn("one", self.history("runs", cwd="/").out)
            self.assertIn("to be able to write", self.history("add", two, code=2, cwd="/").err)

    def test_a_disk_that_fills_up_loses_nothing(self):
        self.history("add", run_file(self.at, "one"))
        size = os.path.getsize(self.path("h.sqlite"))

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        result = self.history("add", run_file(self.at, "two", points=3000), code=2, preexec_fn=limit)
        self.assertIn("nothing of this run was stored; make room", result.err)
        self.assertEqual([row["run"] for row in self.rows("runs")], ["one"])
        self.history("check")
        self.history("add", self.path("two.jsonl"))
        self.assertEqual(len(self.rows("runs")), 2)

    def test_a_full_tmpfs_is_named(self):
        with mounted(self, self.path("small"), "-t", "tmpfs", "-o", "size=300k", "tmpfs") as small:
            result = self.run_ok(["gate", "history", "add", run_file(self.at, "two", points=3000), "--db",
                                  os.path.join(small, "h")], 2)
            self.assertIn("make room on the disk", result.err)


class Killed(support.TestCase):
    """Eight writers at once, each killed at random and started again: what was acknowledged is there, whole."""

    def test_nothing_acknowledged_is_lost(self):
        rng = random.Random(1)
        writers, seconds = 8, 5 * support.OPTIONS.kills / 4
        database = self.path("h.sqlite")
        acknowledged, started, kills = set(), {}, 0
        files = iter(range(1_000_000))

        def begin():
            number = next(files)
            names = [f"w{number}x{i}" for i in range(3)]
            paths = [run_file(self.at, name, 100.0 + number, points=20) for name in names]
            process = support.start(["gate", "history", "add", *paths, "--db", database])
            started[process] = (names, time.monotonic() + rng.choice([0.02, 0.05, 0.1, 0.2, 10]) * rng.random())

        end = time.monotonic() + seconds
        while time.monotonic() < end or started:
            while len(started) < writers and time.monotonic() < end:
                begin()
            for process, (names, killed_at) in list(started.items()):
                if process.poll() is None and time.monotonic() > killed_at:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    kills += 1
                if process.poll() is not None:
                    if process.returncode == 0:
                        acknowledged.update(names)
                    elif process.returncode != -signal.SIGKILL:
                        self.fail(process.stderr.read().decode())
                    process.stderr.close()
                    del started[process]
            time.sleep(0.002)
        connection = sqlite3.connect(database)
        self.assertEqual(connection.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        stored = {name for name, in connection.execute("SELECT name FROM run")}
        counts = {count for count, in connection.execute("SELECT count(*) FROM measurement GROUP BY run")}
        connection.close()
        print(f"{kills} kills, {len(acknowledged)} runs acknowledged, {len(stored)} stored")
        self.assertGreater(kills, 10)
        self.assertGreater(len(acknowledged), 10)
        self.assertEqual(acknowledged - stored, set(), "acknowledged, and lost")
        self.assertEqual(counts, {20}, "a run is whole or not there")
        self.run_ok(["gate", "history", "check", "--db", database], timeout=300)


if __name__ == "__main__":
    support.main()
