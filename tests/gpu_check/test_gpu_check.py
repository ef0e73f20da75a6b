"""ci/gpu-check where there is no device: every step's command is one the program takes, outcomes become files, figures
are those of the records, the bundle holds what it needs. What needs a device was never run here."""

import json
import os
import subprocess
import sys
import tarfile
import time
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "..", "ci", "gpu.d")]

import support
import attribution
import bundle
import check
import device
import report
import steps
import verdicts
from json_lines import read_lines


def record(model, median_ms, **more):
    point = {"model": f"checkpoint-{model}@12345678", "question": 27, "passage": 357, "batch": 1, "variant": "full",
             "backend": "cuda", "dtype": "bf16"} | more.pop("point", {})
    return {"type": "record", "status": "ok", "point": point, "time": {"median": median_ms * 1e6},
            "phases": [{"name": "load(passage)", "median_ns": 50_000, "hidden_median_ns": 150_000}], "cost": {"bytes_cache_batch": 14_400_000}} | more


class InTheSource(support.TestCase):
    def setUp(self):
        super().setUp()
        before = os.getcwd()
        os.chdir(support.OPTIONS.source)
        self.addCleanup(os.chdir, before)

    def gpu_check(self, *arguments, cwd=None):
        return subprocess.run([os.path.join(support.OPTIONS.source, "ci", "gpu-check"), *arguments], cwd=cwd or self.at,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Steps(InTheSource):
    def test_a_dry_run_prints_every_step_and_writes_nothing(self):
        done = self.gpu_check("--dry-run", "--results", self.path("results"))
        self.assertEqual(done.returncode, 0, done.stderr)
        for step in steps.all_steps():
            self.assertIn(f" {step.name} ", done.stdout)
        self.assertNotIn("{", done.stdout, "a place that was not filled in")
        self.assertFalse(os.path.exists(self.path("results")))

    def test_only_names_steps_and_refuses_others(self):
        done = self.gpu_check("--dry-run", "--only", "verify-bert,sanitizer-memcheck")
        self.assertEqual(done.stdout.count("(at most"), len(steps.DTYPES) + 5)
        self.assertEqual(self.gpu_check("--dry-run", "--only", "nothing").returncode, 2)

    def test_the_steps_cover_golden_data_dtypes_places_peers_and_sanitizer(self):
        everything = steps.all_steps()
        names = [step.name for step in everything]
        self.assertEqual(len(names), len(set(names)))
        verified = {word for step in everything if step.name.startswith("verify-") for word in step.command}
        self.assertTrue({path.rsplit("/", 1)[0] for path in steps.goldens()} <= verified)
        commands = "\n".join(" ".join(step.command) for step in everything)
        for wanted in ("--batch 32,128", "--batch 1 ", "--cache-at device,pinned,pageable", "uniform:32-384", "--cold", "--split 20",
                       "--dtype fp8", "--tool memcheck", "--tool racecheck", "gemm"):
            self.assertIn(wanted, commands)

    def on_the_cpu(self, step):
        """What a step asks of the program, as far as a cpu can be asked."""
        words = [{"{large}": "bert-large", "{base}": "bert-base", "cuda": "cpu"}.get(word, word)
                 for word in step.command[step.command.index("{program}") + 1:]]
        if "--out" in words:
            words[words.index("--out") + 1] = self.path("out.jsonl")
        words[words.index("--dtype") + 1] = "f32"
        if "--cache-at" in words:
            words[words.index("--cache-at") + 1] = "device"
        return [word for word in words if word != "--cold"]

    def test_the_program_takes_every_sweep(self):
        """On the cpu, with built-in models and without what is for devices alone: a dry run of each."""
        swept = [step for step in steps.all_steps() + steps.all_steps(quick=True) if "sweep" in step.command]
        self.assertEqual(len(swept), 2 * (len(steps.sweep_steps()) + len(steps.parity_steps()) + 4))
        for step in swept:
            self.run_ok([*self.on_the_cpu(step), "--dry-run"])

    def test_the_program_takes_what_is_profiled_and_what_the_sanitizer_watches(self):
        """Options and names of cases; of profile no more than that the words are understood."""
        for step in steps.profile_steps():
            self.assertIn("left no point", self.run_ok([*self.on_the_cpu(step), "--filter", "nothing"], code=4).err)
        watched = [step for step in steps.sanitizer_steps() if "verify" in step.command]
        self.assertEqual(len(watched), 7)
        for words in {tuple(self.on_the_cpu(step)) for step in watched}:
            kept = self.run_ok(words, cwd=support.OPTIONS.source).out
            self.assertIn("6 of 6 cases ok" if any("xlnet" in word for word in words) else "1 of 1 cases ok", kept)

    def test_the_sanitizer_is_for_a_run_of_its_own_where_time_is_short(self):
        def names(*arguments):
            return {step.name for step in check.chosen(*arguments)}
        watched = {step.name for step in steps.sanitizer_steps()}
        self.assertTrue(watched <= names("", False, 0))
        self.assertEqual(names("", True, 5) & watched, set())
        self.assertEqual(names("sanitizer", True, 5), watched)
        self.assertEqual(names("sanitizer-memcheck-golden", True, 5), {"sanitizer-memcheck-golden"})

    def test_kernels_overlap_under_the_sanitizer_only_where_the_step_says_so(self):
        early = {step.name for step in steps.sanitizer_steps() if "{program}" in step.command
                 and "DEFORMER_BENCH_CUDA_ONE_BY_ONE" not in step.environment}
        self.assertEqual(early, {"sanitizer-racecheck-early", "sanitizer-memcheck-early"})
        ours = {step.name: check.environment_of(step, {"HOME": "x"}) for step in steps.sanitizer_steps()
                if "{program}" in step.command}
        self.assertEqual(ours["sanitizer-racecheck-bf16"]["DEFORMER_BENCH_CUDA_ONE_BY_ONE"], "1")
        self.assertEqual(len({environment["DEFORMER_BENCH_CACHE_DIR"] for environment in ours.values()}), len(ours))

    def test_no_librarys_kernel_runs_where_racecheck_and_synccheck_watch_ours_in_bf16(self):
        """That ours do all of it is known of these models, cases and widths: tests/cuda_host/own_kernels_test.cpp."""
        own = {step.name: step for step in steps.sanitizer_steps() if "DEFORMER_BENCH_CUDA_OWN_KERNELS" in step.environment}
        self.assertEqual(set(own), {"sanitizer-racecheck-bf16", "sanitizer-racecheck-early", "sanitizer-racecheck-clusters",
                                    "sanitizer-synccheck-bf16"})
        with open("tests/cuda_host/own_kernels_test.cpp", encoding="utf-8") as file:
            known = file.read()
        for name, step in own.items():
            words = step.command
            self.assertEqual(words[words.index("--dtype") + 1], "bf16", name)
            if "sweep" in words:
                asked = [words[words.index(option) + 1] for option in ("--model", "--question", "--passage", "--variant")]
                self.assertEqual(asked, ["bert-base", "27", "37", "full"], name)
                continue
            self.assertTrue({word.rsplit("/", 1)[1] for word in words if "golden/" in word} <= {"bert-span", "xlnet-span"}, name)
            case = words[words.index("--filter") + 1]
            self.assertTrue(case == r"^full\.q7\.p15$" or f'R"({case})"' in known, name)

    def test_what_times_nothing_comes_first_and_what_is_timed_comes_alone(self):
        everything = steps.all_steps()
        timed = [step.name.split("-")[0] for step in everything if step.alone]
        self.assertEqual(set(timed), {"sweep", "peers", "profile"})
        self.assertFalse(any(step.alone for step in everything[:len(everything) - len(timed)]))

    def test_quick_is_shorter_and_leaves_no_model_unchecked(self):
        def seconds(quick):
            return {step.command[step.command.index("--max-time") + 1] for step in steps.sweep_steps(quick)}
        self.assertEqual((seconds(False), seconds(True)), ({"10"}, {"3"}))
        self.assertFalse([step for step in steps.sweep_steps() if "--parity" in step.command])
        unchecked = [step for step in steps.sweep_steps(quick=True) if "--parity" in step.command]
        self.assertTrue(all("1" not in step.command[step.command.index("--batch") + 1].split(",") or step.name == "sweep-cold"
                            for step in unchecked))
        checked = {step.name for step in steps.all_steps(quick=True)}
        self.assertTrue({"parity-base", "parity-large", "parity-fp8"} <= checked)

    def test_no_sweep_is_skipped_because_another_one_has_its_point(self):
        """Batches and lengths tell the others apart; `places` repeats a point of `squad`, to time it beside the others."""
        repeating = [step.name for step in steps.sweep_steps() if "--fresh" in step.command]
        self.assertEqual(repeating, ["sweep-places"])

    def test_without_a_device_it_says_so_and_exits_3(self):
        if not device.why_none():
            self.skipTest("this machine has a device")
        done = self.gpu_check()
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stderr, "no GPU to check on: (no NVIDIA driver|the driver)")
        self.assertEqual(done.stdout, "")

    def test_a_library_that_is_no_driver_is_no_driver(self):
        self.assertIn("no NVIDIA driver", device.why_none("libno-such-cuda.so.1"))
        self.assertEqual(device.slug("NVIDIA H100 80GB HBM3"), "h100-80gb-hbm3")
        self.assertEqual(device.slug("Tesla V100-SXM2"), "v100-sxm2")


class Run(InTheSource):
    """A run with a program that only pretends: what is made of its exit codes."""

    def pretend(self, script):
        build = self.path("build")
        os.makedirs(os.path.join(build, "plugins"), exist_ok=True)
        support.write(os.path.join(build, "plugins", "deformer-bench-cuda.so"), "")
        program = support.write(os.path.join(build, "deformer-bench"), "#!/bin/sh\n" + script)
        os.chmod(program, 0o755)
        return build

    def run_check(self, build, *arguments, suffix=".md"):
        argv = ["gpu-check", "--build", build, "--results", self.path("results"), "--name", "fake", *arguments]
        with mock.patch.object(sys, "argv", argv), mock.patch.object(device, "why_none", lambda: ""), \
                mock.patch.object(device, "facts", lambda: {"name": "Fake H100", "driver_version": "580"}), \
                mock.patch.object(check, "WORK", self.path("work")):
            with self.assertRaises(SystemExit) as left:
                check.main()
        results = self.path("results")
        page = next(name for name in os.listdir(results) if name.endswith(".md"))
        self.assertRegex(page, r"^gpu-fake-\d{4}-\d\d-\d\d" + suffix.replace(".", r"\.") + "$")
        with open(os.path.join(results, page), encoding="utf-8") as file:
            return left.exception.code, file.read()

    def test_outcomes_are_told_apart(self):
        build = self.pretend('case "$*" in *fp8*) echo fp8 is not >&2; exit 3;; *xlnet*"--dtype bf16"*) exit 1;; esac\nexit 0\n')
        code, page = self.run_check(build, "--only", "verify-bert,verify-xlnet")
        self.assertEqual(code, 1)
        for dtype in ("f32", "tf32", "f16"):
            self.assertIn(f"| golden cases in {dtype} | {verdicts.GOALS[dtype]} | bert ok; xlnet ok |", page)
        self.assertIn("| golden cases in fp8 | row cosine >= 0.99 | bert not to be had here (fp8 is not); xlnet not", page)
        self.assertIn("| bert ok; xlnet FAILED (exit 1) |", page)
        self.assertIn("open: not measured", page)
        code, page = self.run_check(self.repaired(build), "--only", "verify-xlnet-bf16")
        self.assertEqual(code, 0, "a step that is run again replaces what it said before")
        self.assertIn("| golden cases in bf16 | row cosine >= 0.999 | bert ok; xlnet ok |", page)

    def repaired(self, build):
        support.write(os.path.join(build, "deformer-bench"), "#!/bin/sh\nexit 0\n")
        return build

    def test_a_device_that_the_program_cannot_use_is_a_failure(self):
        build = self.pretend("exit 3\n")
        code, page = self.run_check(build, "--only", "verify-bert,verify-pinned,sweep-base-b1,sweep-fp8")
        self.assertEqual(code, 1)
        for step in ("verify-bert-f32", "verify-bert-bf16", "verify-pinned", "sweep-base-b1"):
            self.assertIn(f"| {step} | FAILED (exit 3) |", page)
        for step in ("verify-bert-fp8", "sweep-fp8"):
            self.assertIn(f"| {step} | not to be had here |", page)

    def test_python_keeps_its_own_libraries_and_the_program_gets_ours(self):
        ours = {"LD_LIBRARY_PATH": "/carried/lib"}
        with mock.patch.dict(os.environ, {"LD_LIBRARY_PATH": "/own"}):
            for step in steps.all_steps():
                path = check.environment_of(step, ours)["LD_LIBRARY_PATH"]
                self.assertEqual(path, "/own" if "{python}" in step.command else "/carried/lib", step.name)

    def test_choices_timed_beside_others_are_remembered_apart(self):
        with mock.patch.dict(os.environ, {}, clear=True):
            for step in steps.all_steps():
                place = check.environment_of(step, {"PATH": "/bin"}).get("DEFORMER_BENCH_CACHE_DIR")
                self.assertEqual(place is not None, not step.alone and "{python}" not in step.command, step.name)

    def test_processors_newer_than_the_library_get_its_widest_kernels(self):
        self.assertEqual(device.blas_core({"avx2", "fma", "avx512f"}), {"OPENBLAS_CORETYPE": "SkylakeX"})
        self.assertEqual(device.blas_core({"avx2", "fma"}), {"OPENBLAS_CORETYPE": "Haswell"})
        self.assertEqual(device.blas_core({"sse3"}), {})
        with mock.patch.dict(os.environ, {"OPENBLAS_CORETYPE": "Zen"}):
            self.assertEqual(device.environment()["OPENBLAS_CORETYPE"], "Zen")

    def test_without_pytorch_the_program_makes_its_own_weights(self):
        build = self.pretend('echo "$@" >> ' + self.path("asked") + "\nexit 0\n")
        with mock.patch.object(check, "has_torch", lambda: False):
            _code, page = self.run_check(build, "--only", "checkpoints,sweep-large,sweep-dense")
        self.assertIn("| checkpoints | skipped: PyTorch is not there |", page)
        with open(self.path("asked"), encoding="utf-8") as file:
            asked = file.read()
        self.assertIn("--model bert-large", asked)
        self.assertIn("--model bert-base", asked)

    def test_the_toolkits_folders_are_searched_whatever_their_layout(self):
        wanted = [self.path(folder) for folder in ("lib64", "lib", "extras/CUPTI/lib64")]
        for folder in wanted:
            os.makedirs(folder)
        with mock.patch.dict(os.environ, {"CUDA_HOME": self.at}):
            self.assertEqual([folder for folder in device.library_folders() if folder.startswith(self.at)], wanted)

    def test_a_budget_that_is_spent_is_said(self):
        _code, page = self.run_check(self.pretend("exit 0\n"), "--only", "list", "--budget", "0.01")
        self.assertIn("| list | out of budget |", page)

    def test_a_step_that_hangs_is_ended(self):
        step = steps.Step("hang", "", ["sleep", "60"], 1)
        with mock.patch.object(check, "WORK", self.at):
            self.assertEqual(check.run_step(step, {}, dict(os.environ), 0.2), "unfinished after 0 s")

    def test_a_step_that_is_ended_may_write_down_what_it_has_and_leaves_nobody_behind(self):
        script = (f"trap 'echo kept > {self.path('kept')}; exit 130' INT\n"
                  f"(trap '' INT; sleep 3; echo late > {self.path('late')}) &\nwait\nwait\n")
        step = steps.Step("hang", "", ["bash", "-c", script], 1)
        with mock.patch.object(check, "WORK", self.at), mock.patch.object(check, "GRACE_S", 0.5):
            self.assertEqual(check.run_step(step, {}, dict(os.environ), 1.0), "unfinished after 1 s")
        self.assertTrue(os.path.exists(self.path("kept")))
        time.sleep(2.7)
        self.assertFalse(os.path.exists(self.path("late")), "a process of the step lived on")

    def intervals(self):
        """What ran when, by what the pretended program wrote down: [begin, end, its arguments]."""
        with open(self.path("ran"), encoding="utf-8") as file:
            rows = [line.split(" ", 2) for line in file]
        return [(float(begin), float(ended), asked) for begin, ended, asked in rows]

    def test_steps_that_time_nothing_run_beside_each_other_and_timed_ones_alone(self):
        build = self.pretend('begin=$(date +%s.%N)\nsleep 0.4\necho "$begin $(date +%s.%N) $*" >> ' + self.path("ran") + "\n")
        with mock.patch.object(os, "cpu_count", lambda: 16), mock.patch.object(check, "has_torch", lambda: False):
            _code, page = self.run_check(build, "--only", "verify-bert,sweep-dense,sweep-squad-b1")
        ran = [one for one in self.intervals() if "report" not in one[2].split()[0]]
        verified = [one for one in ran if one[2].startswith("verify")]
        self.assertEqual(len(verified), len(steps.DTYPES))
        self.assertLess(max(one[0] for one in verified), min(one[1] for one in verified), "all at once")
        for swept in [one for one in ran if one[2].startswith("sweep")]:
            for other in ran:
                self.assertTrue(other is swept or other[1] <= swept[0] or swept[1] <= other[0], (swept, other))
        order = [line.split(" ")[1] for line in page.splitlines() if line.startswith(("| verify-", "| sweep-"))]
        self.assertEqual(order, [step.name for step in steps.all_steps() if step.name in order])

    def test_a_budget_is_kept_and_what_had_no_time_says_so(self):
        build = self.pretend('[ "$1" = report ] && exit 0\nsleep 30\n')
        begin = time.monotonic()
        with mock.patch.object(check, "LAST_S", 0.5), mock.patch.object(check, "LEAST_S", 0.3), \
                mock.patch.object(check, "GRACE_S", 0.2), mock.patch.object(check, "has_torch", lambda: False):
            code, page = self.run_check(build, "--only", "verify-bert-f32,sweep-large,sweep-dense", "--budget", "0.05")
        self.assertLess(time.monotonic() - begin, 3.0)
        self.assertEqual(code, 0)
        self.assertIn("| verify-bert-f32 | unfinished after 1 s |", page)
        self.assertRegex(page, r"\| sweep-large \| unfinished after [12] s \|")
        self.assertIn("| sweep-dense | out of budget |", page)

    def test_what_verify_skipped_stands_in_the_page_with_the_reason(self):
        def row(directory, **more):
            return {"directory": "golden/" + directory, "status": "ok", "max_abs": None, "cosine_min": None, "rule": None,
                    "reason": None} | more
        rule = {"rule": "row cosine >= 0.999", "max_abs": 2.0}
        rows = [row("bert-span", cosine_min=0.9999999, **rule), row("bert-span", cosine_min=0.99999, **rule),
                row("bert-span", status="FAILED", cosine_min=0.5, **rule),
                row("bert-bf16", status="skipped", reason="heads of 5"), row("bert-erf", status="skipped", reason="heads of 9")]
        build = self.pretend("cat <<'END'\n" + json.dumps({"rows": rows}) + "\nEND\necho warning >&2\n")
        _code, page = self.run_check(build, "--only", "verify-bert-bf16,verify-bert-f16")
        self.assertIn("| bert ok (2 of 3 cases, row cosine 0.500000, 2 directories not served) |", page)
        self.assertIn("| bert-bf16 | bf16, f16 | heads of 5 |\n| bert-erf | bf16, f16 | heads of 9 |", page)

    def test_the_sanitizers_count_stands_in_the_page_and_a_step_that_failed_says_why(self):
        build = self.pretend("echo '[100%] bad | news' >&2\nexit 1\n")
        sanitizer = support.write(self.path("compute-sanitizer"), "#!/bin/sh\necho '========= ERROR SUMMARY: 0 errors'\n")
        os.chmod(sanitizer, 0o755)
        with mock.patch.dict(os.environ, {"PATH": self.at + ":" + os.environ["PATH"]}):
            _code, page = self.run_check(build, "--only", "sanitizer-memcheck-g,sanitizer-memcheck-l,sweep-dense")
        self.assertIn("| zero errors | memcheck-golden ok (0 errors); memcheck-libraries ok (0 errors) |", page)
        self.assertIn("| sweep-dense | FAILED (exit 1) ([100%] bad / news) |", page)
        self.assertNotIn("What the sanitizer found", page)

    def test_what_the_sanitizer_found_has_a_page_of_its_own_with_its_text(self):
        build = self.pretend("exit 0\n")
        said = ("========= COMPUTE-SANITIZER\n========= Error: Race reported between Write access at f+0x10\n"
                "=========     and Read access at f+0x20 [8 hazards]\n========= \na line of the program\n"
                "========= Target application returned an error\n"
                "========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)\n")
        sanitizer = support.write(self.path("compute-sanitizer"),
                                  "#!/bin/sh\ncat <<'END'\n" + said + "END\necho 'error: an illegal memory access' >&2\nexit 9\n")
        os.chmod(sanitizer, 0o755)
        with mock.patch.dict(os.environ, {"PATH": self.at + ":" + os.environ["PATH"]}):
            code, page = self.run_check(build, "--only", "sanitizer-racecheck-early", suffix="-sanitizer.md")
        self.assertEqual(code, 1)
        self.assertIn("compute-sanitizer, 20", page.splitlines()[0])
        self.assertIn("\n".join(["```", " Error: Race reported between Write access at f+0x10",
                                 "     and Read access at f+0x20 [8 hazards]", "the program said:",
                                 "error: an illegal memory access", "```"]), page)
        self.assertIn("first: Error: Race reported between Write access at f+0x10; the program: error: an illegal memory access",
                      page)


    def control(self, code, said, summary="1 hazard displayed (1 error, 0 warnings)", torch=True):
        """Both steps under a sanitizer that ends so: whether the check failed, and its page."""
        build = self.pretend("exit 0\n")
        sanitizer = support.write(self.path("compute-sanitizer"), "#!/bin/sh\n"
                                  f"echo '========= RACECHECK SUMMARY: {summary}'\n"
                                  f"case \"$*\" in *torch_product.py*) echo '{said}' >&2; exit {code};; esac\nexit 0\n")
        os.chmod(sanitizer, 0o755)
        with mock.patch.dict(os.environ, {"PATH": self.at + ":" + os.environ["PATH"]}), \
                mock.patch.object(check, "has_torch", lambda: torch):
            return self.run_check(build, "--only", "sanitizer-control,sanitizer-racecheck-f32", suffix="-sanitizer.md")

    def test_what_the_tool_finds_in_a_librarys_kernel_alone_is_an_answer_and_no_failure(self):
        code, page = self.control(9, "linear 24x96: an illegal memory access")
        self.assertEqual(code, 0)
        told = "found something (1 hazard displayed (1 error, 0 warnings); the program: linear 24x96: an illegal memory access)"
        self.assertIn(f"| sanitizer-control | {told} |", page)
        self.assertIn("### sanitizer-control (the tool on a library's kernel alone): " + told, page)
        rows = {name: measured for name, _goal, measured in verdicts.sanitizer_rows(
            [{"step": "sanitizer-control", "outcome": verdicts.FOUND}, {"step": "sanitizer-racecheck-f32", "outcome": "ok"}])}
        self.assertEqual(rows, {"compute-sanitizer (`--only sanitizer`, a run of its own)": "racecheck-f32 ok",
                                "compute-sanitizer's racecheck, the tool on a library's kernel alone": "found something"})

    def test_a_control_that_is_clean_tells_what_it_ran_and_one_that_could_not_run_is_no_answer(self):
        clean = "0 hazards displayed (0 errors, 0 warnings)"
        code, page = self.control(0, "linear 24x96: 0.0073 apart", clean)
        self.assertEqual(code, 0)
        self.assertIn(f"| sanitizer-control | ok ({clean}; the program: linear 24x96: 0.0073 apart) |", page)
        code, page = self.control(1, "no device", clean)
        self.assertEqual(code, 1)
        self.assertIn("| sanitizer-control | FAILED (exit 1) (" + clean + "; the program: no device) |", page)
        code, page = self.control(1, "no device", clean, torch=False)
        self.assertEqual(code, 0)
        self.assertIn("| sanitizer-control | skipped: PyTorch is not there", page)


class Figures(support.TestCase):
    def test_the_first_thing_that_the_sanitizer_found_is_told(self):
        said = ("========= COMPUTE-SANITIZER\n========= Error: Race reported between Write access at f+0x10\n"
                "========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)\n")
        self.assertEqual(verdicts.sanitized(support.write(self.path("race"), said)),
                         "1 hazard displayed (1 error, 0 warnings), first: Error: Race reported between Write access at f+0x10")

    def test_half_a_line_of_a_step_that_was_ended_is_left_out(self):
        self.assertEqual(read_lines(support.write(self.path("torn"), '{"a":1}\n{"a":2}\n{"a":')), [{"a": 1}, {"a": 2}])

    def shows(self, records, peers, outcomes=()):
        return {name: measured for name, _goal, measured in report.shows(report.Findings(records, peers), outcomes)}

    def test_nothing_measured_is_open_everywhere(self):
        self.assertEqual({report.OPEN}, set(self.shows([], []).values()))

    def test_each_figure_is_that_of_its_own_records(self):
        squad = {"task": "squad", "question": 27, "passage": 293, "split": 9, "variant": "cached", "batch": 32}
        speedup = {"median": 3.0, "ci_low": 2.9, "ci_high": 3.1, "flop_ratio": 3.2, "efficiency": 0.9375}
        records = [
            record("large", 16.0, point={"batch": 32}, achieved={"gflops": 500_000.0}),
            record("base", 0.8, point={"dtype": "f32"}),
            record("base", 9.9, point={"cold": True}),
            record("base", 0.45),
            record("base", 4.0, point=squad, speedup=speedup),
            record("base", 4.3, point=squad | {"cache_at": "pinned"}, speedup=speedup),
            record("base", 8.0, point={"batch": 32}, throughput={"tokens_per_s": 1e6}),
            record("base", 5.0, point={"batch": 32, "lengths": "uniform:32-384", "passage": 350},
                   throughput={"tokens_per_s": 0.95e6}),
        ]
        peers = [{"what": "gemm", "tflops": 650.0}, {"what": "gemm", "tflops": 700.0}]
        peers += [{"what": "model", "model": "large", "batch": 32, "tokens": 384, "mode": mode, "median_ms": ms}
                  for mode, ms in (("eager", 30.0), ("compile", 20.0), ("sdpa", 24.0))]
        peers += [{"what": "model", "model": "base", "batch": 1, "tokens": 384, "mode": "compile-graphs", "median_ms": 0.9},
                  {"what": "model", "model": "base", "batch": 1, "tokens": 384, "mode": "compile", "failed": "no"}]
        shows = self.shows(records, peers)
        self.assertEqual(shows["BERT-large bf16 b32 L384, share of the measured bf16 GEMM rate"], "500 of 700 TFLOP/s: 71.4 %")
        self.assertEqual(shows["the same, over the best PyTorch mode"], "16.000 ms beside 20.000 ms of PyTorch compile: 1.250x")
        self.assertEqual(shows["BERT-base b1 L384 bf16"], "0.450 ms")
        self.assertTrue(shows["the same, over torch.compile with CUDA graphs"].endswith("2.000x"))
        self.assertEqual(shows["cached, squad k=9 b32: speedup / FLOP ratio"], "3.00x / 3.20x = 0.938")
        self.assertEqual(shows["cached, squad k=9 b1: speedup / FLOP ratio"], report.OPEN)
        self.assertTrue(shows["cached passages in pinned host memory, squad k=9 b32"].startswith("4.300 ms, +0.300 ms"))
        self.assertTrue(shows["cached passages in pinned host memory, squad k=9 b32"].endswith("hidden: 75 % of 0.200 ms"))
        self.assertEqual(shows["cached passages in pageable host memory, squad k=9 b32"], report.OPEN)
        self.assertTrue(shows["uniform:32-384 b32, time per real token over dense"].endswith("1.053x"))

    def test_records_that_are_not_ok_count_for_nothing(self):
        bad = record("base", 0.1) | {"status": "invalid"}
        self.assertEqual(self.shows([bad], [])["BERT-base b1 L384 bf16"], report.OPEN)


    def test_real_sizes_are_told_by_their_own_run_file(self):
        def checked(dtype, **parity):
            return {"type": "record", "status": "ok", "point": {"variant": "cached", "dtype": dtype}, "parity": {"ok": True} | parity}
        lines = [checked("bf16", rule="row cosine >= 0.999", cosine_min=0.99987, max_abs=1.0),
                 checked("f32", rule="max_abs <= 2.0e-04", cosine_min=1.0, max_abs=1.5e-5),
                 checked("fp8") | {"status": "failed", "reason": "no such product", "parity": None}, {"type": "end"}]
        support.write(self.path("parity-large.jsonl"), "".join(json.dumps(line) + "\n" for line in lines))
        found = {name: measured for name, _goal, measured in verdicts.parity_lines(self.at)}
        self.assertEqual(found["BERT-large at squad's lengths against the reference"],
                         "cached bf16 ok (row cosine 0.999870), cached f32 ok (max_abs 1.5e-05), cached fp8 failed: no such product")
        self.assertEqual(found["BERT-base at squad's lengths against the reference"], verdicts.OPEN)

    def test_engines_are_those_of_each_point(self):
        lines = report.engine_lines([record("base", 1.0, name="a", engines={"products": "cuBLASLt"}),
                                     record("base", 1.0, name="a", engines={"products": "own", "attention": "cuDNN"}),
                                     record("base", 1.0, name="b")])
        self.assertEqual(lines[-1], "| a | products: own; attention: cuDNN |")
        self.assertEqual(len([line for line in lines if line.startswith("| ")]), 2)


class Attribution(support.TestCase):
    def profiled(self):
        def one(variant, median_us, flops, kernels, **more):
            phases = sorted({row["phase"] for row in kernels})
            return {"status": "ok", "point": {"variant": variant}, "time": {"median": median_us * 1e3},
                    "cost": {"flops": flops}, "memory": {"launches": 97}, "phases": [{"name": name} for name in phases],
                    "kernels": {"rows": kernels}} | more

        def kernel(name, phase, count, us):
            return {"name": name, "phase": phase, "count": count, "ns": us * 1e3}
        losses = [("FLOP ratio", 0, 3.0), ("small products", 100e3, 2.0), ("weight bandwidth", 30e3, 1.8), ("load", 0, 1.8),
                  ("fixed cost", 10e3, 1.7), ("remainder", -5e3, 1.75), ("measured ratio", 0, 1.75)]
        waterfall = {"steps": [{"step": step, "what": "", "ns": ns, "ratio": ratio} for step, ns, ratio in losses]}
        full = one("full", 600, 3e9, [kernel("gemm", "encode(joint,0..12)", 84, 500),
                                      kernel("fill", "encode(joint,0..12)", 12, 10), kernel("copy", "embed(joint)", 1, 30)])
        cached = one("cached", 340, 1e9, [kernel("norm_kernel<Bf16, 6>", "encode(question,0..9)", 63, 200),
                                          kernel("gemm", "encode(joint,9..12)", 24, 100)], waterfall=waterfall)
        return {"rows": [full, cached]}

    def test_losses_and_kernels_of_a_layer_are_those_of_the_profile(self):
        support.write(self.path("profile-b32.out"), json.dumps(self.profiled()))
        support.write(self.path("profile-b1.out"), "an error, and no JSON")
        lines = attribution.lines(self.at, report.table)
        rows = dict(line.strip("| ").split(" | ") for line in lines if line.count("|") == 3 and "---" not in line and line[2] != " ")
        self.assertIn("|  | b32 |", lines, "the batch that was profiled, and no other")
        self.assertEqual(rows["small products"], "+100.0 us, leaves 2.00x")
        # full waits 600 - 540 = 60 us, of which a third is as many FLOPs' worth; cached 340 - 300 = 40.
        self.assertEqual(rows["launching and waiting"], "+20.0 us of these")
        self.assertEqual(rows["full: kernels a layer (+ copies and fills)"], "encode(joint,0..12) 7 + 1")
        self.assertEqual(rows["cached: kernels a layer (+ copies and fills)"], "encode(question,0..9) 7; encode(joint,9..12) 8")
        self.assertEqual(rows["cached: kernels alone, of the forward"], "300 of 340 us")
        self.assertIn("| b32 cached | encode(question,0..9) | norm_kernel<Bf16, 6> | 63 | 3.17 | 200.0 |",
                      attribution.kernel_lines(self.at, report.table))

    def test_nothing_profiled_is_no_table(self):
        self.assertEqual(attribution.lines(self.at, report.table) + attribution.kernel_lines(self.at, report.table), [])


class Bundle(InTheSource):
    def test_a_module_without_cudnn_is_told_of(self):
        self.assertTrue(bundle.without_cudnn(support.write(self.path("bare.so"), "a\0cublasLtMatmul\0b")))
        self.assertFalse(bundle.without_cudnn(support.write(self.path("whole.so"), "a\0cudnnBackendExecute\0b")))

    def test_what_is_unpacked_elsewhere_runs_with_its_own_libraries(self):
        if support.OPTIONS.cuda != "1":
            self.skipTest("no CUDA toolkit where this was built: no module to carry")
        target = self.path("carried.tar.gz")
        bundle.pack(support.OPTIONS.build_dir, target)
        with tarfile.open(target) as archive:
            names = archive.getnames()
            archive.extractall(self.at, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(self.at)
        there = self.path("deformer-bench-gpu")
        libraries = os.path.join(there, "build", "release", "lib")
        for prefix in ("libdnnl", "libfmt", "libbenchmark", "libgomp", "libopenblas"):
            self.assertTrue(any(name.startswith(prefix) for name in os.listdir(libraries)), prefix)
        self.assertFalse([name for name in names if "libcuda" in name or "libcublas" in name or "libc.so" in name])
        done = subprocess.run([os.path.join(there, "build", "release", "deformer-bench"), "list"], stdout=subprocess.PIPE,
                              env=support.clean_environment({"LD_LIBRARY_PATH": libraries}), text=True)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"backend +cuda ")
        steps_there = subprocess.run([os.path.join(there, "ci", "gpu-check"), "--dry-run"], stdout=subprocess.PIPE, text=True)
        self.assertIn("verify-bert-f32", steps_there.stdout)


if __name__ == "__main__":
    support.main()
