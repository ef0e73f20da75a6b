"""The steps of ci/gpu-check, in the order in which they matter where time is short. Data, so that --dry-run, the tests
and the run read the same list. What times nothing goes first and side by side, then what is timed, alone."""

import dataclasses
import glob

DTYPES = ["f32", "tf32", "bf16", "f16", "fp8"]
# What a device that serves us may lack. Of all else exit 3 is a failure: a library is missing, and nothing was measured.
NOT_EVERYWHERE = ["fp8"]
# Golden models whose rows of 16 to 45 elements e4m3's three bits take beyond 0.99, worst row, on the host too (docs/cuda.md,
# "Widths"); tests/cuda_host/golden_test.cpp has the same list and holds that the others are within.
TOO_NARROW_FOR_FP8 = ["bert-classes", "bert-f16", "bert-span", "xlnet-bf16", "xlnet-erf", "xlnet-span", "xlnet-tanh"]
# L = question + passage. squad's lengths are 27/293.
L384 = ["--question", "27", "--passage", "357"]
SQUAD = ["--task", "squad"]
FULL = ["--variant", "full"]
PAIR = ["--variant", "full,cached"]
MAX_TIME_S, QUICK_S = "10", "3"
ATTRIBUTED = [1, 32, 128]  # batches whose losses are told apart


@dataclasses.dataclass
class Step:
    name: str
    why: str                 # one line: what it shows
    command: list            # program and arguments; {program}, {run_file}, {base}, {large}, {peers}, {work} are filled in
    minutes: float           # it may take; then it is ended and said to be unfinished
    absent_ok: bool = False  # exit 3 (not to be had here) is an answer, not a failure
    found_ok: bool = False   # what the sanitizer finds (exit 9) is an answer, not a failure
    needs: str = ""          # "torch" or programs that must be there, spaces between
    alone: bool = True       # it is timed: nothing else may run
    apart: bool = False      # where there is a budget, it is for a run of its own (--only): it would not end beside others
    environment: dict = dataclasses.field(default_factory=dict)


def side_by_side(*arguments, **more):
    return Step(*arguments, alone=False, **more)


def goldens():
    return sorted(glob.glob("tests/data/golden/*/golden.json"))


def verify_steps():
    folders = [path.rsplit("/", 1)[0] for path in goldens()]
    steps = []
    for family in ("bert", "xlnet"):
        mine = [folder for folder in folders if folder.rsplit("/", 1)[1].startswith(family)]
        for dtype in DTYPES:
            judged = [folder for folder in mine if dtype != "fp8" or folder.rsplit("/", 1)[1] not in TOO_NARROW_FOR_FP8]
            others = f"; too narrow for it: {len(mine) - len(judged)}" if len(judged) < len(mine) else ""
            steps.append(side_by_side(f"verify-{family}-{dtype}", f"parity of {len(judged)} golden directories in {dtype}{others}",
                                      ["{program}", "verify", *judged, "--backend", "cuda", "--dtype", dtype, "--threads",
                                       "2", "--format", "json"], 3, absent_ok=dtype in NOT_EVERYWHERE))
    some = [folder for folder in folders if folder.endswith(("bert-span", "xlnet-span"))]
    for place in ("pinned", "pageable"):
        steps.append(side_by_side(f"verify-{place}", f"parity with cached passages in {place} host memory",
                                  ["{program}", "verify", *some, "--backend", "cuda", "--dtype", "bf16", "--cache-at", place,
                                   "--threads", "2", "--format", "json"], 2))
    return steps


def parity_steps():
    """Models of real size against the reference, by runs whose times nobody reads: they go to a file of their own."""
    def one(name, model, dtypes, *options):
        return side_by_side("parity-" + name, f"{model} against the reference, {dtypes}",
                            ["{program}", "sweep", "--model", model, "--backend", "cuda", *SQUAD, *options, "--variant",
                             "full,decomposed,cached", "--dtype", dtypes, "--rounds", "1", "--quiet", "--threads", "4",
                             "--fresh", "--allow-mixed", "--out", f"{{work}}/parity-{name}.jsonl"], 3,
                            absent_ok=name in NOT_EVERYWHERE)
    base = ["--split", "9", "--batch", "2"]
    return [one("large", "bert-large", "bf16,f16", "--split", "20", "--batch", "1"),
            one("base", "bert-base", "bf16,f16,f32", *base),
            one("fp8", "bert-base", "fp8", *base)]


# Racecheck looks at one kernel's shared memory: kernels that overlap add nothing to see, and its version 2025.3 knows
# nothing of them.
ONE_BY_ONE = {"DEFORMER_BENCH_CUDA_ONE_BY_ONE": "1"}
# Under racecheck the first bf16 kernel of cuBLASLt 13.1 faults, on an H100: with this none runs, nor any library's
# (tests/cuda_host/own_kernels_test.cpp holds that for the cases and widths below).
OWN_KERNELS = {"DEFORMER_BENCH_CUDA_OWN_KERNELS": "1"}
SANITIZER_FOUND = 9  # what the sanitizer exits with where it found something


def sanitizer_steps():
    """Ours: the kernels of this program, by their names; a library's take minutes. docs/cuda.md says how to read what is
    found, that `early` is the only one whose kernels overlap, and that `control` is about the tool and not about us."""
    golden = ["{program}", "verify", "tests/data/golden/bert-span", "tests/data/golden/xlnet-span", "--backend", "cuda",
              "--threads", "2"]
    few = ["--filter", r"^(full|cached\.k1)\.q7\.p15(\.passage-first)?$"]
    one = ["{program}", "verify", "tests/data/golden/bert-span", "--backend", "cuda", "--threads", "2", "--dtype", "bf16",
           "--filter", r"^full\.q7\.p15$"]
    bf16 = [*golden, *few, "--dtype", "bf16"]
    ours = ["--kernel-name", "kns=_ZN8deformer"]
    compiled = ["--kernel-name", "kns=N8deformer"]  # and CUTLASS's tiles, whose loads racecheck does not know how to order

    def swept(model, name, variants=(*PAIR, "--split", "1")):
        return ["{program}", "sweep", "--model", model, "--question", "27", "--passage", "37", *variants,
                "--backend", "cuda", "--dtype", "bf16", "--rounds", "1", "--parity", "off", "--threads", "2", "--quiet",
                "--fresh", "--allow-mixed", "--out", f"{{work}}/{name}.jsonl"]

    def watched(tool, options, command):
        return ["compute-sanitizer", "--tool", tool, "--error-exitcode", str(SANITIZER_FOUND), "--print-limit", "20", *options, *command]

    def step(name, what, options, command, environment):
        tool = name.split("-")[0]
        return side_by_side("sanitizer-" + name, f"compute-sanitizer {tool}, {what}: zero errors",
                            watched(tool, options, command), 8, needs="compute-sanitizer", apart=True, environment=environment)

    control = side_by_side("sanitizer-control", "compute-sanitizer racecheck, the tool on a library's kernel alone: PyTorch's "
                           "bf16 product, none of ours in the process",
                           watched("racecheck", ours, ["{python}", "-B", "ci/gpu.d/torch_product.py"]), 3,
                           needs="torch compute-sanitizer", apart=True, found_ok=True)
    return [control,
            step("racecheck-bf16", "our kernels, BERT and XLNet", ours, bf16, ONE_BY_ONE | OWN_KERNELS),
            step("racecheck-f32", "our kernels, BERT and XLNet", ours, [*golden, *few, "--dtype", "f32"], ONE_BY_ONE),
            step("racecheck-early", "our kernels, each set up while the one before runs", ours, one, OWN_KERNELS),
            step("racecheck-clusters", "our kernels at BERT-base's widths, blocks in clusters", ours,
                 swept("bert-base", "racecheck-clusters", FULL), ONE_BY_ONE | OWN_KERNELS),
            step("synccheck-bf16", "our kernels, BERT and XLNet", ours, bf16, ONE_BY_ONE | OWN_KERNELS),
            step("memcheck-bf16", "our kernels and tiles of CUTLASS, BERT and XLNet", compiled, bf16, ONE_BY_ONE),
            step("memcheck-early", "our kernels and tiles of CUTLASS, each set up while the one before runs", compiled, one, {}),
            step("memcheck-clusters", "our kernels and tiles of CUTLASS at BERT-base's widths, blocks in clusters", compiled,
                 swept("bert-base", "memcheck-clusters"), ONE_BY_ONE),
            step("memcheck-golden", "every kernel, BERT and XLNet", [], bf16, ONE_BY_ONE),
            step("memcheck-libraries", "every kernel of a bert-tiny", [], swept("bert-tiny", "memcheck-libraries"), ONE_BY_ONE),
            step("racecheck-libraries", "every kernel of a bert-tiny", [], swept("bert-tiny", "racecheck-libraries"),
                 ONE_BY_ONE)]


def sweep(name, why, model, *options, minutes=3.0, max_time_s=MAX_TIME_S, parity=True):
    return Step("sweep-" + name, why, ["{program}", "sweep", "--model", model, "--backend", "cuda", *options, "--max-time",
                                       max_time_s, *([] if parity else ["--parity", "off"]), "--out", "{run_file}",
                                       "--allow-mixed"], minutes, absent_ok=name in NOT_EVERYWHERE)


def sweep_steps(quick=False):
    """In the order in which they matter. Where time is short, one dtype is timed, and points of large batches are not
    compared with the reference: parity_steps does that with the same models, dtypes and variants."""
    few = {"max_time_s": QUICK_S if quick else MAX_TIME_S}
    many = few | {"parity": not quick}
    b32 = ["--batch", "32", "--dtype", "bf16"]
    return [
        sweep("base-b1", "BERT-base b1 L384: launch cost, against PyTorch", "{base}", *L384, *FULL, "--batch", "1",
              "--dtype", "bf16" if quick else "bf16,f16,f32", **few),
        sweep("squad-b1", "cached at squad k=9, b1", "{base}", *SQUAD, *PAIR, "--split", "9", "--batch", "1", "--dtype",
              "bf16", **few),
        sweep("squad", "cached at squad k=9: b32, b128", "{base}", *SQUAD, *PAIR, "--split", "9", "--batch", "32,128",
              "--dtype", "bf16", minutes=5, **many),
        sweep("large", "BERT-large b32 L384: share of the GEMM rate, against PyTorch", "{large}", *L384, *FULL, "--batch",
              "32", "--dtype", "bf16" if quick else "bf16,f16", **many),
        sweep("dense", "BERT-base b32 L384, dense: time per token", "{base}", *L384, *FULL, *b32, **many),
        sweep("ragged", "uniform:32-384 b32: time per real token beside dense", "{base}", "--question", "27", "--lengths",
              "uniform:32-384", *FULL, *b32, **many),
        # Fresh: all three in the same rounds, though `squad` has measured one of them.
        sweep("places", "cached passages on the device, pinned and pageable: the copy's hidden share", "{base}", *SQUAD,
              *PAIR, "--split", "9", *b32, "--cache-at", "device,pinned,pageable", "--fresh", **many),
        sweep("large-k20", "cached at squad k=20, BERT-large b32: beside the paper's 4.3x", "{large}", *SQUAD, *PAIR,
              "--split", "20", *b32, **many),
        sweep("fp8", "BERT-large b32 L384 in fp8", "{large}", *L384, *FULL, "--batch", "32", "--dtype", "fp8", **many),
        sweep("cold", "b1 with an empty L2", "{base}", *SQUAD, *PAIR, "--split", "9", "--batch", "1", "--dtype", "bf16",
              "--cold", **many),
    ]


def profile_steps():
    """Where the time between the FLOP ratio and the measured speedup goes, by phase: operations timed one by one would
    start later than they do."""
    return [Step(f"profile-b{batch}", f"squad k=9 b{batch}: what the loss is made of, kernels by phase",
                 ["{program}", "profile", "--model", "{base}", "--backend", "cuda", *SQUAD, *PAIR, "--split", "9", "--batch",
                  str(batch), "--dtype", "bf16", "--detail", "phase", "--max-time", "1", "--parity", "off", "--quiet",
                  "--format", "json"], 2) for batch in ATTRIBUTED]


PEERS = ["{python}", "-B", "ci/gpu.d/torch_peers.py", "--out", "{peers}"]
# Model, batch, tokens of what is measured of PyTorch too.
PEER_MODELS = {"large": ("{large}", "32", "384"), "base-b1": ("{base}", "1", "384")}


def peer_command(name, *more):
    folder, batch, tokens = PEER_MODELS[name]
    return [*PEERS, "model", folder, "--batch", batch, "--tokens", tokens, "--dtype", "bf16", *more]


def warm_steps():
    return [side_by_side("warm-" + name, "PyTorch compiles what it is timed with later: minutes of the processors alone",
                         peer_command(name, "--warm"), 5, needs="torch") for name in PEER_MODELS]


def peer_steps():
    return [
        Step("peers-gemm", "the device's measured bf16 GEMM rate", [*PEERS, "gemm"], 1, needs="torch"),
        Step("peers-base-b1", "PyTorch, BERT-base b1 L384 bf16: eager, SDPA, compiled, compiled with CUDA graphs",
             peer_command("base-b1"), 5, needs="torch"),
        Step("peers-large", "PyTorch, BERT-large b32 L384 bf16, the same modes", peer_command("large"), 5, needs="torch"),
    ]


def all_steps(quick=False):
    checkpoints = side_by_side("checkpoints", "the weights that everybody uses: seeded BERT-base and BERT-large",
                               ["{python}", "-B", "ci/gpu.d/checkpoint.py", "{base}", "{large}"], 2, needs="torch")
    listed = side_by_side("list", "what the program says it has here", ["{program}", "list"], 1)
    sweeps = sweep_steps(quick)
    return [listed, checkpoints, *warm_steps(), *sanitizer_steps(), *verify_steps(), *parity_steps(),
            *sweeps[:4], *peer_steps(), *sweeps[4:7], *profile_steps(), *sweeps[7:]]
