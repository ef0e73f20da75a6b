"""What CI runs: ci/exact against its baseline, and the recipes, as far as they go without the service.

A recipe's `run` steps are taken out of its YAML and run by the shell that the service would use, in a repository of
our own making whose ci/build hands out the program that was built already. Two of its builds differ in the build id
alone, so that there is something to judge. PyYAML is read with Debian's python3.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import unittest
import xml.etree.ElementTree

import support
from support import folder, run, write

def source(*parts):
    return os.path.join(support.OPTIONS.source, *parts)


class Exact(support.TestCase):
    def exact(self, *args, program=None):
        return subprocess.run([sys.executable, "-B", source("ci/exact"), "--program", program or support.PROGRAM, "--models", "bert-tiny", *args],
                              capture_output=True, text=True, env=support.clean_environment(), cwd=self.at, timeout=240)

    written = None  # what --update writes, once for all tests

    def baseline(self, change=None):
        if Exact.written is None:
            path = os.path.join(folder(), "baseline.json")
            self.assertEqual(self.exact("--update", "--baseline", path).returncode, 0)
            Exact.written = support.read_bytes(path)
        content = json.loads(Exact.written)
        if change:
            change(content)
        return write(self.path("changed.json"), json.dumps(content))

    def test_figures_that_differ_are_named_and_fail(self):
        same = self.exact("--baseline", self.baseline())
        self.assertEqual(same.returncode, 0, same.stderr)
        self.assertRegex(same.stdout, r"PASS: \d{3,} figures are as committed\n")

        def change(content):
            next(iter(content["plan"].values()))["flops"] += 1
            next(iter(next(iter(content["built"].values())).values()))["requested_bytes"] -= 64

        changed = self.exact("--baseline", self.baseline(change))
        self.assertEqual(changed.returncode, 1)
        self.assertIn("flops was", changed.stderr)
        self.assertIn("requested_bytes was", changed.stderr)
        self.assertIn("CHANGED: 2 differences", changed.stdout)

    def test_points_that_come_or_go_fail(self):
        def change(content):
            name, figures = content["plan"].popitem()
            content["plan"]["gone"] = figures
            next(iter(content["built"].values()))["gone too"] = {}

        changed = self.exact("--baseline", self.baseline(change))
        self.assertEqual(changed.returncode, 1)
        for words in ("gone is gone", "is new", "gone too is gone"):
            self.assertIn(words, changed.stderr)

    def test_a_build_without_an_entry_is_said_to_be_not_compared(self):
        def change(content):
            content["built"] = {"another " + build: points for build, points in content["built"].items()}

        result = self.exact("--baseline", self.baseline(change))
        self.assertEqual(result.returncode, 0)
        self.assertIn("NOT COMPARED here", result.stderr)
        self.assertIn("some were not compared", result.stdout)

    def test_what_measured_nothing_does_not_pass(self):
        silent = write(self.path("silent"), "#!/bin/sh\necho '{\"rows\":[]}'\n")
        broken = write(self.path("broken"), "#!/bin/sh\nexit 3\n")
        for program in (silent, broken):
            os.chmod(program, stat.S_IRWXU)
            result = self.exact("--baseline", source("ci/data/exact-baseline.json"), program=program)
            self.assertEqual(result.returncode, 1)
            self.assertIn("INVALID", result.stderr)
        self.assertEqual(self.exact("--baseline", self.path("missing.json")).returncode, 1)
        self.assertEqual(self.exact("--baseline", write(self.path("torn.json"), '{"plan": {')).returncode, 1)


def program_of_another_build(at):
    """The program with another build id: the same code, so the same speed."""
    build = re.search(r"^build (\S+)$", run(["--version"]).out, re.M).group(1).encode()
    data = support.read_bytes(support.PROGRAM)
    assert data.count(build) >= 1
    with open(at, "wb") as file:
        file.write(data.replace(build, build[::-1] if build != build[::-1] else b"0" * len(build)))
    os.chmod(at, stat.S_IRWXU)
    return at


class Recipes(support.TestCase):
    POINTS = "--model bert-tiny --question 4 --passage 28 --split 1 --threads 1"

    def setUp(self):
        super().setUp()
        self.repository = self.path("repository")
        self.other = program_of_another_build(self.path("other-build"))
        os.makedirs(os.path.join(self.repository, "ci/recipes"))
        shutil.copy(source("ci/recipes/gate.sh"), os.path.join(self.repository, "ci/recipes"))
        self.script("ci/setup", "echo setup")
        write(os.path.join(self.repository, ".gitignore"), "/build/\n/out/\n")
        self.script("ci/build", self.build_script(self.other))
        self.base = self.commit("base")
        self.script("ci/build", self.build_script(support.PROGRAM))
        self.head = self.commit("head")

    def build_script(self, program):
        return f'[ "$*" = "release deformer-bench" ] || exit 2\nmkdir -p build/release\ncp {program} build/release/deformer-bench'

    def script(self, name, text):
        path = write(os.path.join(self.repository, name), "#!/bin/sh\nset -e\n" + text + "\n")
        os.chmod(path, stat.S_IRWXU)

    def git(self, *args):
        return subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *args], cwd=self.repository, check=True,
                              capture_output=True, text=True, env=self.environment()).stdout.strip()

    def environment(self, **more):
        env = support.clean_environment({"HOME": self.at, "GIT_CONFIG_NOSYSTEM": "1"})
        for name in [name for name in env if name.startswith(("GITHUB_", "CI_", "GATE_"))]:
            del env[name]
        env.update(more)
        return env

    def commit(self, message):
        if not os.path.isdir(os.path.join(self.repository, ".git")):
            self.git("init", "-q", "-b", "main")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def shell(self, command, **env):
        return subprocess.run(command, cwd=self.repository, capture_output=True, text=True, timeout=240,
                              env=self.environment(**env))

    def gate(self, *args, **env):
        settings = dict({"GATE_POINTS": self.POINTS, "GATE_MAX_TIME": "4"}, **env)
        return self.shell(["ci/recipes/gate.sh", *args], **settings)

    def out(self, name):
        return os.path.join(self.repository, "out/gate", name)

    def check_outputs(self, code):
        """What a run leaves, whatever the verdict."""
        self.assertIn(code, (0, 4), "the same code twice: PASS, or AMBIGUOUS where the time was too short")
        suite = xml.etree.ElementTree.parse(self.out("junit.xml")).getroot()
        self.assertGreaterEqual(len(suite.findall(".//testcase")), 3)
        self.assertIn("bert-tiny", support.read_bytes(self.out("summary.md")).decode())
        sides = {record["gate"]["side"] for record in support.records(self.out("rounds.jsonl"))}
        self.assertEqual(sides, {"base", "head"})

    # --- plain shell ---

    def test_shell_judges_head_against_a_revision(self):
        result = self.gate(self.base)
        self.check_outputs(result.returncode)
        self.assertRegex(result.stderr, "gate: (PASS|IMPROVED|AMBIGUOUS)")

    def test_shell_fails_with_the_gates_code_where_head_is_slower(self):
        history = self.path("h.sqlite")
        result = self.gate(self.base, GATE_MAX_TIME="20", GATE_OPTIONS="--inject op=ffn1,slowdown=60%", GATE_HISTORY=history)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("REGRESSED", support.read_bytes(self.out("summary.md")).decode())
        rows = self.json_ok(["gate", "history", "runs", "--db", history, "--format", "json"])
        self.assertEqual({row["revision"] for row in rows}, {self.head})

    def test_shell_says_when_there_is_nothing_to_judge(self):
        result = self.gate(self.head)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("are the same build", result.stdout)

    def test_shell_names_what_it_was_given(self):
        for args in ([], ["no-such-revision"], [self.base, "more"]):
            result = self.gate(*args)
            self.assertEqual(result.returncode, 2)
            self.assertIn("gate.sh: expected", result.stderr)

    # --- services ---

    def recipe(self, name):
        """The recipe as JSON has it. ci/setup installs PyYAML for Debian's own python3, which may not be this one."""
        convert = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"
        with open(source("ci/recipes", name), encoding="utf-8") as file:
            read = subprocess.run(["/usr/bin/python3", "-c", convert], stdin=file, capture_output=True, text=True)
        self.assertEqual(read.returncode, 0, read.stderr)
        return json.loads(read.stdout)

    def test_github_pull_request(self):
        self.github("pull_request", {"github.event.pull_request.base.sha || github.event.before": self.base})
        self.assertFalse(os.path.exists(os.path.join(self.repository, "out/history")))

    def test_github_push_fills_the_history(self):
        self.github("push", {"github.event.pull_request.base.sha || github.event.before": self.base})
        history = os.path.join(self.repository, "out/history/gate.sqlite")
        self.assertEqual(self.json_ok(["gate", "history", "runs", "--db", history, "--format", "json"])[0]["revision"],
                         self.head)

    def github(self, event, values):
        workflow = self.recipe("github.yml")
        self.assertIn(event, workflow["true"])  # YAML 1.1 reads `on` as true
        values = dict(values, **{"github.event_name == 'push'": "true" if event == "push" else "false"})
        fill = lambda text: re.sub(r"\$\{\{ (.*?) \}\}", lambda match: values[match.group(1)], str(text))
        job = workflow["jobs"]["gate"]
        summary = self.path("step-summary.md")
        uploads, ran = [], 0
        for step in job["steps"]:
            if "uses" in step:
                self.assertRegex(step["uses"], r"^actions/[a-z-]+@v\d+$")
                uploads += step.get("with", {}).get("path", "").split() if "upload" in step["uses"] else []
                continue
            if step["name"].startswith("Install"):
                continue  # apt-get: what an image needs before there is a repository
            env = {name: fill(value) for name, value in {**workflow["env"], **step.get("env", {})}.items()}
            env.update(GATE_POINTS=self.POINTS, GATE_MAX_TIME="4", GITHUB_WORKSPACE=self.repository,
                       GITHUB_STEP_SUMMARY=summary, GITHUB_EVENT_NAME=event, GITHUB_ACTIONS="true", CI="true")
            self.assertEqual(step["shell"], "bash")
            script = write(self.path("step.sh"), fill(step["run"]))
            result = self.shell(["bash", "--noprofile", "--norc", "-eo", "pipefail", script], **env)
            self.check_outputs(result.returncode)
            ran += 1
        self.assertEqual(ran, 1)
        for path in uploads:
            self.assertTrue(os.path.exists(os.path.join(self.repository, path)), path)
        self.assertEqual(len(uploads), 3)

    def test_gitlab_merge_request(self):
        self.gitlab(CI_PIPELINE_SOURCE="merge_request_event", CI_MERGE_REQUEST_DIFF_BASE_SHA=self.base)
        self.assertFalse(os.path.exists(os.path.join(self.repository, "out/history")))

    def test_gitlab_default_branch_fills_the_history(self):
        self.gitlab(CI_COMMIT_BRANCH="main", CI_COMMIT_BEFORE_SHA=self.base)
        self.assertTrue(os.path.exists(os.path.join(self.repository, "out/history/gate.sqlite")))

    def gitlab(self, **env):
        job = self.recipe("gitlab.yml")["gate"]
        variables = {name: str(value) for name, value in job["variables"].items()}
        variables.update(GATE_POINTS=self.POINTS, GATE_MAX_TIME="4", CI_PROJECT_DIR=self.repository, CI="true",
                         CI_DEFAULT_BRANCH="main", **env)
        lines = job["before_script"] + job["script"]
        result = self.shell(["bash", "-c", "set -eo pipefail\n" + "\n".join(lines)], **variables)
        self.check_outputs(result.returncode)
        for path in job["artifacts"]["paths"] + [job["artifacts"]["reports"]["junit"]]:
            self.assertTrue(os.path.exists(os.path.join(self.repository, path)), path)


if __name__ == "__main__":
    support.main()
