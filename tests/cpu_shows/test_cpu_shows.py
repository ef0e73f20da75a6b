"""Claims about ci/cpu-shows: its figures, its bursts, its page. Nothing is measured."""

import dataclasses
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time
import types
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "ci/cpu.d"))

import figures
import page
import plan
import shows

PROGRAM = str(ROOT / "build/release/deformer-bench")


def record(median=1e8, flops=58e9, status="ok", **point):
    return {"name": "some", "status": status, "reason": "no room", "point": {"batch": 1, **point},
            "time": {"median": median, "ci_low": 0.98 * median, "ci_high": 1.05 * median, "discarded": 2},
            "cost": {"flops": flops}, "throughput": {"items_per_s": 1e9 / median, "tokens_per_s": 1e9},
            "achieved": {"gflops": flops / median, "fma_fraction": 1.2, "fma_peak_gflops": 490, "roof_fraction": 0.5,
                         "arithmetic_by": "AMX"}}


class Figures(unittest.TestCase):
    def test_a_fraction_of_the_peak_has_the_interval_of_its_time_turned_round(self):
        figure = figures.of_fma_peak(record(), "x", 0.85)
        self.assertEqual((figure.value, figure.verdict, figure.goal), (1.2, "pass", ">= 0.85"))
        self.assertAlmostEqual(figure.low, 1.2 / 1.05)
        self.assertAlmostEqual(figure.high, 1.2 / 0.98)

    def test_goals_hold_at_their_own_value_and_not_beyond(self):
        for value, bounds, verdict in ((0.97, {"least": 0.97}, "pass"), (0.9699, {"least": 0.97}, "miss"),
                                       (1.05, {"most": 1.05}, "pass"), (1.0501, {"most": 1.05}, "miss"),
                                       (math.nan, {"least": 0}, "miss"), (math.nan, {"most": 2}, "miss"), (5, {}, "told")):
            self.assertEqual(figures.Figure("x", value, **bounds).verdict, verdict, (value, bounds))

    def test_what_was_skipped_or_is_missing_is_no_figure(self):
        with self.assertRaisesRegex(LookupError, "skipped: no room"):
            figures.find([record(status="skipped", split=9)], split=9)
        with self.assertRaisesRegex(LookupError, "expected a record of split=11"):
            figures.find([record(split=9)], split=11)

    def test_cached_is_held_against_its_own_flop_ratio(self):
        one = record(split=9)
        one["speedup"] = {"median": 3.0, "ci_low": 2.9, "ci_high": 3.2, "flop_ratio": 3.2}
        one["pool"] = {"passages": 284, "bytes": 256e6, "shortfall": "limited"}
        figure = figures.cached_over_flops(one, 0.93)
        self.assertAlmostEqual(figure.value, 3.0 / 3.2)
        self.assertAlmostEqual(figure.high, 1.0)
        self.assertIn("less than twice the last-level cache", figure.note)

    def test_ragged_time_is_held_against_its_flops_at_the_dense_rate(self):
        dense, ragged = record(median=4e9, flops=1.8e12), record(median=2.1e9, flops=0.9e12)
        figure = figures.ragged_over_dense([(dense, ragged), (dense, dense), (dense, record(2.0e9, 0.9e12))], most=1.05)
        self.assertAlmostEqual(figure.high, 1.05)  # 2.1 where the model says 2.0
        self.assertAlmostEqual(figure.value, 1.0)
        self.assertEqual(figure.verdict, "pass")

    def test_resident_memory_may_be_what_the_issue_allows(self):
        one = record()
        one["memory"] = {"weights_bytes": 400e6, "peak_bytes": 8e6, "pool_bytes": 256e6, "huge_page_bytes": 1, "rss_anon_bytes": 744e6}
        self.assertAlmostEqual(figures.resident_bytes([one]).value, 1.0)
        one["memory"]["rss_anon_bytes"] += 1
        self.assertEqual(figures.resident_bytes([one]).verdict, "miss")

    def test_one_allocation_misses_and_one_not_counted_is_not_measured(self):
        one = record(variant="full")
        for counts, verdict in (((0, 0), "pass"), ((0, 1), "miss")):
            one["phases"] = [{"allocations": count} for count in counts]
            self.assertEqual(figures.allocations([one]).verdict, verdict)
        one["phases"] = [{"allocations": None}]
        with self.assertRaises(LookupError):
            figures.allocations([one])

    def test_instances_are_compared_by_items_and_threads_by_time(self):
        records = [record(2e8, threads=1), record(1e8, threads=2), record(1e8 / 1.1, threads=1, instances=2)]
        scaling, apart = figures.scaling(records, {1: 1e11, 2: 1.9e11})
        self.assertAlmostEqual(scaling.value, 2)
        self.assertAlmostEqual(apart.value, 1.1)
        self.assertIn("gains 1.90", scaling.note)

    def test_a_narrow_dtype_is_held_against_its_own_roof_and_gains_over_f32(self):
        one = record(median=2e7)
        one["achieved"] |= {"roof_gflops": 7750, "bound": "arithmetic"}
        self.assertEqual(figures.of_own_roof(one, "bf16", 0.8).verdict, "miss")  # 0.5, whatever the FMA fraction
        self.assertAlmostEqual(figures.over_f32(record(median=1e8), one, "bf16", None).value, 5)
        one["achieved"]["roof_fraction"] = None
        with self.assertRaisesRegex(LookupError, "no roof"):
            figures.of_own_roof(one, "bf16", 0.8)

    def test_exit_codes(self):
        for verdicts, code in ((["pass", "told"], 0), (["pass", "not measured"], 4), (["miss", "not measured"], 1), ([], 0)):
            self.assertEqual(figures.exit_code(verdicts), code)


class FakeMachine:
    """Disturbs the first `disturbed` bursts."""
    best = plan.REFERENCE_RATE

    def __init__(self, disturbed=0):
        self.left = disturbed

    def during(self, action):
        self.left -= 1
        return action(), self.left < 0, [1.0, 0.7 if self.left >= 0 else 1.0], 0.01


class Bursts(unittest.TestCase):
    def measure(self, disturbed, run, seconds_left=1000.0):
        with tempfile.TemporaryDirectory() as folder:
            options = types.SimpleNamespace(work=pathlib.Path(folder), build_dir=pathlib.Path(folder), threads=2)
            return shows.measure_burst(plan.burst("b 1", 5, "--model", "x"), options, FakeMachine(disturbed),
                                       time.monotonic() + seconds_left, run)

    def test_a_disturbed_burst_is_thrown_away_whole_counted_and_made_again(self):
        made = []
        rows, line = self.measure(2, lambda *_: made.append(0) or [record(median=len(made))])
        self.assertEqual((rows[0]["time"]["median"], line["thrown"], line["discarded"], line["reason"]), (3, 2, 2, ""))
        self.assertEqual(line["rates"], [1.0, 1.0])

    def test_one_that_is_disturbed_each_time_is_given_up(self):
        rows, line = self.measure(99, lambda *_: [record()])
        self.assertIsNone(rows)
        self.assertEqual((line["thrown"], line["reason"]), (shows.TRIES, "disturbed 3 times"))

    def test_none_begins_that_would_end_too_late(self):
        rows, line = self.measure(0, lambda *_: self.fail("must not run"), seconds_left=4.0)
        self.assertIsNone(rows)
        self.assertIn("time was over", line["reason"])

    def test_a_program_that_fails_says_why(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            with self.assertRaisesRegex(LookupError, "gone wrong"):
                shows.run_program(["sh", "-c", "echo gone wrong >&2; exit 2"], log, 10)
            with self.assertRaisesRegex(LookupError, "not done after"):
                shows.run_program(["sleep", "5"], log, 0.1)

    def test_a_show_without_its_bursts_is_not_measured_and_keeps_the_others(self):
        def records(name):
            raise LookupError("disturbed 3 times")

        for show in plan.SHOWS.values():
            found = list(show.figures(records, lambda threads: 1e11))
            self.assertTrue(found)
            for figure in found:
                self.assertEqual((figure.verdict, figure.note), ("not measured", "disturbed 3 times"))


class Page(unittest.TestCase):
    def line(self, show, value, build="b1"):
        found = [{**dataclasses.asdict(one), "verdict": one.verdict, "goal": one.goal}
                 for one in (figures.Figure("a|b", value, least=1.0, low=0.9, high=1.1), figures.not_measured("c", "why"))]
        burst = {"name": "d", "rates": None, "foreign": 0, "thrown": 1, "discarded": 0, "seconds": 3, "reason": "time"}
        return {"show": show, "title": "t", "when": "now", "fma_peak": 1e11, "figures": found, "bursts": [burst],
                "machine": {"CPU": "x"}, "build": build, "threads": 2}

    def test_shows_measured_before_by_the_same_build_stay_and_the_latest_wins(self):
        lines = [self.line(4, 1), self.line(1, 2, build="old"), self.line(3, 3), self.line(4, 4)]
        found = page.latest(lines, {"CPU": "x"}, "b1", 2)
        self.assertEqual({show: line["figures"][0]["value"] for show, line in found.items()}, {3: 3, 4: 4})
        self.assertEqual(page.latest(lines, {"CPU": "y"}, "b1", 2), {})

    def test_tables_are_rectangular_and_say_the_verdict_and_why_not(self):
        text = page.page({1: self.line(1, 0.5)}, {"CPU": "x"}, "b1", 2)
        for block in text.split("\n\n"):
            if block.startswith("|"):
                self.assertEqual(len({row.replace("\\|", "").count("|") for row in block.splitlines()}), 1, block)
        self.assertIn("| a\\|b | 0.500 | [0.900, 1.100] | >= 1 | MISS |  |", text)
        self.assertIn("| c | - | - | - | not measured | why |", text)


class Commands(unittest.TestCase):
    def planned(self, burst):
        command = [*burst.command(PROGRAM, "none.jsonl", 2), "--dry-run"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, f"{' '.join(command)}: {done.stderr}")
        return [{**row, "status": "ok"} for row in json.loads(done.stdout)["rows"]]

    def test_the_program_plans_the_points_that_the_figures_look_for(self):
        rows = {(number, burst.name): self.planned(burst) for number, show in plan.SHOWS.items() for burst in show.bursts
                if burst.verb == "sweep"}
        for _, run, wanted, _ in plan.LEAST_OF_PEAK:
            self.assertEqual(figures.find(rows[1, run], **wanted)["point"]["variant"], "full")
        self.assertEqual(len(rows[1, "bert-base"]), 3)
        for batch in (1, 8, 32):
            for split in (9, 11):
                figures.find(rows[3, f"b{batch}"], variant="cached", split=split, batch=batch)
        dense, ragged = (figures.find(rows[4, f"{kind} 1"], batch=32) for kind in ("dense", "ragged"))
        self.assertLess(ragged["cost"]["flops"], 0.7 * dense["cost"]["flops"])
        self.assertEqual({row["point"]["variant"] for row in rows[5, "memory"]}, {"full", "decomposed", "cached"})
        for threads, instances in ((1, 1), (2, 1), (1, 2)):
            figures.find(rows[6, "threads"], threads=threads, instances=instances)
        self.assertEqual(len(rows[6, "threads"]), 3)
        for dtype in plan.NARROW:
            for batch in (1, 8):
                figures.find(rows[8, "f32"], variant="full", batch=batch, dtype="f32")
                for variant in ("full", "cached"):
                    figures.find(rows[8, dtype], variant=variant, batch=batch, dtype=dtype)

    def test_wrong_options_say_what_was_expected(self):
        for words, said in ((["--only", "2"], "found '2'"), (["--threads", "0"], "1 or more"), (["--minutes", "nan"], "above 0")):
            done = subprocess.run([sys.executable, "-B", str(ROOT / "ci/cpu.d/shows.py"), *words], capture_output=True,
                                  text=True, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)


if __name__ == "__main__":
    if "--program" in sys.argv:
        at = sys.argv.index("--program")
        PROGRAM = sys.argv[at + 1]
        del sys.argv[at:at + 2]
    unittest.main()
