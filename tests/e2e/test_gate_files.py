"""`gate files` and `gate replay`: verdicts with their exit codes, and above all: nothing passes that measured nothing."""

import json
import os
import unittest
import xml.etree.ElementTree as xml

import support
from gate_runs import MACHINE, Side, text
from support import run

HOSTILE = 'q27\n::error::"<&\'>%,]]>\x1b[31m\u202e\x07'


def status(name, reason, where=lambda record: True):
    def change(record):
        if where(record):
            record.update(status=name, reason=reason)
            if name in ("skipped", "failed"):
                record.update(time=None, speedup=None)
    return change


def cached(record):
    return record["point"]["variant"] == "cached"


def scaled_cost(record):
    record["cost"]["flops"] += 1000


class Gate(support.TestCase):
    def judge(self, base, head, *options, code, verdict, prefix=(), **kwargs):
        """Runs the gate on two files; `verdict` None: none is printed."""
        result = run(["gate", "files", base, head, "--format", "json", *options], cwd=self.at, **kwargs)
        self.assertEqual(result.code, code, str(result))
        found = support.parse(result.out)["verdict"] if result.out else None
        self.assertEqual(found, verdict, str(result))
        if code:
            self.assertTrue(result.err.strip(), str(result))
        return result

    def sides(self, base=None, head=None):
        return (base or Side("base")).write(self.at), (head or Side("head")).write(self.at)


class FailsClosed(Gate):
    """Each case: what is wrong, the files, options, the exit code and the verdict. Printed as a table."""

    def cases(self):
        files = self.sides
        def plain(name, content):
            return support.write(self.path(name), content)
        empty_run = lambda side: plain(f"{side}-empty.jsonl", text([Side(side).run_line, Side(side).end_line]))
        other = dict(MACHINE, cpu_model="Another CPU")
        torn = Side("head", pairs=6).lines(end=False)
        torn_text = text(torn)[:-len(json.dumps(torn[-1])) // 2]
        yield "no points", empty_run("base"), empty_run("head"), (), 4, "MISSING"
        yield "every point filtered out", *files(), ("--filter", "bert-large"), 4, "MISSING"
        yield "renamed points", *files(head=Side("head", questions=(28,))), (), 4, "MISSING"
        yield "removed point", *files(base=Side("base", questions=(27, 28))), (), 4, "MISSING"
        yield "head file empty", files()[0], plain("void.jsonl", ""), (), 4, "MISSING"
        yield "both files empty", plain("void.jsonl", ""), plain("void2.jsonl", ""), (), 4, "MISSING"
        yield "head file torn in a record", files()[0], plain("torn.jsonl", torn_text), (), 4, "MISSING"
        yield ("head file ends between records", files()[0], Side("head").write(self.at, end=False), (), 4, "MISSING")
        yield "head file is another format", files()[0], plain("x.csv", "name,ns\na,1\n"), (), 2, None
        yield "head file is binary", files()[0], plain("x.bin", "\x00\x01\x02" * 50), (), 2, None
        yield ("head file of a later schema", files()[0],
               plain("later.jsonl", text([dict(Side("head").run_line, schema=2)])), (), 2, None)
        yield "head file not there", files()[0], self.path("nowhere.jsonl"), (), 2, None
        yield ("parity failed in head", *files(head=Side("head").each(status("invalid", "parity failed", cached))), (),
               1, "INVALID")
        yield ("parity failed in base", *files(base=Side("base").each(status("invalid", "parity failed", cached))), (),
               1, "INVALID")
        one = Side("head")
        one.records[5].update(status="invalid", reason="parity failed")
        yield "parity failed in one process of twelve", *files(head=one), (), 1, "INVALID"
        yield ("parity failed, and head is slower",
               *files(head=Side("head", {"cached": 1.2}).each(
                   status("invalid", "parity failed", lambda r: not cached(r)))), (), 1, "INVALID")
        yield "machine changed", *files(head=Side("head", machine=other)), (), 4, "INCOMPARABLE"
        yield "machine unknown", *files(head=Side("head", machine={})), (), 4, "INCOMPARABLE"
        yield "machine changed, no ratio to judge", *files(
            Side("base").each(lambda r: not cached(r)), Side("head", machine=other).each(lambda r: not cached(r))), (
            "--metric", "ratio"), 4, "MISSING"
        yield "identical builds without --aa", *files(head=Side("head", build="build-base")), (), 2, None
        yield "too few rounds", *files(Side("base", pairs=3, rounds=3), Side("head", pairs=3, rounds=3)), (), 4, "AMBIGUOUS"
        yield "too noisy to say", *files(Side("base", process=0.05), Side("head", process=0.05)), (), 4, "AMBIGUOUS"
        yield ("separate sessions", *files(Side("base", marked=False), Side("head", marked=False)), (), 4, "AMBIGUOUS")
        yield "times are all zero", *files(head=Side("head").each(
            lambda r: r["time"].update(samples=[0] * 12))), (), 4, "AMBIGUOUS"
        yield "head skipped", *files(head=Side("head").each(status("skipped", "too long", cached))), (), 4, "MISSING"
        yield "head failed", *files(head=Side("head").each(status("failed", "crashed", cached))), (), 4, "MISSING"
        yield ("both skipped everything", *files(Side("base").each(status("skipped", "no memory")),
                                                Side("head").each(status("skipped", "no memory"))), (), 4, "MISSING")
        yield ("removed point, and head is slower",
               *files(Side("base", questions=(27, 28)), Side("head", {"cached": 1.1})), (), 1, "REGRESSED")
        yield "full got slower, so the ratio is better", *files(head=Side("head", {"full": 1.1})), (
            "--filter", "cached"), 1, "REGRESSED"
        yield "FLOPs grew by a thousandth", *files(head=Side("head").each(scaled_cost)), (), 1, "REGRESSED"
        yield "JUnit onto a full disk", *files(), ("--junit", "/dev/full"), 2, "PASS"
        yield "summary onto a full disk", *files(), ("--summary", "/dev/full"), 2, "PASS"
        yield "summary in no folder", *files(), ("--summary", "no/where.md"), 2, "PASS"
        yield "threshold of nothing", *files(), ("--threshold", "0"), 2, None

    def test_each_case_has_its_verdict_and_exit_code(self):
        for what, base, head, options, code, verdict in self.cases():
            with self.subTest(what):
                result = self.judge(base, head, *options, code=code, verdict=verdict)
                support.case(what, verdict, code, support.last_line(result.err))

    def test_stdout_onto_a_full_disk(self):
        base, head = self.sides()
        with open("/dev/full", "w") as full:
            result = run(["gate", "files", base, head], cwd=self.at, stdout=full)
        support.case("verdict onto a full disk", None, result.code, support.last_line(result.err))
        self.assertEqual(result.code, 2, str(result))
        self.assertIn("stdout", result.err)


class Verdicts(Gate):
    def test_equal_programs_pass(self):
        result = self.judge(*self.sides(), code=0, verdict="PASS")
        row = support.parse(result.out)["rows"][0]
        self.assertLess(row["ci_low"], 1)
        self.assertGreater(row["ci_high"], 1)
        self.assertLess(row["smallest_effect"], 0.03)
        self.assertIn("would have been seen", result.err)

    def test_three_percent_slower_is_found_and_faster_is_improved(self):
        slower = self.sides(head=Side("head", {"cached": 1.03}))
        result = self.judge(*slower, code=1, verdict="REGRESSED")
        rows = {row["name"]: row for row in support.parse(result.out)["rows"]}
        self.assertEqual(rows["bert-tiny/q27/full"]["verdict"], "PASS")
        self.assertAlmostEqual(rows["bert-tiny/q27/cached"]["ratio"], 1.03, delta=0.01)
        self.assertIn("1.03", result.err)
        faster = self.sides(head=Side("head", {"cached": 0.9}))
        self.judge(*faster, code=0, verdict="IMPROVED")

    def test_a_file_that_holds_both_sides_is_named_twice(self):
        both = support.write(self.path("both.jsonl"),
                             text(Side("base").lines() + Side("head", {"cached": 1.05}).lines()))
        self.judge(both, both, code=1, verdict="REGRESSED")

    def test_separate_sweeps_decide_what_is_large(self):
        slower = self.sides(Side("base", marked=False), Side("head", {"cached": 1.15}, marked=False))
        result = self.judge(*slower, code=1, verdict="REGRESSED")
        self.assertFalse(support.parse(result.out)["rows"][0]["time"]["paired"])
        same = self.sides(Side("base", marked=False), Side("head", marked=False))
        self.judge(*same, "--threshold", "8%", code=0, verdict="PASS")

    def test_across_machines_the_ratio_is_judged_when_asked(self):
        machine = dict(MACHINE, cpu_model="Another CPU")
        twice = {"full": 0.5, "cached": 0.5}
        files = self.sides(head=Side("head", twice, machine=machine))
        result = self.judge(*files, code=4, verdict="INCOMPARABLE")
        self.assertIn("cpu_model", result.out)
        self.judge(*files, "--metric", "ratio", code=0, verdict="PASS")
        worse = self.sides(head=Side("head", {"full": 0.5, "cached": 0.6}, machine=machine))
        self.judge(*worse, "--metric", "ratio", code=1, verdict="REGRESSED")

    def test_a_kernel_or_library_is_not_the_machine(self):
        machine = dict(MACHINE, **{"library oneDNN": "9.9"})
        self.judge(*self.sides(head=Side("head", machine=machine)), code=0, verdict="PASS")

    def test_full_faster_is_no_regression_of_cached(self):
        result = self.judge(*self.sides(head=Side("head", {"full": 0.9})), code=0, verdict="IMPROVED")
        rows = {row["name"]: row for row in support.parse(result.out)["rows"]}
        self.assertEqual(rows["bert-tiny/q27/cached"]["verdict"], "PASS")
        self.assertIn("full got faster", rows["bert-tiny/q27/cached"]["words"])

    def test_a_ratio_better_because_full_got_slower_says_so(self):
        result = self.judge(*self.sides(head=Side("head", {"full": 1.1})), code=1, verdict="REGRESSED")
        rows = {row["name"]: row for row in support.parse(result.out)["rows"]}
        self.assertEqual(rows["bert-tiny/q27/cached"]["verdict"], "REGRESSED")
        self.assertIn("only because full got slower", rows["bert-tiny/q27/cached"]["words"])

    def test_memory_may_grow_as_far_as_allowed(self):
        def grown(record):
            record["memory"]["requested_bytes"] = 5049
        files = self.sides(head=Side("head").each(grown))
        result = self.judge(*files, code=1, verdict="REGRESSED")
        self.assertIn("requested_bytes", result.err)
        result = self.judge(*files, "--figure-threshold", "requested_bytes=1%", code=0, verdict="PASS")
        self.assertIn("5049", result.out.replace(".0", ""))

    def test_figures_of_another_instruction_set_are_not_compared(self):
        def grown(record):
            record["memory"]["requested_bytes"] = 9000
        files = self.sides(head=Side("head", machine=dict(MACHINE, isa="avx512f")).each(grown))
        result = self.judge(*files, "--metric", "ratio", code=0, verdict="PASS")
        self.assertEqual(support.parse(result.out)["rows"][0]["figures_not_compared"], 1)


class Outputs(Gate):
    def hostile(self):
        def rename(record):
            record.update(name=HOSTILE, reproduce="deformer-bench sweep --model 'a<b&c\x07'")
        return self.sides(Side("base").each(rename), Side("head", {"cached": 1.1, "full": 1.1}).each(rename))

    def test_junit_is_xml_whatever_the_names(self):
        self.judge(*self.hostile(), "--junit", "j.xml", code=1, verdict="REGRESSED")
        suite = xml.parse(self.path("j.xml")).getroot().find("testsuite")
        cases = suite.findall("testcase")
        self.assertEqual(suite.get("tests"), str(len(cases)))
        self.assertEqual(len(cases), 3)
        failures = suite.findall("testcase/failure")
        self.assertEqual(suite.get("failures"), str(len(failures)))
        self.assertIn('::error::"<&\'>%,]]>', cases[0].get("name"))
        self.assertIn("reproduce: deformer-bench sweep", failures[0].text)
        self.assertEqual(cases[-1].get("name"), "gate")

    def test_a_gate_without_points_is_red_in_junit(self):
        empty = text([Side("base").run_line, Side("base").end_line])
        file = support.write(self.path("e.jsonl"), empty)
        self.judge(file, file, "--aa", "--junit", "j.xml", code=4, verdict="MISSING")
        self.assertEqual(xml.parse(self.path("j.xml")).getroot().find("testsuite").get("errors"), "1")

    def test_annotations_stay_on_their_lines(self):
        result = self.judge(*self.hostile(), "--annotations", code=1, verdict="REGRESSED")
        commands = [line for line in result.err.splitlines() if line.startswith("::")]
        self.assertEqual(len(commands), 2, result.err)
        for command in commands:
            self.assertRegex(command, r"^::error title=[^:,]*::.*%0Areproduce: deformer-bench sweep")
            self.assertIn("%3A%3Aerror%3A%3A", command)  # what GitHub reads back as ::error::
            self.assertIn("%25%2C]]>", command)
            self.assertNotIn("\x1b", command)

    def test_the_summary_is_appended(self):
        base, head = self.sides(head=Side("head", {"cached": 1.05}))
        self.judge(base, head, code=1, verdict="REGRESSED", env={"GITHUB_STEP_SUMMARY": self.path("s.md")})
        self.judge(base, head, "--summary", "s.md", code=1, verdict="REGRESSED")
        with open(self.path("s.md"), encoding="utf-8") as file:
            summary = file.read()
        self.assertEqual(summary.count("## deformer-bench gate: REGRESSED"), 2)
        self.assertIn("| REGRESSED | bert-tiny/q27/cached |", summary)
        self.assertIn("deformer-bench sweep --model bert-tiny --question 27 --variant cached", summary)

    def test_console_names_the_worst_first_and_how_to_measure_it_again(self):
        base, head = self.sides(head=Side("head", {"cached": 1.05}))
        result = run(["gate", "files", base, head], cwd=self.at)
        lines = result.out.splitlines()
        self.assertTrue(lines[0].startswith("gate: REGRESSED: 2 points: 1 REGRESSED, 1 PASS"), result.out)
        self.assertTrue(lines[4].startswith("REGRESSED  bert-tiny/q27/cached"), result.out)
        self.assertIn("--variant cached", result.out)


class Replay(Gate):
    def recorded(self, **kwargs):
        lines = Side("base", pairs=24, build="same", **kwargs).lines() + Side("head", pairs=24, build="same", **kwargs).lines()
        return support.write(self.path("aa.jsonl"), text(lines))

    def rows(self, *options, code=0):
        result = run(["gate", "replay", *options, "--format", "json"], cwd=self.at, timeout=120)
        self.assertEqual(result.code, code, str(result))
        return support.parse(result.out)["rows"] if code == 0 else result.err

    def test_false_alarms_and_misses_stand_beside_those_of_other_rules(self):
        rows = self.rows(self.recorded(), "--gates", "2000", "--inject", "0,3%,5%,-5%")
        ours = {row["injected"]: row for row in rows if row["rule"] == "deformer-bench gate"}
        self.assertLess(ours[0]["high"], 0.01)
        self.assertGreater(ours[0.03]["share"], 0.95)
        self.assertEqual(ours[0.05]["share"], 1)
        self.assertEqual(ours[-0.05]["share"], 1)
        fixed = {row["injected"]: row for row in rows if "200 %" in row["rule"]}
        self.assertEqual(fixed[0.05]["alarms"], 0)

    def test_the_same_seed_draws_the_same_gates(self):
        file = self.recorded()
        once = self.rows(file, "--gates", "200", "--seed", "7", "--inject", "1%")
        self.assertEqual(once, self.rows(file, "--gates", "200", "--seed", "7", "--inject", "1%"))

    def test_plain_sweeps_can_be_replayed(self):
        lines = []
        for i in range(12):
            lines += Side("base", pairs=1, build="same", marked=False, offset=i, seed=i).lines()
        file = support.write(self.path("plain.jsonl"), text(lines))
        rows = self.rows(file, "--gates", "500", "--processes", "3", "--confirm", "3")
        self.assertEqual(rows[0]["alarms"], 0)

    def test_too_few_recorded_pairs_are_refused(self):
        error = self.rows(self.recorded(), "--processes", "20", "--confirm", "20", code=2)
        self.assertIn("found 24", error)
        empty = support.write(self.path("none.jsonl"), "")
        self.assertIn("found none", self.rows(empty, code=2))


if __name__ == "__main__":
    support.main()
