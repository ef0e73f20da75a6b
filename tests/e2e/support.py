"""What the end-to-end tests share: running the program, temporary folders, small checkpoints written by hand.

Only the standard library, so that the tests run on a bare Debian 12.
"""

import argparse
import atexit
import hashlib
import json
import math
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

SKIPPED = 77  # what ctest takes for "could not run" (SKIP_RETURN_CODE)

PROGRAM = None  # set by main()
OPTIONS = None
_ROOT = None


class Result:
    """One finished run of the program."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err, self.seconds = command, code, out, err, seconds

    def __str__(self):
        return "\n".join(["command: " + " ".join(self.command), f"exit code: {self.code} after {self.seconds:.2f} s",
                          "stdout: " + self.out[:2000], "stderr: " + self.err[:3000]])


# For `env`: roofs are measured, as they are unless somebody turns them off.
WITH_ROOFS = {"DEFORMER_BENCH_ROOFS": None}


def clean_environment(extra=None):
    """The caller's environment without any twin of an option that could change what a test measures. `extra`: values to
    set; None takes one away."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("DEFORMER_BENCH_")}
    env["LC_ALL"] = "C.UTF-8"
    env["DEFORMER_BENCH_CACHE_DIR"] = os.path.join(root(), "cache")  # never the user's own
    # To measure memory takes a sweep 3 s where the last-level cache is large, and there are hundreds: only tests of what
    # stands under roofs have them (WITH_ROOFS).
    env["DEFORMER_BENCH_ROOFS"] = "off"
    env.update(extra or {})
    return {name: value for name, value in env.items() if value is not None}


def command_of(args):
    return [PROGRAM] + [str(a) for a in args]


def run(args, env=None, timeout=60, cwd=None, prefix=(), **popen):
    """Run the program to its end; a hang is killed and reported as exit code None."""
    command = list(prefix) + command_of(args)
    start = time.monotonic()
    popen.setdefault("stdout", subprocess.PIPE)
    popen.setdefault("stderr", subprocess.PIPE)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=clean_environment(env),
                               cwd=cwd or folder(), **popen)
    try:
        out, err = process.communicate(timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        code = None
    text = lambda data: (data or b"").decode("utf-8", "replace")
    return Result(command, code, text(out), text(err), time.monotonic() - start)


def start(args, env=None, cwd=None):
    """Start the program in the background; the caller ends it."""
    return subprocess.Popen(command_of(args), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, env=clean_environment(env), cwd=cwd or folder())


def root():
    """The folder of everything these tests write, removed when they end."""
    global _ROOT
    if _ROOT is None:
        _ROOT = tempfile.mkdtemp(prefix="deformer-e2e-")
        atexit.register(shutil.rmtree, _ROOT, True)
    return _ROOT


def folder():
    """A fresh folder, removed when the tests end."""
    return tempfile.mkdtemp(dir=root())


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def no_constant(name):
    raise ValueError("not valid JSON: " + name)


def parse(text):
    """JSON as the standard has it: a bare NaN or Infinity is an error."""
    return json.loads(text, parse_constant=no_constant)


def read_run_file(path):
    """Every line of a run file; each must be complete and valid."""
    data = read_bytes(path)
    assert data.endswith(b"\n"), "the run file does not end with a newline"
    return [parse(line.decode("utf-8")) for line in data.splitlines()]


def records(path):
    return [line for line in read_run_file(path) if line["type"] == "record"]


def latest(path):
    """The current record of every key."""
    return {record["key"]: record for record in records(path)}


def canonical_hash(point):
    text = json.dumps(point, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


# --- tables of cases ----------------------------------------------------------------------------------------------

_CASES = []


def case(what, verdict, code, said=""):
    """A row of the table that is printed when the tests end: what was done, the verdict ("-": none) and exit code
    that were found, and the line that says why."""
    if not _CASES:
        atexit.register(_print_cases)
    _CASES.append((what, verdict or "-", "-" if code is None else str(code), said))


def last_line(err):
    """What the program said last, its reason: without the verdict, which has its own column, and our folders."""
    lines = [line for line in err.strip().splitlines() if line.startswith("deformer-bench: ")] or [""]
    said = re.sub(r"^deformer-bench: (error: |gate: [A-Z]+: )?", "", lines[-1])
    said = re.sub(re.escape(root()) + r"/\w+/", "", said)
    return "".join(c if c.isprintable() else "?" for c in said)


def _print_cases():
    width = max(len(what) for what, _, _, _ in _CASES)
    print(f"\n{'case':<{width}}  {'verdict':<12}  exit  what is said")
    for what, verdict, code, said in _CASES:
        print(f"{what:<{width}}  {verdict:<12}  {code:>4}  {said[:150]}".rstrip())


# --- small real checkpoints -------------------------------------------------------------------------------------

CONFIG = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 32, "num_hidden_layers": 2,
          "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 100, "max_position_embeddings": 64,
          "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12}

WORDS = ["the", "of", "and", "to", "a", "in", "that", "is", "you", "work", "copy", "license", "source", "code",
         "free", "software", "what", "who", "may", "must", "when", "this", "for", "any", "?", ".", ",", "##s", "##ing"]


def bert_shapes(config):
    """Hugging Face names and shapes of a bare BERT."""
    d, ff = config["hidden_size"], config["intermediate_size"]
    shapes = {"embeddings.word_embeddings.weight": [config["vocab_size"], d],
              "embeddings.position_embeddings.weight": [config["max_position_embeddings"], d],
              "embeddings.token_type_embeddings.weight": [config["type_vocab_size"], d],
              "embeddings.LayerNorm.weight": [d], "embeddings.LayerNorm.bias": [d]}
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes[at + name + ".weight"], shapes[at + name + ".bias"] = [d, d], [d]
        shapes[at + "intermediate.dense.weight"], shapes[at + "intermediate.dense.bias"] = [ff, d], [ff]
        shapes[at + "output.dense.weight"], shapes[at + "output.dense.bias"] = [d, ff], [d]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[at + name + ".weight"], shapes[at + name + ".bias"] = [d], [d]
    return shapes


def safetensors(config, edit=None):
    """The bytes of a model.safetensors with random F32 weights. `edit(header, data)` may spoil either."""
    rng = random.Random(7)
    header, data = {}, bytearray()
    for name, shape in bert_shapes(config).items():
        count = math.prod(shape)
        centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
        data += struct.pack(f"<{count}f", *(rng.gauss(centre, 0.1) for _ in range(count)))
    if edit:
        edit(header, data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def checkpoint(path, config=None, edit=None, weights=None, vocabulary=True):
    """Write a checkpoint folder: config.json, model.safetensors, vocab.txt. Returns its path."""
    os.makedirs(path, exist_ok=True)
    config = dict(CONFIG, **(config or {}))
    write(os.path.join(path, "config.json"), json.dumps(config))
    if weights is None:
        weights = safetensors(CONFIG, edit)
    with open(os.path.join(path, "model.safetensors"), "wb") as file:
        file.write(weights)
    if vocabulary:
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS
        words += [f"word{i}" for i in range(CONFIG["vocab_size"] - len(words))]
        write(os.path.join(path, "vocab.txt"), "\n".join(words) + "\n")
    return path


# --- running the tests ------------------------------------------------------------------------------------------

class TestCase(unittest.TestCase):
    longMessage = True

    def setUp(self):
        self.at = folder()

    def path(self, *parts):
        return os.path.join(self.at, *parts)

    def run_ok(self, args, code=0, **kwargs):
        kwargs.setdefault("cwd", self.at)
        result = run(args, **kwargs)
        self.assertEqual(result.code, code, str(result))
        if code != 0:
            self.assertTrue(result.err.strip(), "a non-zero exit leaves a line on stderr\n" + str(result))
        return result

    def json_ok(self, args, code=0, **kwargs):
        result = self.run_ok(list(args), code, **kwargs)
        try:
            document = parse(result.out)
        except ValueError as error:
            self.fail(f"stdout is not JSON: {error}\n{result}")
        verb = args[0]
        self.assertEqual(set(document), {"type", "schema", "rows"}, str(result))
        self.assertEqual((document["type"], document["schema"]), (verb, 1))
        self.assertIsInstance(document["rows"], list)
        return document["rows"]


TINY = ["--model", "bert-tiny", "--rounds", "10", "--threads", "1"]
SHAPE = ["--question", "4", "--passage", "16", "--split", "1"]


def main(**names):
    """Parse `--program P [--data D] [--model-dir M] [test names]`, run, exit 77 if nothing could run."""
    global PROGRAM, OPTIONS
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--source", help="the source folder")
    parser.add_argument("--model-dir")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--build-dir")
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--cuda", default="0", help="1: a CUDA toolkit was found when this was built")
    parser.add_argument("--fake-papi", help="what stands in for libpapi (tests/profilers/fake/papi.cpp)")
    OPTIONS, rest = parser.parse_known_args()
    PROGRAM = os.path.abspath(OPTIONS.program)
    outcome = unittest.main(argv=sys.argv[:1] + rest, verbosity=2, exit=False).result
    for test, reason in outcome.skipped:
        print(f"SKIPPED {test}: {reason}", file=sys.stderr)
    if not outcome.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if outcome.testsRun and len(outcome.skipped) == outcome.testsRun else 0)
