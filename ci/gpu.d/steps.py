"""The steps of ci/gpu-check, in the order in which they matter where time is short. Data, so that --dry-run, the tests
and the run read the same list."""

import dataclasses
import glob

DTYPES = ["f32", "tf32", "bf16", "f16", "fp8"]
# What a device that serves us may lack. Of all else exit 3 is a failure: a library is missing, and nothing was measured.
NOT_EVERYWHERE = ["fp8"]
# L = question + passage. squad's lengths are 27/293.
L384 = ["--question", "27", "--passage", "357"]
SQUAD = ["--task", "squad"]


@dataclasses.dataclass
class Step:
    name: str
    why: str                 # one line: what it shows
    command: list            # program and arguments; {program}, {run_file}, {base}, {large}, {peers} are filled in
    minutes: float           # it may take; then it is ended and said to be unfinished
    absent_ok: bool = False  # exit 3 (not to be had here) is an answer, not a failure
    needs: str = ""          # "torch" or a program that must be there


def goldens():
    return sorted(glob.glob("tests/data/golden/*/golden.json"))


def verify_steps():
    folders = [path.rsplit("/", 1)[0] for path in goldens()]
    steps = []
    for family in ("bert", "xlnet"):
        mine = [folder for folder in folders if folder.rsplit("/", 1)[1].startswith(family)]
        for dtype in DTYPES:
            steps.append(Step(f"verify-{family}-{dtype}", f"parity of {len(mine)} golden directories in {dtype}",
                              ["{program}", "verify", *mine, "--backend", "cuda", "--dtype", dtype, "--format", "json"],
                              3, absent_ok=dtype in NOT_EVERYWHERE))
    some = [folder for folder in folders if folder.endswith(("bert-span", "xlnet-span"))]
    for place in ("pinned", "pageable"):
        steps.append(Step(f"verify-{place}", f"parity with cached passages in {place} host memory",
                          ["{program}", "verify", *some, "--backend", "cuda", "--cache-at", place, "--format", "json"], 2))
    return steps


def sweep(name, why, model, *options, minutes=3.0):
    return Step("sweep-" + name, why, ["{program}", "sweep", "--model", model, "--backend", "cuda", *options,
                                       "--out", "{run_file}", "--allow-mixed"], minutes, absent_ok=name in NOT_EVERYWHERE)


def sweep_steps():
    full = ["--variant", "full"]
    pair = ["--variant", "full,cached"]
    return [
        sweep("large", "BERT-large b32 L384: share of the GEMM rate, against PyTorch", "{large}", *L384, *full,
              "--batch", "32", "--dtype", "bf16,f16", "--max-time", "15"),
        sweep("base-b1", "BERT-base b1 L384: launch cost, against PyTorch", "{base}", *L384, *full, "--batch", "1",
              "--dtype", "bf16,f16,f32", "--max-time", "10"),
        sweep("squad", "cached at squad k=9: b1, b32, b128", "{base}", *SQUAD, *pair, "--split", "9", "--batch",
              "1,32,128", "--dtype", "bf16", "--max-time", "10", minutes=5),
        sweep("large-k20", "cached at squad k=20, BERT-large b32: beside the paper's 4.3x", "{large}", *SQUAD, *pair,
              "--split", "20", "--batch", "32", "--dtype", "bf16", "--max-time", "10"),
        sweep("places", "cached passages on the device, pinned and pageable: the copy's hidden share", "{base}", *SQUAD,
              *pair, "--split", "9", "--batch", "32", "--dtype", "bf16", "--cache-at", "device,pinned,pageable",
              "--max-time", "10"),
        sweep("dense", "BERT-base b32 L384, dense: time per token", "{base}", *L384, *full, "--batch", "32", "--dtype",
              "bf16", "--max-time", "10"),
        sweep("ragged", "uniform:32-384 b32: time per real token beside dense", "{base}", "--question", "27",
              "--lengths", "uniform:32-384", *full, "--batch", "32", "--dtype", "bf16", "--max-time", "10"),
        sweep("cold", "b1 with an empty L2", "{base}", *SQUAD, *pair, "--split", "9", "--batch", "1", "--dtype", "bf16",
              "--cold", "--max-time", "10"),
        sweep("fp8", "BERT-large b32 L384 in fp8", "{large}", *L384, *full, "--batch", "32", "--dtype", "fp8",
              "--max-time", "10"),
    ]


def peer_steps():
    peers = ["{python}", "-B", "ci/gpu.d/torch_peers.py", "--out", "{peers}"]
    return [
        Step("peers-gemm", "the device's measured bf16 GEMM rate", [*peers, "gemm"], 1, needs="torch"),
        Step("peers-large", "PyTorch, BERT-large b32 L384 bf16: eager, SDPA, compiled, compiled with CUDA graphs",
             [*peers, "model", "{large}", "--batch", "32", "--tokens", "384", "--dtype", "bf16"], 5, needs="torch"),
        Step("peers-base-b1", "PyTorch, BERT-base b1 L384 bf16, the same modes",
             [*peers, "model", "{base}", "--batch", "1", "--tokens", "384", "--dtype", "bf16"], 5, needs="torch"),
    ]


def sanitizer_steps():
    look = ["{program}", "verify", "tests/data/golden/bert-span", "--backend", "cuda"]
    return [Step("sanitizer-" + tool, f"compute-sanitizer {tool}: zero errors",
                 ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9", *look], 5, needs="compute-sanitizer")
            for tool in ("memcheck", "racecheck")]


def all_steps():
    checkpoints = Step("checkpoints", "the weights that everybody uses: seeded BERT-base and BERT-large",
                       ["{python}", "-B", "ci/gpu.d/checkpoint.py", "{base}", "{large}"], 2, needs="torch")
    first, *others = verify_steps()
    sweeps = sweep_steps()
    return [Step("list", "what the program says it has here", ["{program}", "list"], 1), first, checkpoints,
            *sweeps[:3], *peer_steps(), *sweeps[3:], *others, *sanitizer_steps()]
