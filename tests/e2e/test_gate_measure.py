"""`gate measure` fails closed: whatever head or the machine does, the verdict is never PASS by default.

Fake workers misbehave; see fake_worker.py. Every case has a row in the table that is printed at the end.
"""

import json
import os
import resource
import signal
import subprocess
import time
import unittest

import support
from fake_worker import starts_of, write_fake

POINTS = ["--model", "bert-tiny", "--question", 16, "--passage", 48, "--threads", 1, "--variant", "full"]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class GateCase(unittest.TestCase):
    def setUp(self):
        self.folder = support.folder()
        self.out = os.path.join(self.folder, "gate.jsonl")
        self.base = write_fake(os.path.join(self.folder, "base"))

    def head(self, **behaviour):
        return write_fake(os.path.join(self.folder, "head"), **behaviour)

    def gate(self, head, *extra, base=None, points=POINTS, max_time=3, timeout=60, **how):
        return support.run(["gate", "measure", "--base", base or self.base, "--head", head, *points, "--max-time",
                            max_time, "--timeout", 5, "--out", self.out, "--format", "json", *extra],
                           timeout=timeout, **how)

    def check(self, case, result, verdict, code, words=""):
        """Verdict, exit code and a reason on stderr; a row in the table; nobody is left behind."""
        found = support.parse(result.out)["verdict"] if result.out else "-"
        support.case(case, found, result.code, support.last_line(result.err))
        self.assertEqual((found, result.code), (verdict, code), f"{case}\n{result}")
        self.assertIn(words, result.err, f"{case}\n{result}")
        self.assertTrue(result.err.strip(), f"{case}: a reason on stderr\n{result}")
        for path in (self.base, os.path.join(self.folder, "head")):
            self.assertEqual([pid for pid in starts_of(path) if alive(pid)], [], f"{case}: processes left behind")

    def rows(self, result):
        return support.parse(result.out)["rows"]


class Verdicts(GateCase):
    def test_the_same_times_pass(self):
        self.check("the same times", self.gate(self.head()), "PASS", 0)
        records = support.records(self.out)
        self.assertTrue(all(record["gate"]["side"] in ("base", "head") for record in records))
        self.assertEqual({r["gate"]["process"] for r in records if r["gate"]["side"] == "base"},
                         {r["gate"]["process"] for r in records if r["gate"]["side"] == "head"})
        again = support.run(["gate", "files", self.out, self.out, "--format", "json"])
        self.assertEqual(again.code, 0, str(again))

    def test_five_percent_more_is_regressed_after_confirmation(self):
        result = self.gate(self.head(factor=1.05))
        self.check("5 % slower", result, "REGRESSED", 1, "measuring it again in fresh processes")
        confirming = [r for r in support.records(self.out) if r["gate"]["confirming"]]
        self.assertTrue(confirming, "no pair was measured to confirm")

    def test_the_command_that_shows_a_point_again_is_a_gate_of_it(self):
        head = self.head(factor=1.2, reproduce="deformer-bench sweep --model bert-tiny")
        result = self.gate(head)
        self.assertEqual(self.rows(result)[0]["reproduce"],
                         f"deformer-bench gate measure --base {self.base} --head {head} --model bert-tiny", str(result))

    def test_a_slowdown_that_fresh_processes_do_not_show_is_not_called(self):
        enough = os.path.join(self.folder, "enough")
        head = self.head(factor=1.05, slow_until=enough)
        process = subprocess.Popen(
            support.command_of(["gate", "measure", "--base", self.base, "--head", head, *POINTS, "--max-time", 6,
                                "--out", self.out, "--format", "json"]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=support.clean_environment())
        for line in process.stderr:
            if "suspected" in line:
                support.write(enough, "")
        out, _ = process.communicate(timeout=60)
        verdict = support.parse(out)["verdict"]
        support.case("5 % slower, not in fresh processes", verdict, process.returncode)
        self.assertTrue(os.path.exists(enough), "a regression was suspected")
        self.assertNotEqual(verdict, "REGRESSED", out)

    def test_ten_percent_less_is_improved(self):
        self.check("10 % faster", self.gate(self.head(factor=0.9)), "IMPROVED", 0)


    def test_a_program_that_grew_is_regressed_and_one_percent_is_allowed(self):
        base = write_fake(self.base, size=100000)
        self.check("a program of 0.9 % more bytes", self.gate(self.head(size=100900), base=base), "PASS", 0)
        self.check("a program of 2 % more bytes", self.gate(self.head(size=102000), base=base), "REGRESSED", 1,
                   "binary_bytes")
        result = self.gate(self.head(size=102000), "--figure-threshold", "binary_bytes=3%", base=base)
        self.check("a program of 2 % more bytes, allowed", result, "PASS", 0)


class FailsClosed(GateCase):
    def test_a_head_that_does_not_start_properly(self):
        for what, words in (("crash", "signal 6"), ("exit", "no, thank you"), ("hang", "did not answer in time"),
                            ("garbage", "garbage")):
            with self.subTest(what):
                self.check(f"head: {what} at start", self.gate(self.head(at="start", what=what)), "INVALID", 1, words)

    def test_a_head_that_speaks_an_older_protocol(self):
        self.check("head: protocol 0", self.gate(self.head(protocol=0)), "INCOMPARABLE", 4, "protocol 0")
        self.check("head: no `sweep --worker`", self.gate(self.head(at="start", what="old")), "INCOMPARABLE", 4,
                   "knows no `sweep --worker`")

    def test_a_base_that_speaks_an_older_protocol(self):
        base = write_fake(self.base, protocol=0)
        self.check("base: protocol 0", self.gate(self.head(), base=base), "INCOMPARABLE", 4, "protocol 0")

    def test_a_head_that_fails_under_way(self):
        for what, nth, words in (("crash", 3, "signal 6"), ("exit", 1, "exit code 3"), ("garbage", 2, "garbage"),
                                 ("rounds", 2, "rounds from"), ("error", 2, "would rather not")):
            with self.subTest(what):
                head = self.head(at="measure", what=what, nth=nth)
                self.check(f"head: {what} while it measures", self.gate(head), "INVALID", 1, words)

    def test_a_head_that_hangs_under_way(self):
        for what in ("hang", "deaf"):
            with self.subTest(what):
                result = self.gate(self.head(at="measure", what=what, nth=2))
                self.check(f"head: {what} while it measures", result, "INVALID", 1, "did not answer in time")
                self.assertLess(result.seconds, 20)

    def test_a_head_that_crashes_in_a_later_process(self):
        result = self.gate(self.head(at="prepare", what="crash", from_start=4))
        self.check("head: crash in its fourth process", result, "INVALID", 1, "signal 6")

    def test_a_base_that_crashes(self):
        base = write_fake(self.base, at="measure", what="crash", nth=2)
        self.check("base: crash while it measures", self.gate(self.head(), base=base), "MISSING", 4, "signal 6")

    def test_parity_that_fails(self):
        result = self.gate(self.head(at="prepare", what="parity"))
        self.check("head: parity failed", result, "INVALID", 1)
        self.assertIn("parity failed", self.rows(result)[0]["words"])

    def test_a_clock_that_steps(self):
        self.check("wall clock stepped by 10 s", self.gate(self.head(at="measure", what="clock", nth=3)), "INVALID", 1,
                   "wall clock moved")
        self.check("a clock that runs faster than ours", self.gate(self.head(at="measure", what="liar", nth=3)),
                   "INVALID", 1, "passed while it measured")

    def test_a_machine_or_a_program_that_changes(self):
        other = {"cpu_model": "another", "isa": "none"}
        self.check("machine changed under way", self.gate(self.head(machine_later=other)), "INVALID", 1,
                   "the machine changed")
        self.check("program changed under way", self.gate(self.head(build_later="other")), "INVALID", 1,
                   "the program changed")
        self.check("base and head on different machines", self.gate(self.head(machine=other)), "INCOMPARABLE", 4)

    def test_identical_programs(self):
        self.check("identical files", self.gate(self.base), "-", 2, "--aa")
        same = write_fake(os.path.join(self.folder, "head"), build="build-of-base", noise=0.011)
        self.check("identical builds", self.gate(same), "-", 2, "--aa")
        self.check("identical, with --aa", self.gate(self.base, "--aa"), "PASS", 0)

    def test_programs_that_cannot_be_started(self):
        self.check("head: no such file", self.gate(os.path.join(self.folder, "nothing")), "-", 2, "can't be found")
        self.check("head: a folder", self.gate(self.folder), "-", 2, "no regular file")
        text = support.write(os.path.join(self.folder, "text"), "hello\n")
        if os.geteuid() != 0 or not os.access(text, os.X_OK):
            self.check("head: no execute permission", self.gate(text), "-", 2, "may not be executed")
        os.chmod(text, 0o755)
        self.check("head: no program", self.gate(text), "-", 2, "can't be started")

    def test_too_few_rounds_in_the_time(self):
        base = write_fake(self.base, round_s=0.3)
        result = self.gate(self.head(round_s=0.3), base=base, max_time=1)
        self.check("too few rounds in the time", result, "AMBIGUOUS", 4)

    def test_noise_that_hides_everything(self):
        base = write_fake(self.base, noise=0.8)
        self.check("noise of 80 %", self.gate(self.head(noise=0.8), base=base), "AMBIGUOUS", 4)

    def test_points_that_are_missing(self):
        base = write_fake(self.base, points=["full", "cached"])
        self.check("a point missing in head", self.gate(self.head(points=["full"]), base=base), "MISSING", 4)
        self.check("all points missing in head", self.gate(self.head(points=[]), base=base), "MISSING", 4)
        base = write_fake(self.base, points=[])
        self.check("no points on either side", self.gate(self.head(points=[]), base=base), "MISSING", 4)

    def test_no_points_asked_for(self):
        self.check("no points", self.gate(self.head(), points=["--model", "bert-tiny"]), "-", 2)
        self.check("all points filtered out", self.gate(self.head(), "--filter", "nothing"), "-", 4, "filter")

    def test_a_full_disk(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
        self.check("disk full", self.gate(self.head(), preexec_fn=limit), "-", 2, "writing")
        for line in support.read_run_file(self.out):  # what was written before is whole
            self.assertIn(line["type"], ("run", "record"))

    def test_a_run_file_that_cannot_be_written(self):
        os.mkdir(self.out)
        self.check("out is a folder", self.gate(self.head()), "-", 2, "directory")

    def test_an_interrupt(self):
        head = self.head(round_s=0.1)  # a gate of rounds of 0.01 s could be over before it was interrupted
        process = support.start(["gate", "measure", "--base", self.base, "--head", head, *POINTS, "--max-time", 60,
                                 "--out", self.out])
        deadline = time.monotonic() + 30
        while len(starts_of(head)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        support.case("interrupted", None, process.returncode, support.last_line(err.decode()))
        self.assertEqual(process.returncode, 130, err)
        self.assertEqual([pid for path in (self.base, head) for pid in starts_of(path) if alive(pid)], [])


class Hostile(GateCase):
    """What a head says is not believed: nonsense is INVALID with a reason, and never ends the gate itself."""

    def hostile(self, words, **behaviour):
        case = "head says " + json.dumps(behaviour)[:70]
        with self.subTest(case):
            self.check(case, self.gate(self.head(**behaviour)), "INVALID", 1, words)

    def test_lines_that_are_no_answer(self):
        for kind in ("hello", "planned", "prepared", "measured", "records"):
            self.hostile("expected an answer", raw={kind: "REPEAT 1000000 ["})
            self.hostile("nested over 64 deep", raw={kind: '{"type":"' + kind + '","x":' + "[" * 100000})
        self.hostile("longer than", raw={"planned": "REPEAT 10000000 xxxxxxxxxx"})  # 100 MB
        self.hostile("expected an answer", raw={"measured": '{"type":"measured","id":ID,"type":"measured"}'})
        self.hostile("expected an answer", raw={"prepared": '{"type":"prepared","id":ID,"round_ns":1e999}'})
        self.hostile("the answer 'planned'", raw={"planned": '{"type":"planned","id":99,"groups":[]}'})

    def test_a_hello_that_is_none(self):
        for field, value in (("protocol", 1e30), ("protocol", 2**64 - 1), ("protocol", "1"), ("version", "LEFT OUT"),
                             ("build", 7), ("machine", []), ("machine", "LEFT OUT"), ("clock", None),
                             ("clock.monotonic_ns", -(2**63)), ("clock.realtime_ns", 0.5), ("oldest", [])):
            self.hostile("expected", patch={"hello": {field: value}})

    def test_a_plan_that_is_none(self):
        for path, value in (("groups", {}), ("groups", [7]), ("groups.points", "x"), ("groups.points", [[]]),
                            ("groups.points.key", 1), ("groups.points.point", []), ("groups.points.name", "LEFT OUT"),
                            ("groups.group", None)):
            self.hostile("expected", patch={"planned": {path: value}})

    def test_numbers_that_are_none(self):
        for value in (0, -1, 1e300, "1", None, [], "LEFT OUT"):
            self.hostile("round_ns", patch={"prepared": {"round_ns": value}})
        for path, value in (("elapsed_ns", -1), ("elapsed_ns", 1e300), ("elapsed_ns", "LEFT OUT"), ("first", 2**63),
                            ("first", 1), ("rounds", []), ("rounds", [1] * 12), ("rounds.disturbed", "no"),
                            ("clock.monotonic_ns", 2**63 - 1), ("clock", 4)):
            self.hostile("", patch={"measured": {path: value}})

    def test_records_that_are_none(self):
        for path, value in (("records", []), ("records", [7]), ("records", {}), ("records.key", "0" * 16),
                            ("records.key", 7), ("records.status", 7), ("records.status", "fine"),
                            ("records.name", "LEFT OUT"), ("records.time", None), ("records.time", [1]),
                            ("records.time.samples", "x"), ("records.time.samples", ["1"]),
                            ("records.time.samples", [-1.0]), ("records.time.samples", [1.0] * 5000),
                            ("records.point", 7), ("records.set", None), ("records.run", "another"),
                            ("records.parity", 7), ("records.group", [])):
            self.hostile("expected", patch={"records": {path: value}})


class Worker(unittest.TestCase):
    """The real worker, asked by hand."""

    def setUp(self):
        self.process = subprocess.Popen(support.command_of(["sweep", "--worker"]), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=support.clean_environment())
        self.hello = self.read()

    def tearDown(self):
        self.process.kill()
        self.process.communicate()

    def read(self):
        return support.parse(self.process.stdout.readline().decode("utf-8"))

    def ask(self, request):
        line = request if isinstance(request, bytes) else json.dumps(request).encode("utf-8")
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()
        return self.read()

    def planned(self, *extra):
        points = [str(word) for word in POINTS + list(extra)]
        return self.ask({"type": "plan", "id": 7, "arguments": points, "unknown": {"field": 1}})

    def test_the_hello_says_who_it_is(self):
        self.assertEqual((self.hello["type"], self.hello["protocol"]), ("hello", 1))
        for field in ("version", "build", "machine", "clock"):
            self.assertIn(field, self.hello)

    def test_whatever_it_cannot_read_is_answered_with_an_error(self):
        for line in (b"", b"garbage", b"[]", b"{}", b"\xff\xfe\x00", b'{"type":1}', b'{"type":"dance"}', b"[" * 100000,
                     b'{"type":"plan","arguments":"x"}', b'{"type":"plan","arguments":["--nonsense"]}',
                     b'{"type":"plan","arguments":["--help"]}', b'{"type":"measure","rounds":4}',
                     b'{"type":"prepare","group":"x"}', b'{"type":"records","run":"r","set":"s"}',
                     b'{"type":"plan","arguments":["' + b"x" * (2 << 20) + b'"]}'):
            self.assertEqual(self.ask(line)["type"], "error", line[:60])
        self.assertEqual(self.planned()["type"], "planned", "it still answers")

    def test_requests_that_make_no_sense_are_refused_and_it_goes_on(self):
        group = self.planned()["groups"][0]["group"]
        self.assertEqual(self.ask({"type": "prepare", "group": group, "inject": "op=dance"})["type"], "error")
        self.assertEqual(self.ask({"type": "prepare", "group": group, "parity": "yes"})["type"], "error")
        self.assertEqual(self.ask({"type": "prepare", "group": group, "id": "x"})["id"], "x")
        for rounds in (0, -1, 10**9, "4", None, 1e300):
            self.assertEqual(self.ask({"type": "measure", "rounds": rounds})["type"], "error", rounds)
        measured = self.ask({"type": "measure", "rounds": 3})
        self.assertEqual(len(measured["rounds"]), 3)
        self.assertEqual(measured["allocations"], 0)
        for discard in ([3], [-1], [1, 1], [2, 1], "1"):
            self.assertEqual(self.ask({"type": "records", "run": "r", "set": "s", "discard": discard})["type"], "error")
        records = self.ask({"type": "records", "run": "r", "set": "s", "discard": [1]})["records"]
        ns = [round["ns"][0] for round in measured["rounds"]]
        self.assertEqual(records[0]["time"]["samples"], [ns[0], ns[2]])
        self.assertEqual(records[0]["time"]["discarded"] >= 1, True)
        self.assertTrue(records[0]["parity"]["ok"])

    def test_it_ends_when_nobody_asks_any_more(self):
        out, err = self.process.communicate(timeout=10)
        self.assertEqual(self.process.returncode, 0, err)
        self.assertEqual(support.parse(out.decode("utf-8"))["type"], "bye")

    def test_further_options_are_refused(self):
        result = support.run(["sweep", "--worker", "--model", "bert-tiny", "--task", "squad"])
        self.assertEqual(result.code, 2, str(result))


class Live(unittest.TestCase):
    """The program against itself: noise is no regression, and a planted slowdown is found where it was planted."""

    def gate(self, *extra):
        out = os.path.join(support.folder(), "gate.jsonl")
        result = support.run(["gate", "measure", "--base", support.PROGRAM, "--head", support.PROGRAM, "--aa", *POINTS,
                              "--out", out, "--format", "json", *extra], timeout=200)
        return result, support.parse(result.out), out

    def test_a_planted_slowdown_is_found_where_it_was_planted(self):
        result, judged, out = self.gate("--max-time", 20, "--inject", "op=ffn1,layer=1,slowdown=20%")
        self.assertEqual((judged["verdict"], result.code), ("REGRESSED", 1), str(result))
        row = judged["rows"][0]
        self.assertTrue(row["where"].endswith("layer 1/ffn1"), row)
        self.assertIn("NOT A MEASUREMENT", row["words"])
        sides = {r["gate"]["side"]: r.get("injected") for r in support.records(out)}
        self.assertEqual(sides, {"base": None, "head": "op=ffn1,layer=1,slowdown=20%"})

    def test_the_same_program_is_no_regression(self):
        result, judged, _ = self.gate("--max-time", 6, "--threshold", "10%")
        self.assertIn(judged["verdict"], ("PASS", "AMBIGUOUS"), str(result))


if __name__ == "__main__":
    support.main()
