"""Every bad input gets a clear error: an exit code, a message, nothing on stdout, nothing written over.

Each case is a row of TABLE: name, how it is set up, exit code, what the message must say. The table that the tests
print at the end (input, exit code, message) is what the program really said.
"""

import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import time

import support
from support import SHAPE, TINY, checkpoint, write

SHORT = ["sweep", "--model", "bert-tiny", "--question", "4", "--passage", "16", "--split", "1", "--rounds", "10",
         "--threads", "1"]


def sweep(*more, drop=()):
    """A good small sweep with options replaced or added; `drop` names those left out."""
    options = {"--model": "bert-tiny", "--question": "4", "--passage": "16", "--split": "1", "--rounds": "10",
               "--threads": "1"}
    rest = list(more)
    while len(rest) >= 2 and rest[0].startswith("--") and rest[0] in options:
        options[rest[0]] = rest[1]
        rest = rest[2:]
    for name in drop:
        options.pop(name, None)
    return ["sweep"] + [word for pair in options.items() for word in pair] + rest


# --- plain words on the command line ------------------------------------------------------------------------------

USAGE = [
    ("no verb", [], r"verb|subcommand|help"),
    ("unknown verb", ["swep"], r"sweep"),
    ("unknown flag", sweep("--modle", "x"), r"there is no option --modle; did you mean --model\?"),
    ("a word that belongs to no option", sweep("word"), r"'word'"),
    ("unknown flag of another verb", ["cost", "--model", "bert-tiny", "--task", "squad", "--spilt", "1"], r"--spilt.*--split"),
    ("unknown flag of report", ["report", "--fromat", "json", "x.jsonl"], r"--fromat.*--format"),
    ("unknown model", sweep("--model", "bert-bsae"), r"bert-bsae.*did you mean bert-base\?"),
    ("unknown task", sweep("--task", "sqad"), r"sqad.*did you mean squad\?"),
    ("unknown dtype", sweep("--dtype", "f33"), r"f33.*did you mean f32\?"),
    ("unknown cache dtype", sweep("--cache-dtype", "f33"), r"f33"),
    ("unknown variant", sweep("--variant", "chached"), r"chached.*did you mean cached\?"),
    ("unknown backend", sweep("--backend", "gpu9"), r"gpu9"),
    ("unknown order", sweep("--order", "sideways"), r"sideways"),
    ("unknown format", sweep("--format", "yaml"), r"yaml"),
    ("empty variant list", sweep("--variant", ""), r"variant"),
    ("empty model", sweep("--model", ""), r"model"),
    ("empty axis", sweep("--split", ""), r"split|axis|empty"),
    ("axis of a comma", sweep("--split", ","), r"split|axis"),
    ("axis with an empty part", sweep("--question", "4,,5"), r"question|axis"),
    ("reversed axis", sweep("--split", "5:1"), r"5:1"),
    ("axis with step 0", sweep("--question", "1:9:0"), r"1:9:0|step"),
    ("axis with negative step", sweep("--question", "1:9:-1"), r"1:9:-1|step"),
    ("axis multiplied by 1", sweep("--question", "1:64:x1"), r"x1"),
    ("axis multiplied from 0", sweep("--split", "0:2:x2"), r"0:2:x2|axis"),
    ("axis of letters", sweep("--question", "four"), r"four"),
    ("axis of a fraction", sweep("--question", "4.5"), r"4\.5"),
    ("axis of too many values", sweep("--question", "1:9000000000000"), r"9000000000000"),
    ("a sweep of too many points", sweep("--question", "1:60000", "--passage", "1:60000"), r"points|many|too"),
    ("k over n everywhere", sweep("--split", "3:9"), r"split|layers"),
    ("k below 0", sweep("--split=-1", drop=["--split"]), r"-1"),
    ("batch 0", sweep("--batch", "0"), r"batch"),
    ("threads 0", sweep("--threads", "0"), r"threads"),
    ("instances 0", sweep("--instances", "0"), r"instances"),
    ("questions per passage 0", sweep("--questions-per-passage", "0"), r"questions-per-passage"),
    ("candidates 0", sweep("--candidates", "0"), r"candidates"),
    ("question 0", sweep("--question", "0"), r"question"),
    ("passage 0", sweep("--passage", "0"), r"passage"),
    ("passages 0", sweep("--passages", "0"), r"passages"),
    ("lengths missing", sweep(drop=["--question", "--passage"]), r"question|passage|task"),
    ("model missing", sweep(drop=["--model"]), r"model"),
    ("a passage over 65536 tokens", sweep("--passage", "70000"), r"65.?53[56]"),
    ("question and passage over 65536 tokens", sweep("--question", "40000", "--passage", "40000"), r"65.?53[56]"),
    ("rounds 0", sweep("--rounds", "0"), r"rounds"),
    ("rounds negative", sweep("--rounds", "-3"), r"rounds"),
    ("rounds overflow", sweep("--rounds", "99999999999999999999"), r"99999999999999999999|rounds"),
    ("batch overflow", sweep("--batch", "99999999999999999999"), r"99999999999999999999"),
    ("split overflow", sweep("--split", "18446744073709551617"), r"18446744073709551617"),
    ("seed overflow", sweep("--seed", "99999999999999999999"), r"seed"),
    ("seed negative", sweep("--seed", "-1"), r"seed"),
    ("passages overflow", sweep("--passages", "99999999999999999999"), r"passages"),
    ("threads overflow", sweep("--threads", "99999999999"), r"threads"),
    ("axis end overflow", sweep("--question", "1:99999999999999999999"), r"99999999999999999999"),
    ("max-time overflow", sweep("--max-time", "1e400"), r"max-time|1e400"),
    ("max-time of letters", sweep("--max-time", "soon"), r"--max-time: expected a number, found 'soon'"),
    ("run file on stdout", sweep("-o", "-"), r"stdout"),
    ("batches that memory can't hold", sweep("--batch", "1:100000"), r"texts"),
    ("max-time nan", sweep("--max-time", "nan"), r"max-time"),
    ("max-time negative", sweep("--max-time", "-1"), r"max-time"),
    ("max-time 0", sweep("--max-time", "0"), r"max-time"),
    ("max-time inf", sweep("--max-time", "inf"), r"max-time"),
    ("rate nan", ["cost", "--model", "bert-tiny", "--task", "squad", "--rate", "nan"], r"rate"),
    ("rate 0", ["cost", "--model", "bert-tiny", "--task", "squad", "--rate", "0"], r"rate"),
    ("lengths of nothing", sweep("--lengths", "uniform:"), r"uniform"),
    ("lengths reversed", sweep("--lengths", "uniform:20-10"), r"uniform|20-10"),
    ("lengths file missing", sweep("--lengths", "nowhere.txt"), r"nowhere\.txt"),
    ("filter that is no regular expression", sweep("--filter", "(("), r"filter|regular|\(\("),
    ("text without questions", sweep("--text", "text.txt"), r"questions"),
    ("text with a random model", sweep("--text", "text.txt", "--questions", "text.txt"), r"text|vocab"),
    ("config file missing", sweep("--config", "nowhere.toml"),
     r"--config: expected a file, found none named 'nowhere\.toml'"),
    ("config file malformed", sweep("--config", "bad.toml"), r"bad\.toml|config"),
    ("config file with an unknown option", sweep("--config", "unknown.toml"),
     r"unknown\.toml: .*found 'modle'; did you mean model\?"),
    ("repetitions after --", sweep("--", "--benchmark_repetitions=3"), r"repetitions"),
    ("min_time after --", sweep("--", "--benchmark_min_time=3"), r"min_time"),
    ("interleaving after --", sweep("--", "--benchmark_enable_random_interleaving=true"), r"interleaving"),
    ("unknown word after --", sweep("--", "--benchmark_nonsense=1"), r"benchmark_nonsense"),
    ("format that does not exist", ["report", "good.jsonl", "--format", "jsn"],
     r"--format: expected one of console .* found 'jsn'; did you mean json\?"),
    ("report of nothing", ["report", "nowhere.jsonl"], r"nowhere\.jsonl"),
    ("report without a file", ["report"], r"FILE|file"),
    ("report of a directory", ["report", "."], r"directory|regular"),
    ("report of something else", ["report", "text.txt"], r"text\.txt"),
    ("report of random bytes", ["report", "bytes.jsonl"], r"bytes\.jsonl"),
    ("compare with one file", ["compare", "good.jsonl"], r"B|required"),
    ("compare with nothing", ["compare", "good.jsonl", "nowhere.jsonl"], r"nowhere\.jsonl"),
    ("verify nowhere", ["verify", "nowhere"], r"nowhere"),
    ("verify a folder of nothing", ["verify", "."], r"golden|config"),
    ("verify an unknown dtype", ["verify", "nowhere", "--dtype", "f31"], r"f31"),
    ("cost of an unknown model", ["cost", "--model", "bert-huge", "--task", "squad"], r"bert-huge"),
]

# --- checkpoints that are not what they say -----------------------------------------------------------------------


def first(header):
    return header["embeddings.word_embeddings.weight"]


def spoil(name):
    """An `edit` for support.safetensors."""
    query = "encoder.layer.0.attention.self.query.weight"

    def missing(header, data):
        # The last tensor, with its bytes, so that nothing else is wrong.
        last = max(header, key=lambda n: header[n]["data_offsets"][1])
        del data[header[last]["data_offsets"][0]:]
        del header[last]

    def overlap(header, data):
        header[query]["data_offsets"] = [o - 64 for o in header[query]["data_offsets"]]

    def beyond(header, data):
        last = max(header, key=lambda n: header[n]["data_offsets"][1])
        header[last]["data_offsets"][1] += 4096
        header[last]["shape"] = [header[last]["shape"][0] + 1024]

    def far(header, data):
        header[query]["data_offsets"] = [2**62, 2**62 + 4096]

    def negative(header, data):
        header[query]["data_offsets"] = [-4096, 0]

    def backwards(header, data):
        header[query]["data_offsets"].reverse()

    def dtype(header, data):
        header[query]["dtype"] = "I32"

    def odd(header, data):
        header[query]["dtype"] = "Q7"

    def shape(header, data):
        header[query]["shape"] = [16, 64]

    def huge(header, data):
        header[query]["shape"] = [2**40, 2**40]

    def signed(header, data):
        header[query]["shape"] = [-32, -32]

    def nan(header, data):
        struct.pack_into("<f", data, header[query]["data_offsets"][0] + 40, float("nan"))

    def infinite(header, data):
        struct.pack_into("<f", data, header[query]["data_offsets"][0] + 40, float("inf"))

    def trailing(header, data):
        data.extend(bytes(64))

    def gap(header, data):
        data.extend(bytes(64 + 4))
        header["position_ids"] = {"dtype": "F32", "shape": [1], "data_offsets": [len(data) - 4, len(data)]}

    return locals()[name]


SAFETENSORS = [  # name, edit, message
    ("tensor missing", "missing", r"missing|output\.LayerNorm|encoder\.layer\.1"),
    ("offsets that overlap", "overlap", r"overlap|offset|gap"),
    ("offsets beyond the file", "beyond", r"beyond|offset|bytes|end"),
    ("offsets far beyond the file", "far", r"beyond|offset|bytes|end"),
    ("negative offsets", "negative", r"offset|negative"),
    ("offsets backwards", "backwards", r"offset"),
    ("weights of integers", "dtype", r"I32"),
    ("weights of an unknown dtype", "odd", r"Q7"),
    ("shape that does not fit the model", "shape", r"shape|16"),
    ("shape that overflows", "huge", r"shape|bytes|overflow|large"),
    ("shape of negative numbers", "signed", r"shape|negative|-32"),
    ("weights that are NaN", "nan", r"(?i)nan|not finite|finite"),
    ("weights that are infinite", "infinite", r"(?i)inf|finite"),
    ("bytes after the last tensor", "trailing", r"after|trailing|last|bytes"),
    ("a gap between tensors", "gap", r"gap|between|hole|contiguous|offset"),
]

CONFIGS = [  # name, change of config.json, message
    ("config with strings for numbers", {"hidden_size": "32"}, r"hidden_size"),
    ("config with a string of layers", {"num_hidden_layers": "two"}, r"num_hidden_layers"),
    ("config with a fraction", {"num_hidden_layers": 1.5}, r"num_hidden_layers"),
    ("config with negative layers", {"num_hidden_layers": -2}, r"num_hidden_layers"),
    ("config with no layers", {"num_hidden_layers": 0}, r"num_hidden_layers|layers"),
    ("heads that do not divide d", {"num_attention_heads": 5}, r"head"),
    ("no heads", {"num_attention_heads": 0}, r"head"),
    ("10^12 layers", {"num_hidden_layers": 10**12}, r"num_hidden_layers|layers"),
    ("10^30 layers", {"num_hidden_layers": 10**30}, r"num_hidden_layers|layers"),
    ("d of 10^12", {"hidden_size": 10**12}, r"hidden_size"),
    ("config null", {"hidden_size": None}, r"hidden_size"),
    ("activation unknown", {"hidden_act": "swoosh"}, r"swoosh"),
    ("model type unknown", {"model_type": "gpt9"}, r"gpt9"),
    ("eps that is a string", {"layer_norm_eps": "small"}, r"layer_norm_eps"),
    ("eps negative", {"layer_norm_eps": -1}, r"layer_norm_eps"),
]

RUN_FILES = [  # name, what is done to a good run file's lines, message
    ("a bad line in the middle", lambda lines: lines[:1] + ["{oops"] + lines[1:], r"(?i)line 2|:2"),
    ("a line of another type", lambda lines: lines[:1] + ["[1,2]"] + lines[1:], r"(?i)line 2|:2"),
    ("a bare NaN in the middle", lambda lines: lines[:1] + ['{"type":"end","x":NaN}'] + lines[1:], r"(?i)line 2|:2"),
    ("a record without a key", lambda lines: lines[:1] + [edited(lines[1], key=None)] + lines[2:], r"key"),
    ("a record whose samples are words", lambda lines: [lines[0], edited_time(lines[1])] + lines[2:], r"samples"),
    ("a status of another kind", lambda lines: [lines[0], edited(lines[1], status="fine")] + lines[2:], r"status|fine"),
    ("another schema", lambda lines: [edited(lines[0], schema=2)] + lines[1:], r"schema"),
    ("another schema of a record", lambda lines: [lines[0], edited(lines[1], schema=9)] + lines[2:], r"schema"),
    ("a million brackets", lambda lines: lines[:1] + ["[" * 1000000] + lines[1:], r"(?i)line 2|:2"),
    ("a line of bytes that are no UTF-8", lambda lines: lines[:1] + ["\udcff\udcfe"] + lines[1:], r"(?i)line 2|:2"),
]

OF_OTHERS = [  # refused by sweep only
    ("another build", lambda lines: [edited(lines[0], build="000000000000")] + lines[1:], r"build"),
    ("another machine", lambda lines: [other_machine(lines[0])] + lines[1:], r"Abacus|cpu_model|machine"),
]


def edited(line, **fields):
    record = json.loads(line)
    for name, value in fields.items():
        if value is None:
            del record[name]
        else:
            record[name] = value
    return json.dumps(record, separators=(",", ":"))


def edited_time(line):
    record = json.loads(line)
    record["time"]["samples"] = ["fast"] * len(record["time"]["samples"])
    return json.dumps(record, separators=(",", ":"))


def other_machine(line):
    run = json.loads(line)
    run["machine"]["cpu_model"] = run["machine"]["deciding"]["cpu_model"] = "Abacus 3000"
    return json.dumps(run, separators=(",", ":"))


# --- the tests ----------------------------------------------------------------------------------------------------

ROWS = []  # what is printed at the end
GOOD = {}


def setUpModule():
    at = support.folder()
    GOOD["run"] = os.path.join(at, "good.jsonl")
    result = support.run(SHORT + ["-o", GOOD["run"]])
    assert result.code == 0, str(result)


def tearDownModule():
    width = max([len(row[0]) for row in ROWS] + [5])
    print(f"\n{'input':{width}}  exit  message")
    for name, code, message in ROWS:
        print(f"{name:{width}}  {code!s:>4}  {message}")


def message_of(result):
    lines = [line for line in result.err.splitlines() if line.startswith("deformer-bench: ")]
    return lines[-1] if lines else (result.err.strip().splitlines() or ["(nothing)"])[-1]


def contents(folder):
    return {os.path.join(base, name): support.read_bytes(os.path.join(base, name))
            for base, _, names in os.walk(folder) for name in names}


class BadInput(support.TestCase):
    def setUp(self):
        super().setUp()
        shutil.copy(GOOD["run"], self.path("good.jsonl"))
        write(self.path("text.txt"), "the source of the work is free software\n" * 3)
        write(self.path("empty.jsonl"), "")
        write(self.path("bad.toml"), "model = [[[\n")
        write(self.path("unknown.toml"), 'modle = "bert-base"\n')
        with open(self.path("bytes.jsonl"), "wb") as file:
            file.write(bytes(range(256)) * 40)

    def refused(self, name, args, message, code=2, keep=True, **kwargs):
        """Run, and hold the program to all that a bad input deserves."""
        before = contents(self.at)
        result = support.run(args, timeout=20, cwd=self.at, **kwargs)
        ROWS.append((name, result.code, message_of(result)))
        self.assertIsNotNone(result.code, "did not end in 20 s\n" + str(result))
        self.assertGreaterEqual(result.code, 0, "died of a signal\n" + str(result))
        self.assertEqual(result.code, code, str(result))
        self.assertRegex(result.err, r"(?m)^deformer-bench: \S", str(result))
        self.assertRegex(result.err, message, str(result))
        self.assertEqual(result.out, "", str(result))
        if keep:
            after = contents(self.at)
            for path, data in before.items():
                self.assertEqual(after.get(path), data, f"{path} was written over\n{result}")
        return result

    # -- files ----
    def model_sweep(self, model, *more):
        return sweep("--model", model, *more)

    def test_good_checkpoint_is_measured(self):
        """The control: the folder which the other tests spoil is a good one."""
        checkpoint(self.path("good"))
        self.run_ok(self.model_sweep("good", "-o", "new.jsonl"))

    def test_weights_missing(self):
        checkpoint(self.path("bad"))
        os.remove(self.path("bad", "model.safetensors"))
        self.refused("safetensors missing", self.model_sweep("bad"), r"model\.safetensors")

    def test_config_missing(self):
        checkpoint(self.path("bad"))
        os.remove(self.path("bad", "config.json"))
        self.refused("config.json missing", self.model_sweep("bad"), r"config\.json")

    def test_config_malformed(self):
        checkpoint(self.path("bad"))
        write(self.path("bad", "config.json"), '{"hidden_size": 32,')
        self.refused("config.json malformed", self.model_sweep("bad"), r"config\.json")

    def test_config_deeply_nested(self):
        checkpoint(self.path("bad"))
        write(self.path("bad", "config.json"), "[" * 2000000)
        self.refused("config.json of brackets", self.model_sweep("bad"), r"config\.json")

    def test_vocabulary_missing(self):
        checkpoint(self.path("bad"), vocabulary=False)
        args = self.model_sweep("bad", "--text", "text.txt", "--questions", "text.txt")
        self.refused("vocab.txt missing", args, r"vocab\.txt")

    def weights(self, name, data, message):
        checkpoint(self.path("bad"), weights=data)
        self.refused(name, self.model_sweep("bad"), message)

    def test_weights_empty(self):
        self.weights("safetensors empty", b"", r"model\.safetensors")

    def test_weights_seven_bytes(self):
        self.weights("safetensors of 7 bytes", b"\x01" * 7, r"model\.safetensors")

    def test_weights_truncated(self):
        self.weights("safetensors truncated", support.safetensors(support.CONFIG)[:-1000], r"model\.safetensors")

    def test_weights_header_cut(self):
        self.weights("safetensors cut in the header", support.safetensors(support.CONFIG)[:100], r"header")

    def test_weights_header_beyond(self):
        self.weights("header length beyond the file", struct.pack("<Q", 10**9) + b"{}", r"header")

    def test_weights_header_of_everything(self):
        self.weights("header length 2^64-1", b"\xff" * 8 + b"{}", r"header")

    def test_weights_header_no_json(self):
        self.weights("header that is no JSON", struct.pack("<Q", 8) + b"notjson!" + bytes(64), r"header|JSON")

    def test_positions(self):
        checkpoint(self.path("real"))
        self.refused("lengths over a real model's positions", self.model_sweep("real", "--passage", "100"),
                     r"position|64")

    def test_text_too_short(self):
        checkpoint(self.path("real"))
        args = self.model_sweep("real", "--passage", "48", "--text", "text.txt", "--questions", "text.txt")
        self.refused("text too short", args, r"text|words|window|short")

    def test_text_missing(self):
        checkpoint(self.path("real"))
        args = self.model_sweep("real", "--text", "nowhere.txt", "--questions", "text.txt")
        self.refused("text missing", args, r"nowhere\.txt")

    def test_environment_twin_of_words(self):
        self.refused("environment twin that is no number", sweep(drop=["--rounds"]), r"(?i)rounds",
                     env={"DEFORMER_BENCH_ROUNDS": "ten"})

    def test_config_file_of_words(self):
        write(self.path("words.toml"), 'rounds = "ten"\n')
        self.refused("config file with words for numbers", sweep("--config", "words.toml", drop=["--rounds"]), r"rounds")

    def test_text_without_a_question(self):
        checkpoint(self.path("real"))
        args = self.model_sweep("real", "--text", "text.txt", "--questions", "empty.jsonl")
        self.refused("questions empty", args, r"question|empty")

    # -- run files ----
    def test_run_file_directory(self):
        os.mkdir(self.path("folder"))
        self.refused("run file is a directory", sweep("-o", "folder"), r"folder.*directory|directory.*folder")

    def test_run_file_in_no_directory(self):
        self.refused("run file in no directory", sweep("-o", "no/where.jsonl"), r"no/where\.jsonl")

    def test_run_file_read_only(self):
        os.chmod(self.path("good.jsonl"), 0o444)
        prefix = []
        if os.geteuid() == 0:  # root writes to read-only files unless it gives that up
            prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
        args = sweep("--question", "5", "-o", "good.jsonl")
        self.refused("run file is read-only", args, r"good\.jsonl", prefix=prefix)

    def test_run_file_locked(self):
        out = self.path("locked.jsonl")
        other = support.start(sweep("--rounds", "100000", "-o", out), cwd=self.at)
        try:
            deadline = time.monotonic() + 20
            while not (os.path.exists(out) and os.path.getsize(out)) and time.monotonic() < deadline:
                time.sleep(0.02)
            result = self.refused("run file is locked", sweep("-o", out), r"locked\.jsonl")
            self.assertIsNone(other.poll(), "the other run ended too early: " + str(result))
        finally:
            other.kill()
            other.communicate()

    def full_disk(self, name, args, check):
        """On a tmpfs of 64 kB in a mount namespace of its own, where root may do that."""
        script = ('mkdir disk && mount -t tmpfs -o size=64k none disk && cp good.jsonl disk/run.jsonl && '
                  'head -c 100000 /dev/zero >disk/ballast 2>/dev/null; "$@"; code=$?; cp disk/run.jsonl after.jsonl; exit $code')
        probe = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True)
        if probe.returncode != 0:
            self.skipTest("no right to mount a small tmpfs here")
        result = self.refused(name, args, r"(?i)space|full|write|disk", prefix=["unshare", "-m", "sh", "-c", script, "sh"])
        check(self.path("after.jsonl"))

    def test_full_disk(self):
        good = support.read_bytes(self.path("good.jsonl"))

        def check(path):
            self.assertTrue(support.read_bytes(path).startswith(good), "earlier records were lost")

        self.full_disk("full disk while writing", sweep("--question", "5,6,7", "-o", "disk/run.jsonl"), check)

    def test_file_size_limit(self):
        """A file that may not grow: what is measured fits nowhere, what was there stays."""
        size = os.path.getsize(self.path("good.jsonl"))

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 3000, size + 3000))

        good = support.read_bytes(self.path("good.jsonl"))
        args = sweep("--question", "5", "-o", "good.jsonl")
        self.refused("file size limit while writing", args, r"(?i)space|full|write|large|big", keep=False, preexec_fn=limit)
        data = support.read_bytes(self.path("good.jsonl"))
        self.assertTrue(data.startswith(good), "earlier records were lost")
        result = self.run_ok(args)  # and the file can be used again
        self.assertIn("q5", result.out + json.dumps(support.records(self.path("good.jsonl"))[-1]["name"]))

    def test_torn_last_line_is_cut_and_reported(self):
        with open(self.path("good.jsonl"), "ab") as file:
            file.write(b'{"type":"record","schema":1,"ru')
        result = self.run_ok(sweep("-o", "good.jsonl"))
        self.assertEqual(len([l for l in result.err.splitlines() if "torn" in l.lower() or "cut" in l.lower()]), 1, str(result))
        support.read_run_file(self.path("good.jsonl"))


def identifier(name):
    return "test_" + re.sub(r"\W+", "_", name.replace("-", "minus_") if name[:1] == "-" else name).strip("_")


def add(prefix, name, body):
    method = identifier(prefix + " " + name)
    assert not hasattr(BadInput, method), method
    body.__name__ = method
    setattr(BadInput, method, body)


def _usage(name, args, message):
    add("usage", name, lambda self: self.refused(name, args, message))


def _safetensors(name, edit, message):
    def body(self):
        checkpoint(self.path("bad"), edit=spoil(edit))
        result = self.refused(name, self.model_sweep("bad"), message)
        self.assertIn("model.safetensors", result.err)
    add("safetensors", name, body)


def _config(name, change, message):
    def body(self):
        checkpoint(self.path("bad"), config=change)
        result = self.refused(name, self.model_sweep("bad"), message)
        self.assertIn("config.json", result.err)
    add("config", name, body)


def _run_file(name, change, message, verbs):
    def body(self):
        lines = support.read_bytes(self.path("good.jsonl")).decode().splitlines()
        with open(self.path("bad.jsonl"), "wb") as file:
            file.write(("\n".join(change(lines)) + "\n").encode("utf-8", "surrogateescape"))
        commands = {"sweep": sweep("-o", "bad.jsonl"), "report": ["report", "bad.jsonl"],
                    "compare": ["compare", "good.jsonl", "bad.jsonl"]}
        for verb in verbs:
            with self.subTest(verb=verb):
                result = self.refused(f"{name} ({verb})", commands[verb], message)
                self.assertIn("bad.jsonl", result.err)
    add("run file", name, body)


for row in USAGE:
    _usage(*row)
for row in SAFETENSORS:
    _safetensors(*row)
for row in CONFIGS:
    _config(*row)
for row in RUN_FILES:
    _run_file(*row, verbs=["sweep", "report", "compare"])
for row in OF_OTHERS:
    _run_file(*row, verbs=["sweep"])

if __name__ == "__main__":
    support.main()
