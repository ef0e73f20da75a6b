"""The verbs as a user meets them: what they print, what they record, how they end."""

import glob
import json
import math
import os
import re
import shlex
import shutil
import signal
import time

import support
from support import SHAPE, TINY, canonical_hash, checkpoint, latest, median, parse, read_run_file, records, write

VERBS = ["sweep", "report", "compare", "cost", "verify", "machine", "list"]
GROUP_FREE = {"variant", "split", "cache_dtype", "passages", "cache_at"}  # not part of a group


def ratios(rows, variant="cached"):
    return {row["point"]["split"]: row["speedup"]["flop_ratio"] for row in rows if row["point"]["variant"] == variant}


class Version(support.TestCase):
    def test_says_what_the_program_is_made_of(self):
        out = self.run_ok(["--version"]).out
        for word in (r"^deformer-bench \d+\.\d+\.\d+$", r"^revision \S+", r"^build [0-9a-f]{6,}", r"^backend reference",
                     r"^backend cpu", r"(?i)onednn \d"):
            self.assertRegex(out, re.compile(word, re.M))

    def test_takes_under_50_ms(self):
        best = min(self.run_ok(["--version"]).seconds for _ in range(5))
        print(f"--version: {1000 * best:.1f} ms")
        self.assertLess(best, 0.050)


class Help(support.TestCase):
    def test_of_each_verb_starts_with_an_example_that_parses(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                out = self.run_ok([verb, "--help"]).out
                self.assertTrue(out.startswith(f"Example: deformer-bench {verb}"), out[:200])

    def test_of_each_verb_fits_80_columns(self):
        for words in [[verb] for verb in VERBS] + [["gate", "measure"], ["gate", "files"], ["gate", "history"]]:
            with self.subTest(words=words):
                lines = self.run_ok([*words, "--help"]).out.splitlines()
                self.assertEqual([line for line in lines[1:] if len(line) > 80], [], "only the example may be longer")

    def test_tells_defaults_kinds_of_values_and_environment_twins_once(self):
        out = self.run_ok(["sweep", "--help"]).out
        for words in (r"-k, --split AXIS +AXIS of layers", r"--max-time NUMBER +Seconds a point, at most \(default: 10\)",
                      r"-o, --out FILE +Run file", r"DEFORMER_BENCH_MAX_TIME for --max-time"):
            self.assertRegex(out, words)
        self.assertEqual(out.count("DEFORMER_BENCH_"), 1)

    def test_of_the_program_names_the_verbs(self):
        out = self.run_ok(["--help"]).out
        for verb in VERBS:
            self.assertIn(verb, out)


class Json(support.TestCase):
    """`deformer-bench VERB --format json | jq .` works for every verb."""

    def test_list(self):
        rows = self.json_ok(["list", "--format", "json"])
        names = {(row["kind"], row["name"]) for row in rows}
        for model in ("bert-base", "bert-large", "xlnet-base", "xlnet-large", "minilm-l6", "bert-tiny"):
            self.assertIn(("model", model), names)
        for task in ("squad", "race", "boolq", "mnli", "qqp", "hotpot"):
            self.assertIn(("task", task), names)
        for kind in ("backend", "dtype"):
            self.assertIn(kind, {row["kind"] for row in rows})
        cuda = [row for row in rows if row["name"] == "cuda"]
        self.assertTrue(cuda and cuda[0]["unavailable"], "a missing backend comes with its reason")

    def test_sweep_report_compare(self):
        self.json_ok(["sweep", *TINY, *SHAPE, "-o", "a.jsonl", "--format", "json"])
        self.assertEqual(len(self.json_ok(["report", "a.jsonl", "--format", "json"])), 3)
        self.assertEqual(len(self.json_ok(["compare", "a.jsonl", "a.jsonl", "--format", "json"])), 3)

    def test_dry_run(self):
        rows = self.json_ok(["sweep", *TINY, *SHAPE, "--dry-run", "--format", "json"])
        self.assertEqual(len(rows), 3)
        self.assertFalse(os.path.exists(self.path("deformer-bench.jsonl")), "a dry run writes no file")


class Cost(support.TestCase):
    """The figures of the paper."""

    def test_bert_base_squad_figure_4(self):
        rows = self.json_ok(["cost", "--model", "bert-base", "--task", "squad", "--split", "1:11", "--variant", "cached",
                             "--format", "json"])
        self.assertEqual([f"{v:.1f}" for _, v in sorted(ratios(rows).items())],
                         "1.1 1.2 1.3 1.4 1.6 1.9 2.2 2.6 3.2 4.3 6.4".split())
        for row in rows:
            self.assertNotIn("time", row)
            self.assertEqual(row["type"], "record")
            self.assertEqual(row["key"], canonical_hash(row["point"]))

    def test_bert_large_squad_figure_4(self):
        rows = self.json_ok(["cost", "--model", "bert-large", "--task", "squad", "--split", "13:23", "--variant", "cached",
                             "--format", "json"])
        self.assertEqual([f"{v:.1f}" for _, v in sorted(ratios(rows).items())],
                         "2.0 2.2 2.4 2.6 2.9 3.2 3.7 4.3 5.1 6.4 8.4".split())

    def test_tasks_at_their_default_split(self):
        expected = {("bert-base", "squad"): (9, 3.23), ("bert-base", "race"): (9, 3.42), ("bert-base", "boolq"): (9, 3.48),
                    ("bert-base", "mnli"): (9, 2.21), ("xlnet-base", "squad"): (8, 2.60), ("xlnet-base", "race"): (8, 2.71),
                    ("xlnet-base", "boolq"): (8, 2.74)}
        for (model, task), (split, ratio) in expected.items():
            with self.subTest(model=model, task=task):
                rows = self.json_ok(["cost", "--model", model, "--task", task, "--variant", "cached", "--format", "json"])
                self.assertEqual(list(ratios(rows)), [split])
                self.assertAlmostEqual(ratios(rows)[split], ratio, delta=0.01)

    def test_requested_bytes_fall_as_the_papers_memory_column(self):
        args = ["cost", "--model", "bert-base", "--task", "squad,race,boolq,mnli", "--split", "9", "--variant", "full,cached"]
        rows = self.json_ok([*args, "--format", "json"])
        for full, cached, published in zip(rows[::2], rows[1::2], (70.3, 72.9, 72.0, 56.4)):
            less = 100 * (1 - cached["memory"]["requested_bytes"] / full["memory"]["requested_bytes"])
            self.assertAlmostEqual(less, published, delta=5, msg=cached["name"])
            self.assertAlmostEqual(100 * cached["speedup"]["requested_reduction"], less, places=9)
            self.assertEqual(full["speedup"]["requested_reduction"], 0)
            self.assertIn(f"{less:.1f} %", self.run_ok(args).out)

    def test_race_shares_the_article_without_a_cache(self):
        rows = self.json_ok(["cost", "--model", "bert-base", "--task", "race", "--format", "json"])
        self.assertAlmostEqual(ratios(rows, "decomposed")[9], 2.1, delta=0.06)
        self.assertTrue(all(row["point"]["r"] == 4 for row in rows))
        alone = self.json_ok(["cost", "--model", "bert-base", "--task", "race", "--questions-per-passage", "1", "--format", "json"])
        self.assertAlmostEqual(ratios(alone, "decomposed")[9], 1.02, delta=0.03)

    def test_default_splits(self):
        for model, split in (("bert-base", 9), ("bert-large", 20), ("bert-tiny", 1), ("minilm-l6", 4), ("xlnet-large", 16)):
            rows = self.json_ok(["cost", "--model", model, "--task", "squad", "--variant", "cached", "--format", "json"])
            self.assertEqual(list(ratios(rows)), [split], model)

    def test_console_and_markdown(self):
        args = ["cost", "--model", "bert-base", "--task", "squad"]
        self.assertIn("3.23", self.run_ok(args).out)
        self.assertRegex(self.run_ok(args + ["--format", "markdown"]).out, r"(?m)^\|.*3\.23")


    def test_xlnet_is_counted_in_four_ways(self):
        out = self.run_ok(["cost", "--model", "xlnet-base", "--task", "squad", "--split", "8", "--variant", "full"]).out
        for title in ("nominal", "precomputed", "issued"):
            self.assertIn(title, out)
        self.assertIn("71.0 GFLOP", out)
        self.assertIn("62.0 GFLOP", out)
        self.assertNotIn("nominal", self.run_ok(["cost", "--model", "bert-base", "--task", "squad"]).out)


class Sweep(support.TestCase):
    def sweep(self, *more, code=0, **kwargs):
        args = ["sweep", *TINY, "-o", "out.jsonl", *more]
        return self.run_ok(args, code, **kwargs)

    def records(self):
        return records(self.path("out.jsonl"))

    def test_xlnet_checkpoint(self):
        folder = os.path.join(support.OPTIONS.source, "tests/data/golden/xlnet-span")
        self.run_ok(["sweep", "--rounds", "10", "--model", folder, "--question", "7", "--passage", "15", "--split", "0:3",
                     "-o", "out.jsonl"])
        found = records(self.path("out.jsonl"))
        self.assertEqual(len(found), 9)
        for record in found:
            self.assertEqual(record["status"], "ok", record["reason"])
            self.assertEqual(record["point"]["order"], "passage-first")
            self.assertTrue(record["parity"]["ok"])

    def check_record(self, record, full):
        """All that the contract says of an `ok` record."""
        for name in ("type schema run key group name point status reason set reproduce time speedup cost achieved memory "
                     "phases counters parity").split():
            self.assertIn(name, record)
        self.assertEqual((record["type"], record["schema"], record["status"], record["reason"]), ("record", 1, "ok", None))
        point = record["point"]
        self.assertEqual(record["key"], canonical_hash(point))
        self.assertEqual(record["group"], canonical_hash({k: v for k, v in point.items() if k not in GROUP_FREE}))
        for name in "model question passage batch variant backend dtype threads seed".split():
            self.assertIn(name, point)
        self.assertEqual("split" in point, point["variant"] != "full")
        self.assertEqual("cache_dtype" in point, point["variant"] == "cached")
        self.check_time(record["time"])
        for name in ("flops flops_gemm flops_attention flops_elementwise flops_executed bytes_weights bytes_activations "
                     "bytes_cache_passage").split():
            self.assertIn(name, record["cost"])
        self.assertEqual(record["cost"]["flops"], record["cost"]["flops_gemm"] + record["cost"]["flops_attention"])
        self.assertEqual(record["cost"]["bytes_cache_passage"] > 0, point["variant"] == "cached")
        self.assertEqual({"gflops", "roof_fraction"}, set(record["achieved"]) & {"gflops", "roof_fraction"})
        self.assertAlmostEqual(record["achieved"]["gflops"], record["cost"]["flops"] / record["time"]["median"], places=6)
        for name in ("peak_bytes", "requested_bytes", "rss_peak_bytes"):
            self.assertIn(name, record["memory"])
        self.assertEqual(set(record["engines"]), {"qkv", "out", "ffn1", "ffn2"})
        self.assertLessEqual(set(record["engines"].values()), {"panels", "onednn", "amx_f32"})
        self.assertEqual(sum(phase["flops"] for phase in record["phases"]), record["cost"]["flops"])
        for name in "against sequences max_abs cosine_min tolerance ok".split():
            self.assertIn(name, record["parity"])
        self.assertTrue(record["parity"]["ok"])
        self.assertLessEqual(record["parity"]["max_abs"], record["parity"]["tolerance"])
        if point["variant"] == "full":
            self.assertIsNone(record["speedup"])
        else:
            self.check_speedup(record, full)

    def check_time(self, time_):
        for name in "unit samples round median ci_low ci_high min mean stdev p90 p99 rounds discarded stopped".split():
            self.assertIn(name, time_)
        samples = time_["samples"]
        self.assertEqual((time_["unit"], time_["stopped"]), ("ns", "rounds"))
        self.assertEqual(len(samples), len(time_["round"]))
        self.assertEqual((time_["rounds"], len(set(time_["round"]))), (10, len(time_["round"])))
        self.assertAlmostEqual(time_["median"], median(samples), places=3)
        self.assertAlmostEqual(time_["min"], min(samples), places=3)
        self.assertAlmostEqual(time_["mean"], sum(samples) / len(samples), places=3)
        self.assertTrue(time_["ci_low"] <= time_["median"] <= time_["ci_high"])
        self.assertIsNone(time_["p99"], "ten rounds support no 99th percentile")

    def check_speedup(self, record, full):
        speedup = record["speedup"]
        self.assertEqual(speedup["versus"], {"key": full["key"], "set": record["set"]})
        self.assertEqual(len(speedup["samples"]), len(record["time"]["round"]))
        self.assertAlmostEqual(speedup["median"], median(speedup["samples"]), places=9)
        self.assertTrue(speedup["ci_low"] <= speedup["median"] <= speedup["ci_high"])
        self.assertAlmostEqual(speedup["flop_ratio"], full["cost"]["flops"] / record["cost"]["flops"], places=9)
        self.assertAlmostEqual(speedup["efficiency"], speedup["median"] / speedup["flop_ratio"], places=9)

    def check_all(self, count):
        found = self.records()
        self.assertEqual(len(found), count)
        full = {r["set"]: r for r in found if r["point"]["variant"] == "full"}
        for record in found:
            with self.subTest(record["name"]):
                self.check_record(record, full[record["set"]])
        return found

    def reproduces(self, record, **kwargs):
        """The command that a record gives measures the same point."""
        words = shlex.split(record["reproduce"])
        self.assertEqual(words[0], "deformer-bench")
        self.run_ok(words[1:] + ["-o", "again.jsonl"], **kwargs)
        self.assertIn(record["key"], latest(self.path("again.jsonl")))

    def test_records_are_complete(self):
        result = self.sweep(*SHAPE, env=support.WITH_ROOFS)
        self.assertNotIn("\x1b", result.out + result.err)
        found = self.check_all(3)
        self.assertTrue(all(record["achieved"]["roof_fraction"] > 0 for record in found))
        self.assertEqual([r["name"] for r in found], ["bert-tiny/q4/p16/b1/full/cpu/f32/t1",
                         "bert-tiny/q4/p16/k1/b1/decomposed/cpu/f32/t1", "bert-tiny/q4/p16/k1/b1/cached/cpu/f32/t1"])
        lines = read_run_file(self.path("out.jsonl"))
        self.assertEqual([line["type"] for line in lines], ["run", "record", "record", "record", "end"])
        for name in "id started version build command options machine roofs".split():
            self.assertIn(name, lines[0])
        self.assertEqual(lines[-1]["run"], lines[0]["id"])
        self.assertEqual((lines[-1]["points"], lines[-1]["ok"]), (3, 3))
        for name in "skipped failed invalid wall_s".split():
            self.assertIn(name, lines[-1])
        for record in found[:2]:
            self.reproduces(record)
        self.reproduces(found[2], env=support.WITH_ROOFS)

    def test_the_default_run_file(self):
        self.run_ok(["sweep", *TINY, *SHAPE])
        self.assertEqual(len(records(self.path("deformer-bench.jsonl"))), 3)

    def test_full_is_measured_once_for_every_k(self):
        self.sweep("--question", "4", "--passage", "16", "--split", "0:2")
        found = self.check_all(7)
        self.assertEqual(len({r["set"] for r in found}), 1)

    def test_task_name_and_lengths(self):
        self.sweep("--task", "squad", "--split", "1", "--variant", "full,cached")
        self.assertEqual([r["name"] for r in self.check_all(2)],
                         ["bert-tiny/squad/q27/p293/b1/full/cpu/f32/t1", "bert-tiny/squad/q27/p293/k1/b1/cached/cpu/f32/t1"])

    def test_a_second_time_measures_nothing(self):
        self.sweep(*SHAPE)
        before = self.records()
        result = self.sweep(*SHAPE)
        self.assertEqual(self.records(), before)
        self.assertIn("cached", result.out, "the table is printed all the same")

    def test_fresh_measures_again(self):
        self.sweep(*SHAPE)
        self.sweep(*SHAPE, "--fresh")
        found = self.records()
        self.assertEqual(len(found), 6)
        self.assertEqual(len({r["set"] for r in found}), 2)
        rows = self.json_ok(["report", "out.jsonl", "--format", "json"])
        self.assertEqual({row["set"] for row in rows}, {found[-1]["set"]}, "the latest set wins")

    def test_a_variant_added_later_measures_full_again_in_a_new_set(self):
        self.sweep(*SHAPE, "--variant", "full,cached")
        self.sweep(*SHAPE, "--variant", "full,decomposed,cached")
        first, second = self.records()[:2], self.records()[2:]
        self.assertEqual([r["point"]["variant"] for r in first], ["full", "cached"])
        self.assertEqual([r["point"]["variant"] for r in second], ["full", "decomposed"])
        self.assertEqual(len({r["set"] for r in second} | {r["set"] for r in first}), 2)
        self.assertEqual(second[1]["speedup"]["versus"]["set"], second[0]["set"])
        self.sweep(*SHAPE)
        self.assertEqual(len(self.records()), 4)

    def test_ragged_lengths_drawn(self):
        self.sweep("--question", "4", "--lengths", "uniform:10-20", "--batch", "4", "--split", "1")
        found = self.check_all(3)
        point = found[0]["point"]
        self.assertIn("lengths", point)
        self.assertEqual(point["question"], 4)
        self.assertTrue(6 <= point["passage"] <= 16, "q+p lies in 10..20")
        self.reproduces(found[2])

    def test_ragged_lengths_of_a_file_cost_their_actual_tokens(self):
        write(self.path("lengths.txt"), "4 16\n6 3\n")
        self.sweep("--lengths", "lengths.txt", "--batch", "2", "--split", "1")
        full = self.check_all(3)[0]
        self.assertEqual((full["point"]["question"], full["point"]["passage"]), (6, 16), "the maxima")
        one = lambda q, p: self.json_ok(["cost", "--model", "bert-tiny", "--question", q, "--passage", p, "--split", "1",
                                         "--variant", "full", "--format", "json"])[0]["cost"]["flops"]
        self.assertEqual(full["cost"]["flops"], one(4, 16) + one(6, 3))

    def test_questions_by_candidates(self):
        self.sweep(*SHAPE, "--questions-per-passage", "2", "--candidates", "3")
        found = self.check_all(3)
        self.assertEqual((found[0]["point"]["r"], found[0]["point"]["c"]), (2, 3))
        self.assertIn("/r2/", found[0]["name"])
        self.assertIn("/c3/", found[0]["name"])
        self.reproduces(found[2])

    def test_passage_first(self):
        self.sweep("--task", "mnli", "--split", "1")
        found = self.check_all(3)
        self.assertEqual(found[0]["point"]["order"], "passage-first")
        self.reproduces(found[2])

    def test_real_text_through_a_small_checkpoint(self):
        checkpoint(self.path("small"))
        write(self.path("text.txt"), "You may copy the source code of this free software, and the license is for you. " * 20)
        write(self.path("questions.txt"), "Who may copy the work?\nWhat is the license?\n")
        self.run_ok(["sweep", "--model", "small", "--text", "text.txt", "--questions", "questions.txt", "--rounds", "10",
                     "--threads", "1", "--question", "8", "--passage", "24", "--split", "1", "-o", "out.jsonl"])
        found = self.check_all(3)
        self.assertRegex(found[0]["name"], r"^small@[0-9a-f]{8}/")
        self.assertRegex(found[0]["point"]["text"], r"^[0-9a-f]{8}$")
        self.reproduces(found[2])

    def test_filter_keeps_the_full_that_a_kept_point_needs(self):
        self.sweep(*SHAPE, "--filter", "/cached/")
        self.assertEqual([r["point"]["variant"] for r in self.check_all(2)], ["full", "cached"])

    def test_filter_that_leaves_nothing(self):
        self.sweep(*SHAPE, "--filter", "nothing-is-named-so", code=4)

    def test_quiet(self):
        result = self.sweep(*SHAPE, "--quiet")
        self.assertEqual(result.err, "")

    def test_errors_are_not_quiet(self):
        self.sweep(*SHAPE, "--quiet", "--filter", "nothing-is-named-so", code=4)

    def test_parity_off_leaves_rows_unchecked(self):
        result = self.sweep(*SHAPE, "--parity", "off")
        self.assertTrue(all(r["parity"] is None for r in self.records()))
        self.assertIn("unchecked", result.out)


class Options(support.TestCase):
    """Every option can come from a TOML file and from an environment twin; the command line wins."""

    ARGS = ["sweep", "--model", "bert-tiny", "--threads", "1", *SHAPE, "-o", "out.jsonl"]

    def rounds(self, *more, env=None):
        self.run_ok([*self.ARGS, "--fresh", *more], env=env)
        return records(self.path("out.jsonl"))[-1]["time"]["rounds"]

    def test_precedence(self):
        write(self.path("sweep.toml"), "rounds = 12\n")
        twin = {"DEFORMER_BENCH_ROUNDS": "13"}
        self.assertEqual(self.rounds("--config", "sweep.toml"), 12)
        self.assertEqual(self.rounds(env=twin), 13)
        self.assertEqual(self.rounds("--rounds", "14", env=twin), 14)
        self.assertEqual(self.rounds("--config", "sweep.toml", "--rounds", "14", env=twin), 14)

    def test_a_whole_sweep_from_a_file(self):
        write(self.path("sweep.toml"), 'model = "bert-tiny"\nquestion = "4"\npassage = "8,16"\nsplit = "1"\nthreads = "1"\n'
              'rounds = 10\nout = "file.jsonl"\nvariant = ["full", "cached"]\n')
        self.run_ok(["sweep", "--config", "sweep.toml"])
        self.assertEqual(len(records(self.path("file.jsonl"))), 4)

    def test_the_run_line_holds_the_resolved_options(self):
        self.rounds(env={"DEFORMER_BENCH_ROUNDS": "11"})
        options = read_run_file(self.path("out.jsonl"))[0]["options"]
        self.assertEqual(str(options["rounds"]), "11")


class GoogleBenchmark(support.TestCase):
    """What follows a bare `--` goes to Google Benchmark."""

    ARGS = ["sweep", *TINY, "--question", "4,5", "--passage", "16", "--split", "1", "-o", "out.jsonl"]

    def test_out_holds_the_times_as_counters(self):
        self.run_ok([*self.ARGS, "--", "--benchmark_filter=.*", "--benchmark_out=gb.json"])
        document = parse(support.read_bytes(self.path("gb.json")).decode())
        self.assertEqual(len(document["benchmarks"]), 2, "a group is a benchmark")
        usual = {"name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions", "repetition_index",
                 "threads", "iterations", "real_time", "cpu_time", "time_unit", "label"}
        for benchmark in document["benchmarks"]:
            counters = {k: v for k, v in benchmark.items() if k not in usual}
            self.assertGreaterEqual(len(counters), 3, benchmark)
            self.assertTrue(all(isinstance(v, (int, float)) for v in counters.values()), counters)

    def test_filter_selects_groups(self):
        self.run_ok([*self.ARGS, "--", "--benchmark_filter=q5"])
        self.assertEqual({r["point"]["question"] for r in records(self.path("out.jsonl"))}, {5})

    def test_filter_that_leaves_nothing(self):
        self.run_ok([*self.ARGS, "--", "--benchmark_filter=nothing-is-named-so"], code=4)

    def test_repetitions_are_refused(self):
        result = self.run_ok([*self.ARGS, "--", "--benchmark_repetitions=3"], code=2)
        self.assertIn("benchmark_repetitions", result.err)


class DryRun(support.TestCase):
    ARGS = ["sweep", "--model", "bert-tiny", "--question", "1:50", "--passage", "1:67", "--split", "1", "--dry-run"]

    def best_of_three(self, *more):
        return min((self.run_ok([*self.ARGS, *more]) for _ in range(3)), key=lambda result: result.seconds)

    def test_ten_thousand_points_in_a_second(self):
        result = self.best_of_three("--format", "json")
        rows = parse(result.out)["rows"]
        print(f"dry run of {len(rows)} points: {result.seconds:.2f} s")
        self.assertEqual(len(rows), 50 * 67 * 3)
        self.assertEqual(len({row["key"] for row in rows}), len(rows))
        self.assertLess(result.seconds, 1.0)

    def test_the_console_too(self):
        result = self.best_of_three()
        self.assertLess(result.seconds, 1.0)
        self.assertIn("bert-tiny/q50/p67/k1/b1/cached/cpu/f32", result.out)


class Unavailable(support.TestCase):
    """What this machine or build does not have is exit 3 if all of it is, and skipped otherwise."""

    def test_cuda(self):
        result = self.run_ok(["sweep", *TINY, *SHAPE, "--backend", "cuda"], code=3)
        self.assertRegex(result.err, "(?i)cuda")
        self.assertEqual(result.out, "")

    def test_verify_on_cuda(self):
        golden = sorted(glob.glob(os.path.join(support.OPTIONS.source, "tests/data/golden/*/golden.json")))[0]
        result = self.run_ok(["verify", os.path.dirname(golden), "--backend", "cuda"], code=3)
        self.assertRegex(result.err, "(?i)cuda")

    def test_fp8(self):
        self.assertIn("fp8", self.run_ok(["sweep", *TINY, *SHAPE, "--dtype", "fp8"], code=3).err)

    def test_some_dtypes(self):
        result = self.run_ok(["sweep", *TINY, *SHAPE, "--dtype", "f32,fp8", "-o", "out.jsonl"])
        self.assertRegex(result.err, r"3 (points )?(of \d+ points )?(were )?skipped|skipped[^0-9\n]*3")
        found = records(self.path("out.jsonl"))
        skipped = [r for r in found if r["status"] == "skipped"]
        self.assertEqual({r["point"]["dtype"] for r in skipped}, {"fp8"})
        self.assertEqual((len(skipped), len(found)), (3, 6))
        self.assertTrue(all(r["reason"] for r in skipped))
        end = read_run_file(self.path("out.jsonl"))[-1]
        self.assertEqual((end["points"], end["ok"], end["skipped"]), (6, 3, 3))
        self.run_ok(["sweep", *TINY, *SHAPE, "--dtype", "f32,fp8", "-o", "out.jsonl"])
        self.assertEqual(len(records(self.path("out.jsonl"))), 6, "skipped for the same reason counts as done")

    def test_some_splits(self):
        self.run_ok(["sweep", *TINY, "--question", "4", "--passage", "16", "--split", "1:3", "-o", "out.jsonl"])
        skipped = [r for r in records(self.path("out.jsonl")) if r["status"] == "skipped"]
        self.assertEqual({r["point"]["split"] for r in skipped}, {3})

    def test_xlnet_question_first(self):
        result = self.run_ok(["sweep", *TINY, *SHAPE, "--model", "bert-tiny,xlnet-base", "--order", "question-first", "-o", "out.jsonl"])
        skipped = [r for r in records(self.path("out.jsonl")) if r["status"] == "skipped"]
        self.assertEqual({r["point"]["model"] for r in skipped}, {"xlnet-base"}, str(result))
        self.assertRegex(skipped[0]["reason"], "question-first|passage")

    def test_xlnet_question_first_alone(self):
        self.run_ok(["sweep", "--rounds", "10", *SHAPE, "--model", "xlnet-base", "--order", "question-first"], code=2)

    def test_memory_for_no_machine(self):
        result = self.run_ok(["sweep", "--model", "bert-tiny,bert-large", "--question", "4", "--passage", "16,65000", "--batch", "1024",
                              "--variant", "full", "--dry-run", "--format", "json"])
        skipped = [r for r in parse(result.out)["rows"] if r["status"] == "skipped"]
        self.assertTrue(skipped, "a batch of 1024 x 65 004 tokens fits no memory here")
        self.assertRegex(skipped[0]["reason"], r"(?s)\d.*\d")


class Interrupt(support.TestCase):
    def interrupted(self, args, ready):
        process = support.start(args, cwd=self.at)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None and not ready():
            time.sleep(0.02)
        self.assertIsNone(process.poll(), "ended before it could be interrupted")
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            err = process.communicate(timeout=20)[1].decode()
        finally:
            process.kill()
        print(f"SIGINT to end: {time.monotonic() - begin:.2f} s")
        self.assertEqual(process.returncode, 130, err)
        self.assertTrue(err.strip())

    def count(self):
        path = self.path("out.jsonl")
        return support.read_bytes(path).count(b'"type":"record"') if os.path.exists(path) else -1

    def test_between_groups_keeps_what_was_measured(self):
        args = ["sweep", *TINY, "--question", "4:40", "--passage", "8", "--split", "1", "-o", "out.jsonl"]
        self.interrupted(args, lambda: self.count() >= 6)
        found = records(self.path("out.jsonl"))  # every line is valid
        self.assertGreaterEqual(len(found), 6)
        self.assertTrue(all(r["status"] == "ok" for r in found))
        self.assertEqual(len(self.json_ok(["report", "out.jsonl", "--format", "json"])), len(found))

    def test_inside_a_long_group(self):
        args = ["sweep", "--model", "bert-tiny", "--threads", "1", *SHAPE, "-o", "out.jsonl", "--rounds", "100000"]
        self.interrupted(args, lambda: self.count() >= 0)
        read_run_file(self.path("out.jsonl"))
        self.run_ok(["sweep", *TINY, *SHAPE, "-o", "out.jsonl"])


class Machine(support.TestCase):
    """Fingerprint and roofs. What a loaded machine reaches is not judged, only that it is possible."""

    ACHIEVED = {"gflops", "roof_fraction", "roof_gflops", "bound", "arithmetic_gflops", "arithmetic_by", "fma_peak_gflops",
                "fma_fraction", "best_gemm_gflops"}

    def stored_in(self, cache="cache"):
        return {**support.WITH_ROOFS, "DEFORMER_BENCH_CACHE_DIR": self.path(cache)}

    def machine(self, *more, **kwargs):
        return self.json_ok(["machine", "--threads", "1", "--format", "json", *more], env=self.stored_in(), **kwargs)

    def sweep(self, *more, cache="cache"):
        self.run_ok(["sweep", *TINY, *SHAPE, "-o", "out.jsonl", *more], env=self.stored_in(cache))
        return read_run_file(self.path("out.jsonl"))

    def test_measures_once_and_remembers(self):
        first, second = self.machine(), self.machine()
        self.assertEqual([row["kind"] for row in first], ["machine", "roofs"])
        self.assertEqual((first[1]["origin"], second[1]["origin"]), ("measured", "store"))
        self.assertRegex(second[1]["saved"], r"^20\d\d-\d\d-\d\dT")
        same = ("threads", "arithmetic", "bandwidth", "gemm", "team", "rounds", "disturbed")
        self.assertEqual({k: first[1][k] for k in same}, {k: second[1][k] for k in same})
        for name in ("cpu_model", "isa", "caches", "threads_per_core", "numa_nodes", "governor", "compiler", "flags", "deciding"):
            self.assertIn(name, first[0])
        self.check_roofs(first[1])
        self.check_console()
        self.check_sweep_finds_them(first[1])
        self.check_damage()

    def check_roofs(self, roofs):
        f32 = [row for row in roofs["arithmetic"] if row["dtype"] == "f32"]
        self.assertTrue(f32)
        for row in [*roofs["arithmetic"], *roofs["gemm"]]:
            self.assertEqual(row["best_gflops"] is None, row["missing"] is not None, row)
            if row["missing"] is None:
                self.assertGreaterEqual(row["best_gflops"], row["median_gflops"])
        self.assertGreaterEqual(len({row["library"] for row in roofs["gemm"] if row["missing"] is None}), 3)
        memory = [row for row in roofs["bandwidth"] if row["level"] == "memory"]
        self.assertGreater(memory[0]["read_gb_per_s"], 0)
        self.assertGreater(memory[0]["copy_gb_per_s"], 0)

    def check_console(self):
        for style in ("console", "markdown"):
            out = self.run_ok(["machine", "--threads", "1", "--format", style], env=self.stored_in()).out
            for word in ("cpu_model", "vfmadd" if "avx2" in out else "f32", "memory", "from the store", "rounds)", "parallel region"):
                self.assertIn(word, out)

    def check_sweep_finds_them(self, roofs):
        run, *rest = self.sweep()
        team = run["roofs"]["teams"][0]
        self.assertEqual(team["threads"], 1)
        self.assertEqual(team["stored"]["roofs"]["gemm"], roofs["gemm"])
        best = max(row["best_gflops"] for row in roofs["gemm"] if row["missing"] is None)
        for record in rest[:-1]:
            achieved = record["achieved"]
            self.assertEqual(set(achieved), self.ACHIEVED)
            # Nothing is held against what was measured beside somebody else.
            self.assertEqual(achieved["best_gemm_gflops"], None if roofs["disturbed"] else best)
            self.assertAlmostEqual(achieved["roof_fraction"], achieved["gflops"] / achieved["roof_gflops"])
            self.assertLessEqual(achieved["roof_gflops"], achieved["arithmetic_gflops"])
            self.assertLessEqual(achieved["fma_peak_gflops"], achieved["arithmetic_gflops"])
            self.assertGreaterEqual(achieved["fma_peak_gflops"], team["arithmetic"][0]["best_gflops"])
            self.assertTrue(0 < achieved["roof_fraction"] < 1.2, achieved)
        self.assertIn("full's roof", self.run_ok(["report", "out.jsonl"]).out)

    def check_damage(self):
        files = glob.glob(self.path("cache", "roofs-*.json"))  # beside choices of products
        self.assertEqual(len(files), 1, files)
        write(files[0], "{\"value\":")
        result = self.run_ok(["sweep", *TINY, *SHAPE, "-o", "damaged.jsonl"], env=self.stored_in())
        self.assertIn(files[0], result.err)
        self.assertIsNone(read_run_file(self.path("damaged.jsonl"))[0]["roofs"]["teams"][0]["stored"])

    def test_a_folder_that_cannot_be_written_costs_a_warning(self):
        write(self.path("file"), "")
        env = {"DEFORMER_BENCH_CACHE_DIR": self.path("file", "below")}
        result = self.run_ok(["machine", "--threads", "1"], env=env)
        self.assertRegex(result.err, r"(?m)^deformer-bench: warning: .*DEFORMER_BENCH_CACHE_DIR")
        self.assertIn("measured now", result.out)

    def test_a_sweep_alone_measures_peak_and_memory(self):
        run = self.sweep(cache="none")[0]
        team = run["roofs"]["teams"][0]
        self.assertIsNone(team["stored"])
        self.assertGreater(team["arithmetic"][0]["best_gflops"], 0)
        self.assertGreater(team["memory"]["read_gb_per_s"], 0)

    def test_roofs_off(self):
        run, *rest = self.sweep("--roofs", "off")
        self.assertIsNone(run["roofs"])
        for record in rest[:-1]:
            self.assertIsNone(record["achieved"]["roof_fraction"])
            self.assertGreater(record["achieved"]["gflops"], 0)
            self.assertIn("--roofs off", record["reproduce"])

    def test_bad_threads(self):
        for axis in ("0", "x", "5000"):
            self.assertIn("--threads", self.run_ok(["machine", "--threads", axis], code=2).err)


class Profile(support.TestCase):
    ARGS = ["profile", *TINY, *SHAPE, "--variant", "full,cached", "--max-time", "0.2"]

    @classmethod
    def setUpClass(cls):
        """One profile with everything that it writes, for the tests that only look at it."""
        cls.written = support.folder()
        cls.printed = support.run([*cls.ARGS, "--trace", "trace.json", "--roofline", "roofline.svg"], cwd=cls.written)
        assert cls.printed.code == 0, str(cls.printed)

    def test_operations_add_up_and_every_phase_is_told(self):
        out = self.path("run.jsonl")
        rows = self.json_ok([*self.ARGS, "-o", out, "--format", "json"])
        self.assertEqual([row["point"]["variant"] for row in rows], ["full", "cached"])
        for row in rows:
            whole = row["ranges"][0]["median_ns"]
            names = [operation["name"] for operation in row["operations"]]
            for name in ("embed", "qkv", "attention", "out", "norm1", "ffn1", "ffn2", "norm2"):
                self.assertIn(name, names)
            self.assertEqual("load" in names, row["point"]["variant"] == "cached")
            parts = sum(operation["median_ns"] for operation in row["operations"])
            self.assertLessEqual(parts, 1.05 * whole)
            flops = sum(operation["flops"] for operation in row["operations"])
            self.assertEqual(flops, row["cost"]["flops"])
            for phase in row["phases"]:
                self.assertEqual(phase["allocations"], 0)
                self.assertGreater(phase["arena_bytes"], 0)
            for rows_of in ("ranges", "operations"):
                self.assertEqual([part["allocations"] for part in row[rows_of]], [0] * len(row[rows_of]))
            for level in ("phase", "op"):
                self.assertGreater(row["overhead"][level]["ratio"], 0)
                self.assertGreaterEqual(row["overhead"][level]["rounds"], 10)
                self.assertGreater(row["overhead"][level]["replayed_ns"], 0)
                self.assertEqual(row["overhead"][level]["control"]["rounds"],
                                 row["overhead"][level]["rounds"])
            self.assertEqual(row["memory"]["allocated_bytes"], row["memory"]["planned_largest_bytes"])
            self.assertLessEqual(row["memory"]["peak_bytes"], row["memory"]["planned_largest_bytes"])
            self.assertGreaterEqual(row["between_ns"], 0)
            self.assertNotIn("injected", row)
        full, cached = (row["memory"]["requested_bytes"] for row in rows)
        self.assertAlmostEqual(rows[1]["memory"]["requested_reduction"], 1 - cached / full)
        self.assertGreater(rows[1]["speedup"]["requested_reduction"], 0)
        steps = [step["step"] for step in rows[1]["waterfall"]["steps"]]
        self.assertEqual(steps, ["FLOP ratio", "small products", "weight bandwidth", "load", "fixed cost",
                                 "remainder", "measured ratio"])
        self.check_report_of_it(out, rows[1])

    def check_report_of_it(self, out, row):
        """A report has the waterfall of every speedup, as the profile showed it."""
        again = self.json_ok(["report", out, "--view", "waterfall", "--format", "json"])
        self.assertEqual([step["step"] for step in again], [step["step"] for step in row["waterfall"]["steps"]])
        self.assertEqual([step["ratio"] for step in again], [step["ratio"] for step in row["waterfall"]["steps"]])

    def test_counters_are_there_or_say_why_not(self):
        row = self.json_ok([*self.ARGS, "--counters", "software,flops,PAPI_NO_SUCH",
                            "--format", "json"])[0]
        for event in row["counters"]["events"]:
            self.assertNotEqual(event["source"] is None, event["missing"] is None, event)
        self.assertIn("PAPI_NO_SUCH", [e["name"] for e in row["counters"]["events"] if e["missing"]])
        self.assertGreater(row["counters"]["total"]["task_clock"], 0)
        energy = row["energy"]
        self.assertNotEqual(energy["joules_per_example"] is None, energy["missing"] is None)

    def test_of_the_reference_what_it_cannot_tell_by_operation_is_missing_not_zero(self):
        row = self.json_ok([*self.ARGS, "--backend", "reference", "--format", "json"])[0]
        self.assertTrue(all(phase["allocations"] > 0 for phase in row["phases"]), row["phases"])
        for operation in row["operations"]:
            self.assertGreater(operation["median_ns"], 0)
            self.assertIsNone(operation["allocations"])
        # What this machine has, as the cpu backend counts it; the others are missing for a reason of their own.
        counted = self.json_ok([*self.ARGS, "--format", "json"])[0]["counters"]["events"]
        self.assertTrue(any(event["source"] for event in counted), counted)
        for event, here in zip(row["counters"]["events"], counted, strict=True):
            self.assertIsNone(event["source"])
            self.assertEqual(event["missing"],
                             here["missing"] or f"{here['source']}: this backend's operations can't be counted apart")

    def test_files_that_cannot_be_written_are_refused_before_measuring(self):
        for option in ("--out", "--trace", "--roofline"):
            # An hour of measuring would end by the time limit.
            err = self.run_ok(["profile", *TINY, *SHAPE, "--max-time", "3600",
                               option, "/no/such/folder/file"], code=2).err
            self.assertIn(f"{option}: expected a file that can be written", err)

    def test_nothing_is_between_operations_that_were_not_recorded(self):
        row = self.json_ok([*self.ARGS, "--detail", "layer", "--format", "json"])[0]
        self.assertIsNone(row["operations"])
        self.assertIsNone(row["between_ns"])

    def test_counters_and_memory_are_printed(self):
        for text in ("counters, of one forward", "task_clock", "total", "resident memory"):
            self.assertIn(text, self.printed.out)

    def test_trace_and_roofline_are_written(self):
        trace, svg = os.path.join(self.written, "trace.json"), os.path.join(self.written, "roofline.svg")
        for word in ("phases", "operations", "lost time", "from the FLOP ratio", "FLOPs a byte"):
            self.assertIn(word, self.printed.out)
        with open(trace, encoding="utf-8") as file:
            events = support.parse(file.read())["traceEvents"]
        complete = [event for event in events if event["ph"] == "X"]
        self.assertTrue(complete)
        self.assertTrue(all(event["dur"] >= 0 and event["ts"] >= 0 for event in complete))
        tracks = {}
        for event in complete:
            tracks.setdefault((event["pid"], event["tid"]), []).append(event)
        for track in tracks.values():  # nested: none reaches over the end of one it began in
            open_ends = []
            for event in sorted(track, key=lambda e: (e["ts"], -e["dur"])):
                end = event["ts"] + event["dur"]
                while open_ends and open_ends[-1] <= event["ts"] + 1e-6:
                    open_ends.pop()
                self.assertTrue(not open_ends or end <= open_ends[-1] + 1e-6, event)
                open_ends.append(end)
        first, last = (pick(event["ts"] for event in complete) for pick in (min, max))
        for name in ("GFLOP/s", "arena bytes", "task_clock, ns", "page_faults", "resident bytes", "minor faults",
                     "major faults"):
            values = [event["args"]["value"] for event in events if event["ph"] == "C" and event["name"] == name]
            self.assertTrue(values and min(values) >= 0, name)
        for name in ("GFLOP/s", "task_clock, ns", "resident bytes"):
            self.assertGreater(max(event["args"]["value"] for event in events
                                   if event["ph"] == "C" and event["name"] == name), 0, name)
        self.assertTrue(all(event["ts"] >= 0 for event in events if event["ph"] == "C"))
        self.assertLess(first, last)
        import xml.etree.ElementTree as tree
        self.assertTrue(tree.parse(svg).getroot().tag.endswith("svg"))

    def test_a_planted_slowdown_is_told_everywhere(self):
        trace = self.path("trace.json")
        plant = ["--inject", "op=ffn1,layer=1,slowdown=50%"]
        self.assertIn("NOT A MEASUREMENT", self.run_ok([*self.ARGS, *plant, "--trace", trace]).out)
        with open(trace, encoding="utf-8") as file:
            self.assertIn("NOT A MEASUREMENT", file.read())
        rows = self.json_ok([*self.ARGS, *plant, "--format", "json"])
        self.assertTrue(all(row["injected"] == plant[1] for row in rows))
        a, b = self.path("a.jsonl"), self.path("b.jsonl")
        sweep = ["sweep", *TINY, *SHAPE, "--variant", "full", "--detail", "op"]
        self.run_ok([*sweep, "-o", a])
        self.assertIn("NOT A MEASUREMENT", self.run_ok([*sweep, *plant, "-o", b]).out)
        found = self.json_ok(["compare", a, b, "--format", "json"])[0]["attribution"]
        self.assertTrue(found["ranges"][0]["path"].endswith("layer 1/ffn1"), found["ranges"][:3])
        self.assertIn("NOT A MEASUREMENT", self.run_ok(["compare", a, b]).out)
        self.assertIn(plant[1], self.run_ok(["compare", a, b, "--format", "csv"]).out)
        # It is no measurement, so the same sweep without it measures again.
        self.assertNotIn("NOT A MEASUREMENT", self.run_ok([*sweep, "-o", b]).out)
        self.assertEqual(len(support.records(b)), 2)
        # And replaces none: a report shows both, marked in every format.
        self.assertEqual(len(self.json_ok(["report", b, "--format", "json"])), 2)
        for style in ("console", "markdown", "latex", "gbench"):
            self.assertIn("NOT A MEASUREMENT", self.run_ok(["report", b, "--format", style]).out, style)
        self.assertIn(plant[1], self.run_ok(["report", b, "--format", "csv"]).out)

    def test_a_point_skipped_in_a_planted_sweep_is_marked_too_and_done(self):
        out = self.path("run.jsonl")
        sweep = ["sweep", *TINY, "--question", "4", "--passage", "8", "--split", "1,7", "--variant", "full,cached", "--detail",
                 "op", "--inject", "op=ffn1,slowdown=50%", "-o", out, "--format", "json"]
        rows = self.json_ok(sweep)
        self.assertEqual(sorted(row["status"] for row in rows), ["ok", "ok", "skipped"])
        self.assertTrue(all(row["injected"] == "op=ffn1,slowdown=50%" for row in rows))
        written = len(support.records(out))
        self.assertEqual(len(self.json_ok(sweep)), 3)
        self.assertEqual(len(support.records(out)), written)

    def test_what_makes_no_sense_is_refused(self):
        for bad in (["--inject", "op=nothing,slowdown=3%"], ["--inject", "op=ffn1,layer=9,slowdown=3%"],
                    ["--inject", "ffn1"], ["--counters", "nonsense"], ["--batch", "1,2"], ["--detail", "deep"],
                    ["--trace", "/nonexistent/trace.json"]):
            self.run_ok([*self.ARGS, *bad], code=2)


class Reports(support.TestCase):
    FILES = (("a", "4"), ("b", "4"), ("c", "5"))  # name and question

    @classmethod
    def setUpClass(cls):
        """Three sweeps for all tests: a and b of the same points, c of others."""
        cls.measured = support.folder()
        for name, question in cls.FILES:
            result = support.run(["sweep", *TINY, "--question", question, "--passage", "16", "--split", "1", "-o",
                                  name + ".jsonl"], env=support.WITH_ROOFS, cwd=cls.measured)
            assert result.code == 0, str(result)

    def setUp(self):
        super().setUp()
        for name, _ in self.FILES:
            shutil.copy(os.path.join(self.measured, name + ".jsonl"), self.at)

    def test_console_holds_the_three_variants_and_the_mean(self):
        out = self.run_ok(["report", "a.jsonl"]).out
        for word in ("full", "decomposed", "cached", "geometric mean", "FLOP ratio", "efficiency", "memory", "deformer-bench sweep"):
            self.assertIn(word, out)

    def test_markdown_is_a_table(self):
        lines = self.run_ok(["report", "a.jsonl", "--format", "markdown"]).out.splitlines()
        table = [line for line in lines if line.startswith("|")]
        self.assertGreaterEqual(len(table), 5)
        self.assertEqual(len({line.replace("\\|", "").count("|") for line in table}), 1, "every row has as many columns")

    def test_json_rows_are_the_records(self):
        rows = self.json_ok(["report", "a.jsonl", "--format", "json"])
        self.assertEqual({r["key"]: r["time"]["median"] for r in rows},
                         {k: r["time"]["median"] for k, r in latest(self.path("a.jsonl")).items()})

    def test_files_merge(self):
        rows = self.json_ok(["report", "a.jsonl", "c.jsonl", "--format", "json"])
        self.assertEqual(len(rows), 6)
        rows = self.json_ok(["report", "a.jsonl", "b.jsonl", "--format", "json"])
        self.assertEqual(len(rows), 3)
        self.assertEqual(len({r["set"] for r in rows}), 1, "medians and ratios shown together come from one set")

    def test_report_filter(self):
        rows = self.json_ok(["report", "a.jsonl", "--filter", "/full/", "--format", "json"])
        self.assertEqual([r["point"]["variant"] for r in rows], ["full"])
        self.run_ok(["report", "a.jsonl", "--filter", "nothing-is-named-so"], code=4)

    def test_compare_with_itself_finds_no_change(self):
        for row in self.json_ok(["compare", "a.jsonl", "a.jsonl", "--format", "json"]):
            self.assertEqual(row["ratio"], 1.0)
            self.assertTrue(row["ci_low"] <= 1.0 <= row["ci_high"])

    def test_compare_pairs_by_key(self):
        b = latest(self.path("b.jsonl"))
        for key, record in latest(self.path("a.jsonl")).items():
            row = [r for r in self.json_ok(["compare", "a.jsonl", "b.jsonl", "--format", "json"]) if r["key"] == key][0]
            self.assertAlmostEqual(row["ratio"], b[key]["time"]["median"] / record["time"]["median"], delta=0.15 * row["ratio"])
            self.assertTrue(row["ci_low"] <= row["ratio"] <= row["ci_high"])
        self.run_ok(["compare", "a.jsonl", "b.jsonl"])

    def test_compare_of_files_with_nothing_in_common(self):
        self.run_ok(["compare", "a.jsonl", "c.jsonl"], code=4)


class Verify(support.TestCase):
    def worst(self, backend):
        directories = [os.path.dirname(p) for p in glob.glob(os.path.join(support.OPTIONS.source, "tests/data/golden/*/golden.json"))]
        self.assertGreaterEqual(len(directories), 5)
        rows = self.json_ok(["verify", *sorted(directories), "--backend", backend, "--format", "json"], timeout=300)
        self.assertEqual({row["directory"] for row in rows}, set(directories))
        self.assertTrue(all(row["ok"] for row in rows))
        worst = max(row["max_abs"] for row in rows)
        print(f"verify, {backend}: {len(rows)} cases in {len(directories)} directories, worst max_abs {worst:.2e}")
        return worst

    def test_reference(self):
        self.assertLess(self.worst("reference"), 2e-5)

    def test_cpu(self):
        self.assertLess(self.worst("cpu"), 2e-4)

    def test_a_wrong_output_fails_with_1(self):
        source = os.path.join(support.OPTIONS.source, "tests/data/golden/bert-erf")
        for name in ("config.json", "golden.json", "golden.safetensors"):
            with open(self.path(name), "wb") as file:
                file.write(support.read_bytes(os.path.join(source, name)))
        data = bytearray(support.read_bytes(os.path.join(source, "model.safetensors")))
        header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
        name = [n for n in header if n.endswith("layer.0.output.dense.bias")][0]
        first, last = header[name]["data_offsets"]
        begin = 8 + int.from_bytes(data[:8], "little")
        data[begin + first:begin + last] = bytes(last - first)  # a dropped bias
        with open(self.path("model.safetensors"), "wb") as file:
            file.write(data)
        for backend in ("reference", "cpu"):
            rows = self.json_ok(["verify", self.at, "--backend", backend, "--format", "json"], code=1)
            self.assertFalse(all(row["ok"] for row in rows))

    def test_a_filter_keeps_the_cases_it_names(self):
        source = os.path.join(support.OPTIONS.source, "tests/data/golden/bert-span")
        asked = ["verify", source, "--backend", "reference", "--format", "json", "--filter"]
        self.assertEqual([row["name"] for row in self.json_ok([*asked, r"^(full|cached\.k1)\.q7\.p15$"])],
                         ["full.q7.p15", "cached.k1.q7.p15"])
        self.assertIn("left no case", self.run_ok([*asked, "nothing"], code=4).err)
        self.assertIn("regular expression", self.run_ok([*asked, "("], code=2).err)

    def test_weights_from_another_directory(self):
        source = os.path.join(support.OPTIONS.source, "tests/data/golden/bert-erf")
        for name in ("golden.json", "golden.safetensors"):
            with open(self.path(name), "wb") as file:
                file.write(support.read_bytes(os.path.join(source, name)))
        self.run_ok(["verify", self.at, "--weights", source, "--backend", "reference"])


class Stdout(support.TestCase):
    """A result that cannot be written is an error, never a silent success."""

    def lost(self, args, **kwargs):
        result = support.run(args, cwd=self.at, **kwargs)
        self.assertEqual(result.code, 2, str(result))
        self.assertRegex(result.err, r"(?m)^deformer-bench: .*stdout")

    def test_full(self):
        for args in (["--version"], ["--help"], ["list"], ["cost", "--model", "bert-tiny", "--task", "squad", "--format", "json"],
                     ["sweep", *TINY, *SHAPE, "-o", "out.jsonl"], ["report", "out.jsonl"]):
            with self.subTest(args[0]), open("/dev/full", "w") as full:
                self.lost(args, stdout=full)
        self.assertEqual(len(records(self.path("out.jsonl"))), 3, "what was measured is in the run file")

    def test_closed(self):
        for args in (["list"], ["sweep", *TINY, *SHAPE, "-o", "out.jsonl"]):
            with self.subTest(args[0]):
                self.lost(args, stdout=None, preexec_fn=lambda: os.close(1))
        read_run_file(self.path("out.jsonl"))


if __name__ == "__main__":
    support.main()
