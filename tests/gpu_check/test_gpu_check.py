"""ci/gpu-check where there is no device: every step's command is one the program takes, outcomes become files, figures
are those of the records, the bundle holds what it needs. What needs a device was never run here."""

import json
import os
import subprocess
import sys
import tarfile
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "..", "ci", "gpu.d")]

import support
import bundle
import check
import device
import report
import steps


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
        self.assertEqual(done.stdout.count("(at most"), len(steps.DTYPES) + 1)
        self.assertEqual(self.gpu_check("--dry-run", "--only", "nothing").returncode, 2)

    def test_the_steps_cover_golden_data_dtypes_places_peers_and_sanitizer(self):
        everything = steps.all_steps()
        names = [step.name for step in everything]
        self.assertEqual(len(names), len(set(names)))
        verified = {word for step in everything if step.name.startswith("verify-") for word in step.command}
        self.assertTrue({path.rsplit("/", 1)[0] for path in steps.goldens()} <= verified)
        commands = "\n".join(" ".join(step.command) for step in everything)
        for wanted in ("--batch 1,32,128", "--cache-at device,pinned,pageable", "uniform:32-384", "--cold", "--split 20",
                       "--dtype fp8", "--tool memcheck", "--tool racecheck", "gemm"):
            self.assertIn(wanted, commands)

    def test_the_program_takes_every_sweep(self):
        """On the cpu, with built-in models and without what is for devices alone: a dry run of each."""
        for step in steps.sweep_steps():
            words = [{"{large}": "bert-large", "{base}": "bert-base", "cuda": "cpu"}.get(word, word)
                     for word in step.command[1:]]
            at = words.index("--out")
            del words[at:at + 3]
            words = [word for word in words if word != "--cold"]
            words[words.index("--dtype") + 1] = "f32"
            if "--cache-at" in words:
                words[words.index("--cache-at") + 1] = "device"
            self.run_ok([*words, "--dry-run"])

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
        os.makedirs(os.path.join(build, "plugins"))
        support.write(os.path.join(build, "plugins", "deformer-bench-cuda.so"), "")
        program = support.write(os.path.join(build, "deformer-bench"), "#!/bin/sh\n" + script)
        os.chmod(program, 0o755)
        return build

    def run_check(self, build, *arguments):
        argv = ["gpu-check", "--build", build, "--results", self.path("results"), "--name", "fake", *arguments]
        with mock.patch.object(sys, "argv", argv), mock.patch.object(device, "why_none", lambda: ""), \
                mock.patch.object(device, "facts", lambda: {"name": "Fake H100", "driver_version": "580"}), \
                mock.patch.object(check, "WORK", self.path("work")):
            with self.assertRaises(SystemExit) as left:
                check.main()
        results = self.path("results")
        page = next(name for name in os.listdir(results) if name.endswith(".md"))
        self.assertRegex(page, r"^gpu-fake-\d{4}-\d\d-\d\d\.md$")
        with open(os.path.join(results, page), encoding="utf-8") as file:
            return left.exception.code, file.read()

    def test_outcomes_are_told_apart(self):
        build = self.pretend('case "$*" in *fp8*) exit 3;; *xlnet*"--dtype bf16"*) exit 1;; esac\nexit 0\n')
        code, page = self.run_check(build, "--only", "verify-bert,verify-xlnet")
        self.assertEqual(code, 1)
        self.assertIn("bert-f32 ok, bert-tf32 ok, bert-bf16 ok, bert-f16 ok, bert-fp8 not to be had here", page)
        self.assertIn("xlnet-bf16 FAILED (exit 1)", page)
        self.assertIn("open: not measured", page)
        code, page = self.run_check(self.repaired(build), "--only", "verify-xlnet-bf16")
        self.assertEqual(code, 0, "a step that is run again replaces what it said before")
        self.assertIn("xlnet-bf16 ok", page)
        self.assertIn("bert-f32 ok", page)

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
                self.assertEqual(path, "/own" if step.command[0] == "{python}" else "/carried/lib", step.name)

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


class Figures(support.TestCase):
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
        self.assertEqual(shows["the same, over the best PyTorch mode"], "16.000 ms beside 20.000 ms of PyTorch compile: 1.25x")
        self.assertEqual(shows["BERT-base b1 L384 bf16"], "0.450 ms")
        self.assertTrue(shows["the same, over torch.compile with CUDA graphs"].endswith("2.00x"))
        self.assertEqual(shows["cached, squad k=9 b32: speedup / FLOP ratio"], "3.00x / 3.20x = 0.94")
        self.assertEqual(shows["cached, squad k=9 b1: speedup / FLOP ratio"], report.OPEN)
        self.assertTrue(shows["cached passages in pinned host memory, squad k=9 b32"].startswith("4.300 ms, +0.300 ms"))
        self.assertTrue(shows["cached passages in pinned host memory, squad k=9 b32"].endswith("hidden: 75 % of 0.200 ms"))
        self.assertEqual(shows["cached passages in pageable host memory, squad k=9 b32"], report.OPEN)
        self.assertTrue(shows["uniform:32-384 b32, time per real token over dense"].endswith("1.053x"))

    def test_records_that_are_not_ok_count_for_nothing(self):
        bad = record("base", 0.1) | {"status": "invalid"}
        self.assertEqual(self.shows([bad], [])["BERT-base b1 L384 bf16"], report.OPEN)


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
