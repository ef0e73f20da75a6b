"""Claims about how ci/peers drives its workers, with fake ones: no engine is needed, and no numpy."""

import contextlib
import io
import pathlib
import shutil
import time
import unittest
from unittest import mock

import support
import agreement
import client
import measure
from support import ROW, QuietMachine, fake_team

OPTIONS = measure.Options(threads=1, seconds=0.01, rounds=6)
MESSAGE = {"row": ROW.message(), "checkpoint": "none", "ids": "none", "threads": 1, "work": "none"}


def state(worker):
    """One letter of /proc: T is stopped."""
    return pathlib.Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0]


class Teams(unittest.TestCase):
    def team(self, **described):
        team = fake_team(**described)
        self.addCleanup(shutil.rmtree, team.work)
        self.addCleanup(team.close)
        return team

    def prepared(self, team, row=ROW):
        return {name: measure.prepare(team, row, {**MESSAGE, "row": row.message()}, name) for name in team.names}


class Worker(Teams):
    def test_chooses_the_quickest_setting_and_names_the_one_that_failed(self):
        engine = self.prepared(self.team(ours="1e6"))["ours"]
        self.assertEqual((engine["status"], engine["settings"]), ("ok", "fast"))
        self.assertEqual([name.split(":")[0] for name, _ in engine["tried"]], ["slow", "fast", "broken"])
        self.assertGreater(engine["trial_ns"], 1e6)

    def test_tries_settings_at_batch_8_for_larger_ones(self):
        team = self.team(ours="1e6")
        row = support.rows.Row("bert-tiny", "f32", 27, 32)
        self.assertEqual(self.prepared(team, row)["ours"]["settings"], "fast")
        self.assertEqual(self.prepared(team, row)["ours"]["tried"], [], "the second time it is known")

    def test_a_setting_of_small_batches_only_is_not_chosen_for_larger_ones(self):
        team = self.team(ours="1e6 tuned")
        for batch, settings in ((32, "fast"), (8, "fastest, small batches only"), (32, "fast")):
            engine = self.prepared(team, support.rows.Row("bert-tiny", "f32", 27, batch))["ours"]
            self.assertEqual((engine["status"], engine.get("settings")), ("ok", settings), engine)

    def test_what_cannot_run_says_why(self):
        engine = self.prepared(self.team(openvino="1e6 refuses"))["openvino"]
        self.assertEqual(engine, {"status": "cannot", "reason": "no kernel for it"})

    def test_prints_of_a_library_do_not_spoil_the_protocol(self):
        self.assertEqual(self.prepared(self.team(openvino="1e6 chatty"))["openvino"]["status"], "ok")

    def test_is_stopped_whenever_nothing_is_asked(self):
        team = self.team(ours="1e6")
        worker = team.workers("ours")[0]
        worker.ask({"do": "hello"}, 10)
        for _ in range(100):  # the signal takes a moment to arrive
            if state(worker) == "T":
                break
            time.sleep(0.01)
        self.assertEqual(state(worker), "T")
        self.assertEqual(worker.ask({"do": "hello"}, 10), {"versions": {"fake": "1.0"}})

    def test_an_unknown_request_is_refused_and_the_worker_lives(self):
        worker = self.team(ours="1e6").workers("ours")[0]
        with self.assertRaisesRegex(client.Refused, "found 'dance'"):
            worker.ask({"do": "dance"}, 10)
        with self.assertRaisesRegex(client.Refused, "nothing is prepared"):
            worker.ask({"do": "burst", "seconds": 0, "least": 1}, 10)
        self.assertIn("versions", worker.ask({"do": "hello"}, 10))

    def test_one_that_hangs_is_ended_and_started_again(self):
        team = self.team(ours="1e6 hangs")
        self.prepared(team)
        worker = team.chosen("ours")
        with self.assertRaisesRegex(client.Gone, "no answer in time"):
            worker.ask({"do": "burst", "seconds": 0, "least": 1}, 0.2)
        self.assertIsNotNone(worker.process.poll())
        self.assertIsNot(team.workers("ours")[0], worker)

    def test_short_forwards_are_sampled_together(self):
        team = self.team(ours="1e4")
        self.prepared(team)
        samples = team.chosen("ours").ask({"do": "burst", "seconds": 0.02, "least": 2}, 10)["samples_ns"]
        self.assertLess(len(samples), 25, "a sample lasts a millisecond")
        self.assertLess(min(samples), 1e6, "and is the mean of its forwards")


class Rounds(Teams):
    def run_rounds(self, team, watch, options=OPTIONS):
        engines = self.prepared(team)
        with contextlib.redirect_stderr(io.StringIO()):
            return engines, measure.run_rounds(team, watch, engines, options)

    def test_every_engine_has_a_burst_in_every_round(self):
        engines, counts = self.run_rounds(self.team(ours="1e6", openvino="2e6"), QuietMachine())
        self.assertEqual(counts, {"discarded": 0, "lost": 0})
        for engine in engines.values():
            self.assertEqual(sorted(engine["bursts"]), list("012345"))
            self.assertGreaterEqual(min(map(len, engine["bursts"].values())), 2)

    def test_a_disturbed_burst_is_made_again(self):
        with mock.patch("time.sleep"):
            engines, counts = self.run_rounds(self.team(ours="1e6"), QuietMachine(disturbed=[1, 3]))
        self.assertEqual(counts, {"discarded": 2, "lost": 0})
        self.assertEqual(len(engines["ours"]["bursts"]), 6)

    def test_one_that_stays_disturbed_is_given_up_and_counted(self):
        with mock.patch("time.sleep"):
            engines, counts = self.run_rounds(self.team(ours="1e6"), QuietMachine(disturbed=range(measure.TRIES)))
        self.assertEqual(counts, {"discarded": measure.TRIES, "lost": 1})
        self.assertEqual(sorted(engines["ours"]["bursts"]), list("12345"))

    def test_an_engine_that_dies_leaves_the_others_alone(self):
        engines, _ = self.run_rounds(self.team(ours="1e6", openvino="1e6 dies"), QuietMachine())
        self.assertEqual(engines["openvino"]["status"], "cannot")
        self.assertIn("ended with code 3", engines["openvino"]["reason"])
        self.assertEqual(len(engines["ours"]["bursts"]), 6)

    def test_in_long_rounds_slow_peers_rest(self):
        team = self.team(ours="9e6", openvino="1e6", onnxruntime="5e6")
        with mock.patch.object(measure, "LONG_ROUND_SECONDS", 0):
            engines, _ = self.run_rounds(team, QuietMachine())
        self.assertEqual({name: len(engine["bursts"]) for name, engine in engines.items()},
                         {"ours": 6, "openvino": 6, "onnxruntime": measure.REST_AFTER})

    def test_orders_are_balanced(self):
        names = list("abcdef")
        orders = [measure.order_of(index, names) for index in range(6)]
        for place in range(6):
            self.assertEqual(sorted(order[place] for order in orders), names)
        neighbours = [pair for order in orders for pair in zip(order, order[1:])]
        self.assertEqual(len(set(neighbours)), 6 * 5, "each follows each other exactly once")

    def test_orders_of_an_odd_number_are_complete(self):
        self.assertTrue(all(sorted(measure.order_of(index, list("abc"))) == list("abc") for index in range(7)))

    def test_rounds_are_few_where_they_are_long(self):
        options = measure.Options(threads=1)
        self.assertEqual(measure.planned_rounds(options, [1e7] * 6), measure.MANY_ROUNDS)
        self.assertEqual(measure.planned_rounds(options, [9e9] * 6), measure.FEW_ROUNDS)
        self.assertEqual(measure.planned_rounds(measure.Options(1, rounds=3), [9e9] * 6), 3)


class Agreement(Teams):
    def checked(self, dtype="f32", **described):
        team = self.team(torch_eager="1e6", **described)
        row = support.rows.Row(ROW.model, dtype, ROW.length, ROW.batch)
        engines = self.prepared(team, row)
        measure.make_expected(team, row, MESSAGE, team.work)
        with mock.patch.object(support.rows.Row, "width", 2):
            for name in team.names:
                measure.check(team, row, name, engines[name], team.work)
        return engines

    def test_one_that_agrees_is_ok(self):
        engine = self.checked(openvino="1e6")["openvino"]
        self.assertEqual((engine["status"], engine["max_abs"]), ("ok", 0.0))
        self.assertAlmostEqual(engine["min_cosine"], 1)

    def test_one_that_differs_is_invalid_and_says_by_how_much(self):
        engine = self.checked(openvino="1e6 wrong")["openvino"]
        self.assertEqual((engine["status"], engine["max_abs"]), ("invalid", 0.5))
        self.assertIn("differs from torch-eager in f32 by 5.0e-01", engine["reason"])

    def test_a_narrow_one_is_judged_by_direction(self):
        self.assertEqual(self.checked("int8", openvino="1e6 wrong")["openvino"]["status"], "ok", "cosine 0.9965")
        engine = self.checked("bf16", openvino="1e6 wrong")["openvino"]
        self.assertEqual(engine["status"], "invalid")
        self.assertRegex(engine["reason"], "a row's cosine is 0.99[0-9]*, below 0.999")

    def test_the_reference_itself_is_judged_in_f32(self):
        team = self.team(torch_eager="1e6 rounded")
        row = support.rows.Row(ROW.model, "bf16", ROW.length, ROW.batch)
        measure.make_expected(team, row, MESSAGE, team.work)
        engine = self.prepared(team, row)["torch-eager"]
        with mock.patch.object(support.rows.Row, "width", 2):
            measure.check(team, row, "torch-eager", engine, team.work)
        self.assertEqual(engine["max_abs"], 0.125)


class Compare(unittest.TestCase):
    def test_the_worst_row_decides(self):
        found = agreement.compare([1, 0, 0, 1], [1, 0, 1, 1], "int8", 2)
        self.assertAlmostEqual(found["min_cosine"], 0.5 ** 0.5)
        self.assertIn("reason", found)

    def test_what_is_no_number_never_agrees(self):
        for dtype in ("f32", "bf16", "int8"):
            for bad in (float("nan"), float("inf")):
                self.assertIn("reason", agreement.compare([1, bad, 1, 0], [1, 0, 1, 0], dtype, 2), dtype)

    def test_sizes_must_agree(self):
        self.assertEqual(agreement.compare([1], [1, 0], "bf16", 2), {"reason": "expected 2 values, found 1"})


if __name__ == "__main__":
    unittest.main()
