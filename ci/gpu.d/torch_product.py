"""One product of a library by itself: PyTorch's linear layer in bf16, with a bias, of the first product that a golden BERT
asks cuBLASLt for. Run under compute-sanitizer, it shows what the tool does to a library's kernel where none of ours is in
the process. Exits with 9, the sanitizer's own word for a finding, where the product fails; anything else that fails is no
answer."""

import ctypes
import os
import re
import sys

import torch

ROWS, INS, OUTS = 22, 24, 96
FOUND = 9
APART = 0.05  # of results below 4: bf16 keeps 8 bits


def cublaslt():
    """Which library it is, of those that this process has loaded, and its version."""
    try:
        with open("/proc/self/maps", encoding="utf-8") as file:
            found = sorted(set(re.findall(r"\S*libcublasLt\S*", file.read())))
    except OSError:
        found = []
    return ", ".join(f"{path} {ctypes.CDLL(path).cublasLtGetVersion()}" for path in found) or "a cublasLt that was not found"


def main(device):
    if hasattr(torch.backends.cuda, "preferred_blas_library") and device == "cuda":
        torch.backends.cuda.preferred_blas_library("cublaslt")
    torch.manual_seed(1)
    rows, weights, bias = (torch.randn(*shape).div(3).bfloat16() for shape in ((ROWS, INS), (OUTS, INS), (OUTS,)))
    wanted = torch.nn.functional.linear(rows.float(), weights.float(), bias.float())
    there = [each.to(device) for each in (rows, weights, bias)]  # copies alone: no other kernel runs
    what = f"linear {INS}x{OUTS} bf16 with a bias, {ROWS} rows, PyTorch {torch.__version__}"
    try:
        got = torch.nn.functional.linear(*there).cpu().float()
    except RuntimeError as error:
        print(f"{what}: {str(error).splitlines()[0]}; by {cublaslt()}", file=sys.stderr, flush=True)
        os._exit(FOUND)  # what a faulted context's own end would do to the exit code is left out
    apart = (got - wanted).abs().max().item()
    print(f"{what}: {apart:.4f} apart from the host's, at most {APART} wanted; by {cublaslt()}", file=sys.stderr)
    return 0 if apart <= APART else FOUND


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "cuda"))
