"""Reports in every format: the same numbers everywhere, and files that other tools read."""

import csv
import io
import json
import os
import re
import subprocess
import unittest

import support
from support import folder, records, run, write

_RUN = None


def run_file():
    """A small sweep, measured once for all tests of this file."""
    global _RUN
    if _RUN is None:
        _RUN = os.path.join(folder(), "run.jsonl")
        result = run(["sweep", "--model", "bert-tiny", "--task", "squad", "--split", "1,2", "--batch", "1,2",
                      "--rounds", "12", "--quiet", "-o", _RUN], env=support.WITH_ROOFS, timeout=120)
        assert result.code == 0, str(result)
    return _RUN


def edited(change, name="edited.jsonl"):
    """The run file with every line changed by a function."""
    lines = support.read_run_file(run_file())
    for line in lines:
        change(line)
    return write(os.path.join(folder(), name), "".join(json.dumps(line) + "\n" for line in lines))


def shown(number):
    """Three significant digits, as tables for people have them."""
    return float(f"{number:.3g}")


class Formats(unittest.TestCase):
    def test_csv_has_the_digits_of_the_records(self):
        result = run(["report", run_file(), "--format", "csv"])
        self.assertEqual(result.code, 0, str(result))
        rows = list(csv.DictReader(io.StringIO(result.out, newline="")))
        by_name = {record["name"]: record for record in records(run_file())}
        self.assertEqual(len(rows), len(by_name))
        for row in rows:
            record = by_name[row["name"]]
            self.assertEqual(float(row["median_ns"]), record["time"]["median"])
            self.assertEqual(float(row["median_ci_low_ns"]), record["time"]["ci_low"])
            speedup = (record["speedup"] or {}).get("median")
            self.assertEqual(row["speedup"], "" if speedup is None else repr(speedup).removesuffix(".0"))

    def test_latex_has_the_numbers_of_the_json(self):
        json_rows = support.parse(run(["report", run_file(), "--format", "json"]).out)["rows"]
        latex = run(["report", run_file(), "--format", "latex", "--standalone", "--columns",
                     "name,median_ns,speedup"]).out
        self.assertIn("\\documentclass", latex)
        unit = {"ns": 1, "\\si{\\micro\\second}": 1e3, "ms": 1e6, "s": 1e9}[
            re.search(r"\{median \((.*?)\)\}", latex).group(1)]
        for row in json_rows:
            name = row["name"].replace("_", "\\_").replace("-", "-{}")
            line = next(line for line in latex.splitlines() if line.startswith("{" + name + "}"))
            cells = [cell.strip(" \\").removeprefix("bfseries ") for cell in line.split("&")]
            self.assertEqual(shown(float(cells[1])), shown(row["time"]["median"] / unit))
            if row["speedup"]:
                self.assertEqual(float(cells[2]), shown(row["speedup"]["median"]))

    def test_a_pipe_is_read_as_a_file_is(self):
        for form in ("json", "html", "gbench", "csv", "markdown"):
            direct = run(["report", run_file(), "--format", form])
            self.assertEqual(direct.code, 0, str(direct))
            piped = subprocess.run(["bash", "-c", 'exec "$0" report <(cat "$1") --format "$2"', support.PROGRAM,
                                    run_file(), form], capture_output=True, env=support.clean_environment())
            self.assertEqual(piped.returncode, 0, piped.stderr)
            self.assertEqual(piped.stdout.decode("utf-8"), direct.out, form)

    def test_gbench_medians_give_the_ratios_of_compare(self):
        def slower(line):
            if line["type"] == "record":
                line["time"]["samples"] = [1.5 * t for t in line["time"]["samples"]]
                for field in ("median", "ci_low", "ci_high", "mean", "min"):
                    line["time"][field] *= 1.5
        other = edited(slower)
        medians = []
        for path in (run_file(), other):
            page = support.parse(run(["report", path, "--format", "gbench"]).out)
            medians.append({b["run_name"]: b["real_time"] for b in page["benchmarks"]
                            if b.get("aggregate_name") == "median"})
        rows = support.parse(run(["compare", run_file(), other, "--unpaired", "--format", "json"]).out)["rows"]
        self.assertEqual(len(rows), len(medians[0]))
        for row in rows:
            self.assertAlmostEqual(row["ratio"], medians[1][row["name"]] / medians[0][row["name"]], places=9)
            self.assertFalse(row["paired"])

    def test_html_asks_nothing_of_the_network_and_is_small(self):
        out = run(["report", run_file(), "--format", "html"]).out
        self.assertLess(len(out), 1_500_000)
        self.assertIn("default-src 'none'", out)
        self.assertNotRegex(out, r"(src|href)=[\"']?https?:")

    def test_hostile_names_stay_in_their_place(self):
        hostile = "a|b<script>alert(1)</script>\"'\n,\\input{x}&$%#_"
        def rename(line):
            if line["type"] == "record":
                line["name"] = hostile + line["key"]
        path = edited(rename)
        rows = list(csv.DictReader(io.StringIO(run(["report", path, "--format", "csv"]).out, newline="")))
        self.assertTrue(all(row["name"].startswith(hostile) for row in rows))
        self.assertNotIn("<script>alert", run(["report", path, "--format", "html"]).out)
        latex = run(["report", path, "--format", "latex", "--columns", "name,speedup"]).out
        self.assertNotIn("\\input", latex)


class Shapes(unittest.TestCase):
    def test_columns_sort_filter(self):
        out = run(["report", run_file(), "--columns", "name,speedup", "--sort", "speedup:desc", "--filter",
                   "variant=cached", "--format", "json"])
        rows = support.parse(out.out)["rows"]
        self.assertEqual(list(rows[0]), ["name", "speedup"])
        speedups = [row["speedup"] for row in rows]
        self.assertEqual(speedups, sorted(speedups, reverse=True))
        self.assertTrue(all("/cached/" in row["name"] for row in rows))

    def test_pivot_puts_variants_side_by_side(self):
        rows = support.parse(run(["report", run_file(), "--pivot", "k=variant", "--columns", "median_ns",
                                  "--filter", "batch=1", "--format", "json"]).out)["rows"]
        by_k = {row["split"]: row for row in rows}
        self.assertIsNotNone(by_k[1]["cached_median_ns"])
        self.assertIsNotNone(by_k[2]["decomposed_median_ns"])

    def test_group_by_counts(self):
        rows = support.parse(run(["report", run_file(), "--group-by", "variant", "--format", "json"]).out)["rows"]
        self.assertEqual({row["variant"]: row["count"] for row in rows}, {"full": 2, "decomposed": 4, "cached": 4})

    def test_bad_shapes_name_what_is_expected(self):
        for arguments, words in ((["--columns", "speedy"], "expected columns among"),
                                 (["--sort", "speedup:up"], "COLUMN:desc"),
                                 (["--pivot", "k"], "ROWS=COLUMNS"),
                                 (["--filter", "("], "regular expression"),
                                 (["--filter", "sped>2"], "expected the name of a column, found 'sped'"),
                                 (["--filter", "speedup>fast"], "expected a number as in speedup>2, found 'fast'")):
            result = run(["report", run_file()] + arguments)
            self.assertEqual(result.code, 2, str(result))
            self.assertIn(words, result.err)

    def test_machines_that_differ_are_refused_or_told_apart(self):
        def elsewhere(line):
            if line["type"] == "run":
                line["id"] = "elsewhere"
                line["machine"]["deciding"]["cpu_model"] = "Another CPU"
            else:
                line["run"] = "elsewhere"
                if line["type"] == "record":
                    line["point"]["seed"] = 7
                    line["key"] = support_key(line["point"])
        other = edited(elsewhere)
        result = run(["report", run_file(), other])
        self.assertEqual(result.code, 2, str(result))
        self.assertIn("Another CPU", result.err)
        mixed = run(["report", run_file(), other, "--allow-mixed"])
        self.assertEqual(mixed.code, 0, str(mixed))
        self.assertIn("machine 2: Another CPU", mixed.out)
        rows = support.parse(run(["report", run_file(), other, "--allow-mixed", "--columns", "machine,name",
                                  "--format", "json"]).out)["rows"]
        self.assertEqual({row["machine"] for row in rows}, {"1", "2"})

    def test_economics(self):
        rows = support.parse(run(["report", run_file(), "--view", "economics", "--format", "json"]).out)["rows"]
        self.assertEqual(len(rows), 4)
        for row in rows:
            self.assertEqual(row["bytes_million_passages"], 1e6 * row["bytes_cache_passage"])

    def test_a_waterfall_for_every_speedup(self):
        rows = support.parse(run(["report", run_file(), "--view", "waterfall", "--format", "json"]).out)["rows"]
        speedups = {r["name"]: r["speedup"] for r in records(run_file()) if r["speedup"]}
        self.assertEqual({row["name"] for row in rows}, set(speedups))
        for name, speedup in speedups.items():
            steps = {row["step"]: row["ratio"] for row in rows if row["name"] == name}
            self.assertAlmostEqual(steps["measured ratio"], speedup["median"])
            self.assertAlmostEqual(steps["FLOP ratio"], speedup["flop_ratio"])
            self.assertAlmostEqual(steps["remainder"], speedup["median"])
        for style in ("console", "markdown", "latex", "csv"):
            result = run(["report", run_file(), "--view", "waterfall", "--format", style])
            self.assertEqual(result.code, 0, str(result))
            self.assertIn("fixed cost", result.out)
        self.assertEqual(run(["report", run_file(), "--view", "waterfall", "--format", "html"]).code, 2)

    def test_a_plot_for_the_terminal(self):
        out = run(["report", run_file(), "--plot"]).out
        self.assertIn("split layer k", out)
        self.assertIn("cached, FLOPs", out)


def support_key(point):
    import hashlib
    text = json.dumps(point, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Paper(unittest.TestCase):
    def test_flop_ratios_are_the_papers_speedups(self):
        rows = support.parse(run(["paper", "--format", "json"]).out)["rows"]
        figure = [row for row in rows if row["table"] == "figure 4a" and row["unit"] == "x"]
        self.assertEqual(len(figure), 11)
        self.assertTrue(all(row["agrees"] == "yes" for row in figure))
        self.assertEqual(len([row for row in rows if row["table"] == "what does not reproduce"]), 10)

    def test_what_is_measured_names_its_run(self):
        path = os.path.join(folder(), "paper.jsonl")
        result = run(["sweep", "--model", "bert-base", "--task", "squad", "--question", "27", "--rounds", "10",
                      "--variant", "full,cached", "--parity", "off", "--quiet", "-o", path], timeout=250)
        self.assertEqual(result.code, 0, str(result))
        rows = support.parse(run(["paper", path, "--format", "json"]).out)["rows"]
        row = next(row for row in rows if row.get("item") == "bert-base squad k=9 speedup")
        record = next(r for r in records(path) if r["point"]["variant"] == "cached")
        self.assertEqual(row["measured"], record["speedup"]["median"])
        self.assertEqual(row["run"], "run " + record["run"])

    def test_figures(self):
        where = os.path.join(folder(), "figures")
        self.assertEqual(run(["paper", "--figures", where]).code, 0)
        self.assertEqual(sorted(os.listdir(where)), sorted(
            f"figure{n}.{kind}" for n in ("2", "4a", "4b") for kind in ("svg", "tex")))
        import xml.etree.ElementTree
        xml.etree.ElementTree.parse(os.path.join(where, "figure4a.svg"))

    def test_csv_is_one_table_with_all_numbers(self):
        rows = list(csv.reader(io.StringIO(run(["paper", "--format", "csv"]).out, newline="")))
        self.assertEqual(rows[0][:2], ["table", "item"])
        self.assertTrue(all(len(row) == len(rows[0]) for row in rows))
        numbers = [row for row in support.parse(run(["paper", "--format", "json"]).out)["rows"] if "item" in row]
        self.assertEqual([(row[0], row[1]) for row in rows[1:]], [(row["table"], row["item"]) for row in numbers])

    def test_latex_is_one_document(self):
        latex = run(["paper", "--format", "latex", "--standalone"]).out
        self.assertTrue(latex.startswith("\\documentclass"))
        self.assertTrue(latex.endswith("\\end{document}\n"))
        for part in ("\\documentclass", "\\begin{document}", "\\end{document}"):
            self.assertEqual(latex.count(part), 1, part)

    def test_options_of_run_need_it(self):
        for option, value in (("--budget", "10s"), ("--threads", "1"), ("--out", "x.jsonl")):
            result = run(["paper", option, value])
            self.assertEqual(result.code, 2, str(result))
            self.assertIn("expected --run with it", result.err)
        for threads in ("0", "-1", "1025"):
            self.assertEqual(run(["paper", "--run", "--budget", "0.001s", "--threads", threads]).code, 2)

    def test_a_budget_that_nothing_fits_prints_the_tables(self):
        path = os.path.join(folder(), "nothing.jsonl")
        result = run(["paper", "--run", "--budget", "0.001s", "--threads", "1", "--quiet", "-o", path])
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(result.err, "")
        self.assertFalse(os.path.exists(path))
        self.assertIn("figure 4a", result.out)

    def test_prices_must_be_prices(self):
        self.assertEqual(run(["paper", "--price-hour", "-1"]).code, 2)


class Budget(unittest.TestCase):
    def test_a_budget_is_kept_and_says_which_k_are_alike(self):
        path = os.path.join(folder(), "budget.jsonl")
        result = run(["sweep", "--model", "bert-tiny", "--task", "squad", "--split", "1,2", "--budget", "8s",
                      "--quiet", "-o", path], env=support.WITH_ROOFS, timeout=60)
        self.assertEqual(result.code, 0, str(result))
        self.assertLess(result.seconds, 20)
        self.assertRegex(result.out, r"cached.*fastest k=\d")
        sets = {r["set"] for r in records(path)}
        self.assertGreater(len(sets), 1)

    def test_a_budget_in_which_nothing_was_measured_is_no_success(self):
        path = os.path.join(folder(), "spent.jsonl")
        result = run(["sweep", "--model", "bert-tiny", "--task", "squad", "--budget", "0.001s", "--threads", "1", "-o", path])
        self.assertEqual(result.code, 4, str(result))
        self.assertIn("nothing was measured: the budget of 0.001s did not reach", result.err)

    def test_bad_budgets(self):
        for budget in ("0", "-1m", "ten", "5x"):
            result = run(["sweep", "--model", "bert-tiny", "--task", "squad", "--budget", budget])
            self.assertEqual(result.code, 2, str(result))


class Describe(unittest.TestCase):
    def test_completion_knows_every_verb_and_completes_formats(self):
        script = write(os.path.join(folder(), "completion.bash"), run(["describe", "bash"]).out)
        probe = (f"source {script}; COMP_WORDS=(deformer-bench report --format ''); COMP_CWORD=3; "
                 "_deformer_bench; echo ${COMPREPLY[@]}")
        out = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, check=True).stdout
        self.assertEqual(out.split(), ["console", "markdown", "latex", "csv", "json", "gbench", "html"])

    def test_the_man_page_has_every_verb(self):
        page = run(["describe", "man"]).out
        for verb in ("sweep", "report", "compare", "paper", "cost"):
            self.assertIn(f'.SH "{verb}"', page)


if __name__ == "__main__":
    support.main()
