"""`gate measure --counted`: instructions decide too, and what could not be counted never passes.

Fakes a valgrind that misbehaves around workers that count (fake_worker.py), and runs the real one where there is one.
Hardware counters are faked twice: by workers that say what they counted, and by a libpapi that the real program finds
in place of PAPI (tests/profilers/fake/papi.cpp).
"""

import os
import shutil
import unittest
import xml.etree.ElementTree

import support
from fake_worker import write_fake, write_fake_valgrind

POINTS = ["--model", "bert-tiny", "--question", 16, "--passage", 48, "--threads", 1, "--variant", "full"]
# Where a count is none, times don't matter: after the first case of a kind, its others are judged without them.
NO_TIMES = ["--metric", "exact", "--pairs", 1]


class CountedCase(unittest.TestCase):
    by = "callgrind"

    def setUp(self):
        self.folder = support.folder()
        self.out = os.path.join(self.folder, "gate.jsonl")

    def gate(self, *extra, valgrind="", env=None, base=None, head=None, **how):
        base = write_fake(os.path.join(self.folder, "base"), **(base or {}))
        head = write_fake(os.path.join(self.folder, "head"), **(head or {}))
        env = env or write_fake_valgrind(self.folder, valgrind)
        result = support.run(["gate", "measure", "--base", base, "--head", head, *POINTS, "--max-time", 3, "--out",
                              self.out, "--format", "json", "--counted", self.by, *extra], env=env, **how)
        return result, support.parse(result.out) if result.out else None

    def check(self, found, verdict, code, words):
        result, judged = found
        support.case(self.id().split(".")[-1].removeprefix("test_").replace("_", " "), judged and judged["verdict"],
                     result.code, support.last_line(result.err))
        self.assertEqual((judged and judged["verdict"], result.code), (verdict, code), str(result))
        self.assertIn(words, result.err if judged is None else judged["rows"][0]["words"], str(result))

    def figure(self, judged):
        return [f for f in judged["rows"][0]["figures"] if f["name"] == "instructions"][0]


class Counted(CountedCase):
    def test_the_same_count_passes_and_is_shown(self):
        result, judged = self.gate()
        self.check((result, judged), "PASS", 0, "")
        figure = self.figure(judged)
        self.assertEqual((figure["base"], figure["head"], figure["ratio"], figure["tier"], figure["verdict"]),
                         (1000000, 1000000, 1, "counted", "PASS"))
        self.assertEqual(figure["counted_as"], "callgrind-fake, avx2, 1 thread")
        again = support.run(["gate", "files", self.out, self.out, "--metric", "exact", "--format", "json"])
        self.assertEqual(self.figure(support.parse(again.out)), figure)

    def test_more_instructions_are_regressed_and_the_operation_is_named(self):
        junit, summary = (os.path.join(self.folder, name) for name in ("junit.xml", "summary.md"))
        result, judged = self.gate("--junit", junit, "--summary", summary, head={"instructions": 1010000})
        self.check((result, judged), "REGRESSED", 1, "instructions 1000000 -> 1010000 (+1 %), most of it in ffn1")
        for text in (xml.etree.ElementTree.parse(junit).getroot().find(".//failure").text,
                     support.read_bytes(summary).decode(), result.err):
            self.assertIn("(+1 %), most of it in ffn1 by callgrind-fake, avx2, 1 thread", text)
        judged = support.run(["gate", "files", self.out, self.out, "--metric", "exact", "--figure-threshold",
                              "instructions=2%"])
        self.assertEqual(judged.code, 0, str(judged))

    def test_fewer_instructions_are_improved(self):
        self.check(self.gate(head={"instructions": 900000}), "IMPROVED", 0, "")

    def test_counts_of_other_instruction_sets_are_not_compared(self):
        result, judged = self.gate(head={"instructions": 2000000, "isa": "avx512f"})
        self.assertEqual([f for f in judged["rows"][0]["figures"] if f["name"] == "instructions"], [], str(result))
        self.assertIn("counted by callgrind-fake, avx2, 1 thread in base, callgrind-fake, avx512f",
                      " ".join(judged["notes"]))

    def test_programs_too_old_to_count_are_said_to_be(self):
        for side in ("base", "head"):
            with self.subTest(side):
                self.check(self.gate(**{side: {"instructions": None}}), "INCOMPARABLE", 4,
                           f"instructions of {side} were not counted: it is older")

    def test_no_valgrind(self):
        self.check(self.gate(env={"PATH": self.folder}), None, 3, "expected valgrind in the search path")

    def test_a_valgrind_that_gives_no_count(self):
        for i, (what, verdict, code, words) in enumerate((
                ("crash", "MISSING", 4, "the impossible happened"), ("hang", "MISSING", 4, "not counted within 3 s"),
                ("silent", "INVALID", 1, "no such file"), ("garbage", "INVALID", 1, "expected callgrind's counts"),
                ("cut", "INVALID", 1, "no part that the program asked for"), ("zero", "INVALID", 1, "counted none"))):
            with self.subTest(what):
                self.check(self.gate(*(NO_TIMES if i else []), valgrind=what), verdict, code, words)

    def test_a_head_that_crashes_while_it_is_counted(self):
        self.check(self.gate(head={"at": "count", "what": "crash"}), "INVALID", 1, "signal 6")

    def test_a_base_that_crashes_while_it_is_counted(self):
        self.check(self.gate(base={"at": "count", "what": "crash"}), "MISSING", 4, "signal 6")


class ByCounters(CountedCase):
    by = "counters"

    def test_the_same_count_passes_and_is_shown(self):
        result, judged = self.gate()
        self.check((result, judged), "PASS", 0, "")
        figure = self.figure(judged)
        self.assertEqual((figure["base"], figure["ratio"], figure["tier"], figure["threshold"]),
                         (1000002, 1, "counted", 0.01))
        self.assertEqual(figure["counted_as"], "PAPI_TOT_INS, avx512f, 1 thread, panels")

    def test_more_instructions_are_regressed_and_the_operation_is_named(self):
        self.check(self.gate(head={"instructions": 1020000}), "REGRESSED", 1,
                   "instructions 1000002 -> 1020002 (+2 %), most of it in ffn1 by PAPI_TOT_INS")

    def test_the_threshold_can_be_set(self):
        self.check(self.gate("--figure-threshold", "instructions=5%", head={"instructions": 1020000}), "PASS", 0, "")

    def test_fewer_are_improved(self):
        self.check(self.gate(head={"instructions": 900000}), "IMPROVED", 0, "")

    def test_counts_that_differ_from_process_to_process_are_not_told_apart(self):
        spread = {"spread": 0.05}
        self.check(self.gate(base=spread, head={"instructions": 1020000, **spread}), "AMBIGUOUS", 4, "not told apart")

    def test_counts_of_other_engines_are_not_compared(self):
        result, judged = self.gate(head={"instructions": 2000000, "engines": "onednn"})
        self.assertEqual([f for f in judged["rows"][0]["figures"] if f["name"] == "instructions"], [], str(result))
        self.assertIn("1 thread, panels in base", " ".join(judged["notes"]))

    def test_without_counters_the_reason_is_said(self):
        why = {"counters": "PAPI_TOT_INS: Event does not exist"}
        self.check(self.gate(base=why, head=why), None, 3, "no counters here: PAPI_TOT_INS: Event does not exist")
        self.assertFalse(os.path.exists(self.out) and os.path.getsize(self.out), "nothing was begun")
        self.check(self.gate(head=why), "INVALID", 1, "no counters here")
        self.check(self.gate(base=why), "MISSING", 4, "no counters here")

    def test_programs_too_old_to_count_are_said_to_be(self):
        for side in ("base", "head"):
            with self.subTest(side):
                self.check(self.gate(**{side: {"counters": None}}), "INCOMPARABLE", 4,
                           f"instructions of {side} were not counted: it is older")

    def test_a_side_that_fails_while_it_is_counted(self):
        self.check(self.gate(head={"at": "count", "what": "crash"}), "INVALID", 1, "signal 6")
        self.check(self.gate(base={"at": "count", "what": "crash"}), "MISSING", 4, "signal 6")
        self.check(self.gate(head={"at": "count", "what": "hang"}), "MISSING", 4, "not counted within 3 s")

    def test_counts_that_are_none_are_invalid(self):
        for i, (path, value) in enumerate((
                ("points.forwards", [1, 2]), ("points.forwards", [0] * 5), ("points.forwards", [-1] * 5),
                ("points.forwards", [1e300] * 5), ("points.forwards", ["1"] * 5), ("points.forwards", "LEFT OUT"),
                ("points.of_ranges", [1]), ("points.ranges", [1, 2]), ("points.key", 7), ("by", "LEFT OUT"),
                ("points", [7]))):
            with self.subTest(path=path, value=value):
                result, judged = self.gate(*(NO_TIMES if i else []), head={"patch": {"counted": {path: value}}})
                self.check((result, judged), "INVALID", 1, "instructions of head were not counted: expected")


class ByWhateverThereIs(CountedCase):
    by = "auto"

    def note(self, found):
        result, judged = found
        self.assertIn(" ".join(judged["notes"]).split("--counted auto: ")[1][:30], result.err)
        return " ".join(judged["notes"])

    def test_counters_come_first(self):
        result, judged = self.gate(head={"instructions": 1020000})
        self.check((result, judged), "REGRESSED", 1, "by PAPI_TOT_INS")
        self.assertIn("instructions are counted by PAPI_TOT_INS", self.note((result, judged)))

    def test_then_callgrind(self):
        why = {"counters": "PAPI says no"}
        result, judged = self.gate(base=why, head={**why, "instructions": 1010000})
        self.check((result, judged), "REGRESSED", 1, "by callgrind-fake")
        self.assertIn("counted by callgrind: head: no counters here: PAPI says no", self.note((result, judged)))

    def test_else_nothing_is_counted_and_that_is_said(self):
        why = {"counters": "PAPI says no"}
        result, judged = self.gate(base=why, head=why, env={"PATH": self.folder})
        self.check((result, judged), "PASS", 0, "")
        self.assertIn("not counted: head: no counters here: PAPI says no; and no valgrind",
                      self.note((result, judged)))

    def test_a_base_that_is_too_old_does_not_make_it_fail(self):
        result, judged = self.gate(base={"counters": None, "instructions": None})
        self.check((result, judged), "PASS", 0, "")
        self.assertIn("not counted: base: it is older", self.note((result, judged)))


class RealProgram(unittest.TestCase):
    """Both sides are the program itself, and the counter is what FAKE_PAPI names: so many instructions a read."""

    def gate(self, *extra, base=None, head=None):
        folder = support.folder()
        sides = []
        for name, step in (("base", base), ("head", head)):
            path = os.path.join(folder, name)
            support.write(path, f"#!/bin/sh\nexport LD_PRELOAD={support.OPTIONS.fake_papi} FAKE_PAPI={step}\n"
                                f"exec {support.PROGRAM} \"$@\"\n" if step else
                          f"#!/bin/sh\nexec {support.PROGRAM} \"$@\" # {name}\n")
            os.chmod(path, 0o755)
            sides.append(path)
        result = support.run(["gate", "measure", "--base", sides[0], "--head", sides[1], "--aa", *POINTS, "--metric",
                              "exact", "--pairs", 1, "--parity", "off", "--out", os.path.join(folder, "gate.jsonl"),
                              "--format", "json", "--counted", *extra], timeout=200,
                             env={"ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"})
        return result, support.parse(result.out) if result.out else None

    def test_a_machine_without_counters_says_so_and_one_with_them_counts(self):
        listed = support.parse(support.run(["list", "--format", "json"]).out)["rows"]
        missing = [row.get("unavailable") for row in listed if row["name"] == "instructions"][0]
        result, judged = self.gate("counters")
        if missing:
            self.assertEqual((result.code, judged), (3, None), str(result))
            self.assertIn(f"--counted counters: no counters here: {missing}", result.err)
        else:
            self.assertEqual(result.code, 0, str(result))
            self.assertGreater(judged["rows"][0]["figures"][0]["base"], 1e5)

    def test_what_the_counter_says_is_judged(self):
        result, judged = self.gate("counters", base=1000000, head=1000000)
        self.assertEqual(result.code, 0, str(result))
        figure = [f for f in judged["rows"][0]["figures"] if f["name"] == "instructions"][0]
        self.assertEqual((figure["base"], figure["head"]), (1000000, 1000000))  # one read before, one after
        self.assertRegex(figure["counted_as"], "^PAPI_TOT_INS, .*, 1 thread")
        result, judged = self.gate("auto", base=1000000, head=1050000)
        self.assertEqual(result.code, 1, str(result))
        self.assertIn("instructions 1000000 -> 1050000 (+5 %), most of it in", judged["rows"][0]["words"])

    def test_a_counter_that_stops_counting_is_no_count(self):
        result, judged = self.gate("counters", base=1000000, head="broken")
        self.assertEqual((result.code, judged["verdict"]), (1, "INVALID"), str(result))
        self.assertIn("reading: ", judged["rows"][0]["words"])


@unittest.skipUnless(shutil.which("valgrind"), "valgrind is not installed (ci/setup installs it)")
class RealValgrind(unittest.TestCase):
    def test_the_same_program_repeats_and_a_longer_passage_costs_more(self):
        counts = {}
        for passage in (32, 48):
            out = os.path.join(support.folder(), "gate.jsonl")
            result = support.run(["gate", "measure", "--base", support.PROGRAM, "--head", support.PROGRAM, "--aa",
                                  "--model", "bert-tiny", "--question", 8, "--passage", passage, "--variant", "full",
                                  "--threads", 2, "--metric", "exact", "--pairs", 1, "--max-time", 120, "--out", out,
                                  "--counted", "callgrind", "--format", "json"], timeout=280)
            self.assertEqual(result.code, 0, str(result))
            counted = [r["counted"] for r in support.records(out) if r.get("counted")]
            self.assertEqual([c["status"] for c in counted], ["ok", "ok"], str(result))
            figure = support.parse(result.out)["rows"][0]["figures"][0]
            self.assertLess(abs(figure["ratio"] - 1), 0.0005, figure)
            self.assertEqual(sum(r["instructions"] for r in counted[0]["ranges"]) > 0.9 * figure["base"], True)
            counts[passage] = figure["base"]
        self.assertGreater(counts[48], 1.2 * counts[32])


if __name__ == "__main__":
    support.main()
