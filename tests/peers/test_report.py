"""Claims about ci/peers.d/report.py and machine.py."""

import pathlib
import tempfile
import unittest

import support
import journal
import machine
import measure
import report
import rows
from support import record

TEN = [10e6 + i for i in range(9)]
TWENTY = [20e6 + i for i in range(9)]


class Summary(unittest.TestCase):
    def test_ratio_is_peer_over_ours_with_its_interval(self):
        entry = report.summarise(record({"ours": TEN, "openvino": TWENTY}))["openvino"]
        self.assertAlmostEqual(entry["ratio"], 2, places=5)
        low, high = entry["ratio_interval"]
        self.assertTrue(1.99 < low < high < 2.01)
        self.assertEqual(report.verdict(entry), "ours is faster")

    def test_verdict_of_slower_and_of_no_difference(self):
        self.assertEqual(report.verdict({"ratio_interval": (0.8, 0.9)}), "ours is slower")
        self.assertEqual(report.verdict({"ratio_interval": (0.9, 1.1)}), "~")
        self.assertEqual(report.verdict({"ratio_interval": None}), "too few rounds")

    def test_an_invalid_engine_is_in_no_ratio(self):
        one = record({"ours": TWENTY, "openvino": TEN, "torch-eager": TWENTY})
        one["engines"]["openvino"].update(status="invalid", reason="differs")
        summary = report.summarise(one)
        self.assertEqual(report.fastest_peer(summary), "torch-eager")
        self.assertNotIn("openvino", summary)
        lines = report.engine_lines(one)
        self.assertEqual([line[-1] for line in lines if line[2] == "openvino"], ["INVALID: differs"])

    def test_when_ours_is_invalid_there_is_no_ratio_at_all(self):
        one = record({"ours": TEN, "openvino": TWENTY})
        one["engines"]["ours"].update(status="invalid", reason="differs")
        self.assertIsNone(report.summarise(one)["openvino"]["ratio"])
        self.assertIn("INVALID", " ".join(map(str, report.headline_line(one))))
        self.assertNotIn("Geometric", report.page([one], {"CPU": "x"}, {}, "ci/peers"))


class Place(unittest.TestCase):
    """Pages of results/ are read long after the run: none is written over that shows what the new one doesn't."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    @staticmethod
    def page(*batches, dtype="f32"):
        return report.page([record({"ours": TEN, "openvino": TWENTY}, batch=batch, dtype=dtype) for batch in batches],
                           {"CPU": "x"}, {}, "ci/peers")

    def place(self, text):
        path = report.place(self.folder, "cpu-2c", text, "2026-01-02")
        path.write_text(text)
        return path.name

    def test_the_rows_of_a_page_are_those_of_its_headlines(self):
        self.assertEqual(report.rows_of(self.page(1, 8)), {("bert-tiny", "f32", 27, 1), ("bert-tiny", "f32", 27, 8)})

    def test_a_page_with_all_rows_of_the_old_one_takes_its_place(self):
        self.assertEqual([self.place(self.page(1)), self.place(self.page(1, 8)), self.place(self.page(8, 1))], ["peers-cpu-2c.md"] * 3)

    def test_one_that_lacks_a_row_goes_beside_it(self):
        names = [self.place(self.page(*batches, dtype=dtype)) for batches, dtype in (((1, 8), "f32"), ((1,), "f32"), ((1,), "int8"))]
        self.assertEqual(names, ["peers-cpu-2c.md", "peers-cpu-2c-2026-01-02.md", "peers-cpu-2c-2026-01-02-2.md"])
        self.assertEqual(report.rows_of((self.folder / names[0]).read_text()), report.rows_of(self.page(1, 8)))


class Journal(unittest.TestCase):
    NOW = {"machine": {"CPU": "x"}, "threads": 2, "versions": {"ours": {"build": "b"}}}

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "records.jsonl"

    def test_the_latest_row_of_these_versions_counts(self):
        one = {**record({"ours": TEN}), **self.NOW}
        self.assertEqual(journal.latest(self.path, self.NOW), [])
        for line in ({**one, "n": 1}, {**one, "n": 2}, {**one, "versions": {"ours": {"build": "older"}}}, {**one, "name": "gone"}):
            journal.append(self.path, line)
        self.assertEqual([found["n"] for found in journal.latest(self.path, self.NOW)], [2])

    def test_a_line_that_a_kill_cut_short_costs_no_other(self):
        journal.append(self.path, {"n": 1})
        with open(self.path, "a", encoding="utf-8") as file:
            file.write('{"n": 2, "to')
        journal.append(self.path, {"n": 3})
        self.assertEqual(list(journal.records(self.path)), [{"n": 1}, {"n": 3}])


class Estimate(unittest.TestCase):
    def test_a_row_takes_about_what_it_took(self):
        options = measure.Options(threads=2)
        for length, batch, seconds in ((27, 1, 72), (320, 1, 106), (320, 8, 163)):
            found = measure.estimated_seconds(rows.Row("bert-base", "f32", length, batch), 6, options)
            self.assertLess(abs(found / seconds - 1), 0.3, (length, batch, found))


class Page(unittest.TestCase):
    def page(self):
        return report.page([record({"ours": TEN, "openvino": TWENTY, "onnxruntime": []}), record({"ours": TEN}, batch=8)],
                           {"CPU": "a|b"}, {"openvino": {"openvino": "1.2"}}, "ci/peers --rows x")

    def test_every_table_is_rectangular(self):
        block = []
        for line in self.page().splitlines() + [""]:
            if line.startswith("|"):
                block.append(line.replace("\\|", "").count("|"))
            else:
                self.assertLessEqual(len(set(block)), 1, line)
                block = []

    def test_says_what_was_measured(self):
        page = self.page()
        for text in ("openvino 1.2", "f32 peak: 200 GFLOP/s (AVX2 vfmadd)", "0.99987", "Again: `ci/peers --rows x`", "2.000", "10.0 ms",
                     "ours is faster", "thrown away: 6; given up after 4 tries: 2", "no undisturbed burst", "100", "| 0.50 |"):
            self.assertIn(text, page)

    def test_a_narrow_dtype_has_a_section_and_a_peak_of_its_own(self):
        narrow = record({"ours": TEN, "openvino": TWENTY}, dtype="bf16")
        narrow["peak"] = {"flops_per_s": 4e11, "by": "AMX tdpbf16ps"}
        page = report.page([record({"ours": TEN}), narrow], {"CPU": "x"}, {}, "ci/peers")
        for text in (", f32, 2 threads", ", bf16, 2 threads", "bf16 peak: 400 GFLOP/s (AMX tdpbf16ps)", "| 0.25 |"):
            self.assertIn(text, page)

    def test_a_peak_that_no_loop_measures_is_blank_and_says_why(self):
        narrow = record({"ours": TEN, "openvino": TWENTY}, dtype="int8")
        narrow["peak"] = {"missing": "tiles have no loop"}
        self.assertEqual(report.headline_line(narrow)[report.HEADLINE.index("of peak")], report.NO)
        self.assertIn("int8 peak: unknown, tiles have no loop.", report.page([narrow], {"CPU": "x"}, {}, "ci/peers"))

    def test_units(self):
        self.assertEqual([report.time_text(ns) for ns in (None, 999, 12345, 1.5e6, 2.345e9, 1e11)],
                         ["-", "1.00 us", "12.3 us", "1.50 ms", "2.35 s", "100 s"])


class Machine(unittest.TestCase):
    def test_describes_this_one(self):
        self.assertGreaterEqual(int(machine.describe()["cores"]), 1)
        self.assertRegex(machine.slug(machine.describe()), r"^[a-z0-9-]+c$")

    def test_generations_have_different_files(self):
        slugs = [machine.slug({"CPU": f"AMD EPYC (family 25, model {model})", "cores": "2"}) for model in (1, 17)]
        self.assertEqual(slugs, ["amd-epyc-25-1-2c", "amd-epyc-25-17-2c"])
        name = "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz (family 6, model 106)"
        self.assertEqual(machine.slug({"CPU": name, "cores": "4"}),
                         "intel-xeon-platinum-8375c-6-106-4c")


if __name__ == "__main__":
    unittest.main()
