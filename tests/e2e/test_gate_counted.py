"""`gate measure --counted callgrind`: instructions decide too, and what could not be counted never passes.

Fakes a valgrind that misbehaves around workers that count (fake_worker.py), and runs the real one where there is one.
"""

import os
import shutil
import unittest
import xml.etree.ElementTree

import support
from fake_worker import write_fake, write_fake_valgrind

POINTS = ["--model", "bert-tiny", "--question", 16, "--passage", 48, "--threads", 1, "--variant", "full"]


class Counted(unittest.TestCase):
    def setUp(self):
        self.folder = support.folder()
        self.out = os.path.join(self.folder, "gate.jsonl")

    def gate(self, *extra, valgrind="", env=None, base=None, head=None, **how):
        base = write_fake(os.path.join(self.folder, "base"), **(base or {}))
        head = write_fake(os.path.join(self.folder, "head"), **(head or {}))
        env = env or write_fake_valgrind(self.folder, valgrind)
        result = support.run(["gate", "measure", "--base", base, "--head", head, *POINTS, "--max-time", 3, "--out",
                              self.out, "--format", "json", "--counted", "callgrind", *extra], env=env, **how)
        return result, support.parse(result.out) if result.out else None

    def check(self, found, verdict, code, words):
        result, judged = found
        self.assertEqual((judged and judged["verdict"], result.code), (verdict, code), str(result))
        self.assertIn(words, result.err if judged is None else judged["rows"][0]["words"], str(result))

    def figure(self, judged):
        return [f for f in judged["rows"][0]["figures"] if f["name"] == "instructions"][0]

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
        for what, verdict, code, words in (
                ("crash", "MISSING", 4, "the impossible happened"), ("hang", "MISSING", 4, "not counted within 3 s"),
                ("silent", "INVALID", 1, "no such file"), ("garbage", "INVALID", 1, "expected callgrind's counts"),
                ("cut", "INVALID", 1, "no part that the program asked for"), ("zero", "INVALID", 1, "counted none")):
            with self.subTest(what):
                self.check(self.gate(valgrind=what), verdict, code, words)

    def test_a_head_that_crashes_while_it_is_counted(self):
        self.check(self.gate(head={"at": "count", "what": "crash"}), "INVALID", 1, "signal 6")

    def test_a_base_that_crashes_while_it_is_counted(self):
        self.check(self.gate(base={"at": "count", "what": "crash"}), "MISSING", 4, "signal 6")


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
