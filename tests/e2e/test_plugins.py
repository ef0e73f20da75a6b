"""Backends in modules: the example outside of the tree, modules that must be refused, and the CUDA module."""

import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

import support
from support import SHAPE, TINY, folder, records, write

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
import fatbin

_BUILT = {}


def call(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, " ".join(command) + "\n" + done.stdout[-3000:]


def sdk():
    """What a stranger has: the installed header and package, nothing else."""
    if "sdk" not in _BUILT:
        prefix = folder()
        call(support.OPTIONS.cmake, "--install", support.OPTIONS.build_dir, "--component", "plugin-sdk", "--prefix",
             prefix)
        _BUILT["sdk"] = prefix
    return _BUILT["sdk"]


def example():
    """examples/loops, copied away and built against the installed header."""
    if "example" not in _BUILT:
        at = folder()
        source = shutil.copytree(os.path.join(support.OPTIONS.source, "examples", "loops"), os.path.join(at, "loops"))
        call(support.OPTIONS.cmake, "-S", source, "-B", os.path.join(at, "build"), f"-DCMAKE_PREFIX_PATH={sdk()}",
             f"-DCMAKE_CXX_COMPILER={support.OPTIONS.compiler}",
             "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wshadow -Wconversion -Werror")
        call(support.OPTIONS.cmake, "--build", os.path.join(at, "build"))
        _BUILT["example"] = os.path.join(at, "build", "deformer-bench-loops.so")
    return _BUILT["example"]


def module(path, source, *flags):
    """Compiles a module of a few lines."""
    code = write(path + ".cpp", source)
    call(support.OPTIONS.compiler, "-std=c++17", "-shared", "-fPIC", "-I", os.path.join(sdk(), "include"), "-o", path,
         code, *flags)
    return path


def golden(name):
    return os.path.join(support.OPTIONS.source, "tests", "data", "golden", name)


HEADER = "#include <deformer-bench/plugin.h>\nconst deformer_backend* deformer_bench_backend(uint32_t) {\n"


class Example(support.TestCase):
    def test_the_header_is_c(self):
        header = os.path.join(sdk(), "include", "deformer-bench", "plugin.h")
        call(support.OPTIONS.compiler, "-x", "c", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror",
             "-fsyntax-only", header)

    def test_it_is_listed_and_exact(self):
        rows = self.json_ok(["list", "--plugin", example(), "--format", "json"])
        loops = [row for row in rows if row["kind"] == "backend" and row["name"] == "loops"]
        self.assertEqual(len(loops), 1)
        self.assertIsNone(loops[0]["unavailable"])
        for name in ("bert-span", "bert-classes", "bert-tanh", "bert-long"):
            rows = self.json_ok(["verify", golden(name), "--plugin", example(), "--backend", "loops", "--format",
                                 "json"])
            self.assertTrue(rows and all(row["ok"] for row in rows), name)

    def test_it_is_swept_beside_the_cpu_with_parity_ok(self):
        self.run_ok(["sweep", *TINY, *SHAPE, "--plugin", example(), "--backend", "cpu,loops", "-b", "2", "-r", "2",
                     "-c", "2", "-o", "out.jsonl"])
        found = records(self.path("out.jsonl"))
        self.assertEqual(sorted({r["point"]["backend"] for r in found}), ["cpu", "loops"])
        self.assertEqual(len(found), 6)
        for record in found:
            self.assertEqual((record["status"], record["parity"]["ok"]), ("ok", True), record["name"])
            self.assertTrue(all(phase["median_ns"] > 0 for phase in record["phases"]), record["name"])
        cached = next(r for r in found if r["point"]["backend"] == "loops" and r["point"]["variant"] == "cached")
        self.assertIn("--plugin " + example(), cached["reproduce"])

    def test_another_module_is_another_build(self):
        self.run_ok(["sweep", *TINY, *SHAPE, "--plugin", example(), "--backend", "loops", "-o", "out.jsonl"])
        again = ["sweep", *TINY, *SHAPE, "--backend", "loops", "-o", "out.jsonl"]
        other = shutil.copy(example(), self.path("deformer-bench-loops.so"))
        self.run_ok([*again, "--plugin", other])
        self.assertEqual(len(records(self.path("out.jsonl"))), 3, "the same code, measured once")
        with open(other, "ab") as file:
            file.write(b"\0")
        self.assertIn("build", self.run_ok([*again, "--plugin", other], code=2).err)

    def test_it_is_found_beside_the_program_and_where_it_is_installed(self):
        for at in ("plugins", "../lib/deformer-bench/plugins"):
            place = folder()
            program = os.path.join(place, "bin", "deformer-bench")
            os.makedirs(os.path.dirname(program))
            shutil.copy(support.PROGRAM, program)
            plugins = os.path.normpath(os.path.join(place, "bin", at))
            os.makedirs(plugins)
            shutil.copy(example(), plugins)
            done = subprocess.run([program, "verify", golden("bert-span"), "--backend", "loops"],
                                  env=support.clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_profile_says_that_it_records_no_operations(self):
        """Its table tells phases alone, which profile can't be made of."""
        result = self.run_ok(["profile", "--model", "bert-tiny", *SHAPE, "--threads", "1", "--rounds", "10", "--plugin",
                              example(), "--backend", "loops"], code=4)
        self.assertIn("records no operations", result.err)

    def test_what_it_does_not_support_is_said_in_its_words(self):
        self.assertIn("loops computes in f32 only",
                      self.run_ok(["sweep", *TINY, *SHAPE, "--plugin", example(), "--backend", "loops", "--dtype",
                                   "bf16"], code=3).err)
        self.assertIn("loops computes BERT only",
                      self.run_ok(["verify", golden("xlnet-span"), "--plugin", example(), "--backend", "loops"],
                                  code=3).err)


    def test_verify_skips_the_models_it_can_not_serve_and_verifies_the_others(self):
        asked = ["verify", golden("xlnet-span"), golden("bert-span"), golden("xlnet-erf"), "--plugin", example(),
                 "--backend", "loops"]
        rows = self.json_ok([*asked, "--format", "json"])
        skipped = [row for row in rows if row["status"] == "skipped"]
        self.assertEqual({os.path.basename(row["directory"]) for row in skipped}, {"xlnet-span", "xlnet-erf"})
        for row in skipped:
            self.assertIn("loops computes BERT only", row["reason"])
            self.assertEqual({row[field] for field in ("name", "max_abs", "cosine_min", "tolerance", "ok")}, {None})
        ran = [row for row in rows if row["status"] == "ok"]
        self.assertEqual(len(ran) + 2, len(rows))
        self.assertTrue(ran and all(row["ok"] and row["reason"] is None for row in ran))
        lines = self.run_ok(asked)
        self.assertRegex(lines.out, r"xlnet-erf  skipped: loops computes BERT only")
        self.assertRegex(lines.out, rf"{len(ran)} of {len(ran)} cases ok, worst max_abs \S+, 2 directories skipped\n$")
        self.assertIn("2 directories skipped", lines.err)

    def test_verify_of_nothing_that_can_be_served_is_3(self):
        done = self.run_ok(["verify", golden("xlnet-span"), golden("xlnet-erf"), "--plugin", example(), "--backend",
                            "loops"], code=3)
        self.assertIn("loops computes BERT only", done.err)
        self.assertIn("the other can't be served either", done.err)


class Refused(support.TestCase):
    """Every module that is none: exit 3 with the reason where it is asked for, a row in `list`, never a crash."""

    def refused(self, path, reason, name=None):
        result = self.run_ok(["sweep", *TINY, *SHAPE, "--plugin", path, "--backend", name or "cpu"], code=3)
        self.assertRegex(result.err, reason)
        self.assertIn(path, result.err)
        self.assertEqual(result.out, "")
        rows = self.json_ok(["list", "--plugin", path, "--format", "json"])
        listed = [row for row in rows if row["kind"] == "backend" and row["unavailable"]]
        self.assertTrue(any(re.search(reason, row["unavailable"]) for row in listed), listed)

    def test_no_such_file(self):
        self.assertIn("found no file", self.run_ok(["list", "--plugin", "absent.so"], code=2).err)
        self.assertIn("found no file", self.run_ok(["list", "--plugin", self.at], code=2).err)

    def test_not_a_module(self):
        self.refused(write(self.path("text.so"), "not a module\n"), "can't be loaded as a module")
        self.refused(write(self.path("empty.so"), ""), "can't be loaded as a module")

    def test_torn(self):
        with open(example(), "rb") as file:
            whole = file.read()
        for length in (80, 700, 3000, len(whole) // 2):  # in the headers, in the first segment, between segments
            with open(self.path("torn.so"), "wb") as file:
                file.write(whole[:length])
            self.refused(self.path("torn.so"), "can't be loaded as a module")

    def test_no_entry_point(self):
        self.refused(module(self.path("other.so"), "int nothing;\n"), "exports no function deformer_bench_backend")

    def test_a_symbol_that_is_nowhere(self):
        self.refused(module(self.path("open.so"), "extern \"C\" int nowhere();\n" + HEADER +
                            "nowhere(); return nullptr; }\n"), "undefined symbol: nowhere")

    def test_another_abi(self):
        self.refused(module(self.path("old.so"), HEADER +
                            "static deformer_backend t{}; t.abi = 99; t.size = sizeof t; return &t; }\n"),
                     "plugin ABI 99, this program 1")

    def test_a_shorter_table(self):
        self.refused(module(self.path("short.so"), HEADER +
                            "static deformer_backend t{}; t.abi = DEFORMER_PLUGIN_ABI; t.size = 24; return &t; }\n"),
                     "24 bytes")

    def test_no_table(self):
        self.refused(module(self.path("none.so"), HEADER + "return nullptr; }\n"), "returned no backend")

    def test_a_table_of_nothing(self):
        self.refused(module(self.path("hollow.so"), HEADER + "static deformer_backend t{}; "
                            "t.abi = DEFORMER_PLUGIN_ABI; t.size = sizeof t; return &t; }\n"), "lacks the function")

    def test_a_name_that_is_taken(self):
        with open(os.path.join(support.OPTIONS.source, "examples", "loops", "module.cpp"), encoding="utf-8") as file:
            code = file.read().replace('out->name = "loops"', 'out->name = "cpu"')
        at = os.path.join(support.OPTIONS.source, "examples", "loops")
        path = module(self.path("cpu.so"), code, "-I", at, os.path.join(at, "session.cpp"), os.path.join(at, "bert.cpp"))
        self.assertIn("'cpu'", self.run_ok(["list", "--plugin", path], code=2).err)

    def test_a_broken_module_beside_the_program_disturbs_nobody(self):
        place = folder()
        program = shutil.copy(support.PROGRAM, os.path.join(place, "deformer-bench"))
        os.makedirs(os.path.join(place, "plugins"))
        write(os.path.join(place, "plugins", "deformer-bench-bad.so"), "bad\n")
        ask = lambda *args: subprocess.run([program, *args], env=support.clean_environment(), stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE, text=True)
        self.assertEqual(ask("verify", golden("bert-span"), "--backend", "cpu").returncode, 0)
        self.assertRegex(ask("list").stdout, r"backend +bad .*can't be loaded as a module")
        asked = ask("verify", golden("bert-span"), "--backend", "bad")
        self.assertEqual(asked.returncode, 3)
        self.assertIn("can't be loaded as a module", asked.stderr)


class Placed(support.TestCase):
    """--cache-at and --cold are for devices with memory of their own: elsewhere skipped with the reason."""

    def test_pinned_is_skipped_on_the_cpu(self):
        self.run_ok(["sweep", *TINY, *SHAPE, "--cache-at", "device,pinned,pageable", "-o", "out.jsonl"])
        found = {r["point"].get("cache_at", "device"): r for r in records(self.path("out.jsonl"))
                 if r["point"]["variant"] == "cached"}
        self.assertEqual({at: r["status"] for at, r in found.items()},
                         {"device": "ok", "pinned": "skipped", "pageable": "skipped"})
        self.assertIn("/at-pinned/", found["pinned"]["name"])
        self.assertNotIn("/at-", found["device"]["name"])
        self.assertIn("--cache-at pinned", found["pinned"]["reason"])
        self.assertIn("--cache-at pinned", found["pinned"]["reproduce"])
        self.assertEqual(len({r["group"] for r in found.values()}), 1)

    def test_cold_is_not_to_be_had_on_the_cpu(self):
        self.assertIn("--cold", self.run_ok(["sweep", *TINY, *SHAPE, "--cold"], code=3).err)

    def test_a_place_that_is_none(self):
        self.assertIn("device pinned pageable", self.run_ok(["sweep", *TINY, *SHAPE, "--cache-at", "moon"], code=2).err)


class Cuda(support.TestCase):
    def setUp(self):
        super().setUp()
        if support.OPTIONS.cuda != "1":
            self.skipTest("no CUDA toolkit where this was built: there is no CUDA module to look at")
        self.module = os.path.join(os.path.dirname(support.PROGRAM), "plugins", "deformer-bench-cuda.so")

    def test_the_module_holds_code_for_every_generation(self):
        """All of them unless the build was told to make fewer, which then must be those."""
        with open(os.path.join(support.OPTIONS.build_dir, "CMakeCache.txt"), encoding="utf-8") as cache:
            asked = re.search(r"^DEFORMER_CUDA_ARCHITECTURES:\w+=(.*)$", cache.read(), re.MULTILINE).group(1)
        found = fatbin.architectures(self.module)
        if asked != "80-real;90-real;100":
            self.skipTest(f"built with DEFORMER_CUDA_ARCHITECTURES={asked}; it holds {found}")
        self.assertEqual(found, [("ptx", 100), ("sm", 80), ("sm", 90), ("sm", 100)])

    def test_it_loads_and_exports_its_entry_alone(self):
        names = subprocess.run(["nm", "-D", "--defined-only", self.module], stdout=subprocess.PIPE, text=True).stdout
        self.assertEqual([line.split()[-1] for line in names.splitlines()], ["deformer_bench_backend"])
        rows = self.json_ok(["list", "--format", "json"])
        cuda = next(row for row in rows if row["kind"] == "backend" and row["name"] == "cuda")
        self.assertNotIn("can't be loaded", cuda["unavailable"] or "")

    def test_neither_the_program_nor_the_module_needs_a_driver_to_start(self):
        for file in (support.PROGRAM, self.module):
            needed = subprocess.run(["readelf", "-d", file], stdout=subprocess.PIPE, text=True).stdout
            self.assertNotRegex(needed, r"NEEDED.*(libcuda|libcudart|libcublas|libcudnn|libnvidia|libcupti)", file)

    def test_a_machine_without_a_driver_is_told_so(self):
        if glob.glob("/dev/nvidia[0-9]*"):
            self.skipTest("this machine has a device")
        for arguments in (["sweep", *TINY, *SHAPE, "--backend", "cuda"], ["verify", golden("bert-span"), "--backend", "cuda"]):
            self.assertRegex(self.run_ok(arguments, code=3).err, "no NVIDIA driver|no device|too old|stub")


if __name__ == "__main__":
    support.main()
