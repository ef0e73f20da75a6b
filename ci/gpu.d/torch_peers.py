"""PyTorch on the same weights: eager, SDPA, torch.compile, torch.compile with CUDA graphs; and the device's GEMM rate.
Appends one JSON line a measurement to --out. On a CPU (--device cpu) it checks that all of it works; its times mean
nothing there.

    torch_peers.py --out peers.jsonl gemm
    torch_peers.py --out peers.jsonl model FOLDER --batch 32 --tokens 384 --dtype bf16
    torch_peers.py --out peers.jsonl model FOLDER --batch 32 --tokens 384 --dtype bf16 --warm   times nothing: fills the
                                                      compiler's caches, which takes processors alone and may run beside others
"""

import argparse
import glob
import json
import math
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F

import checkpoint

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
# Eager first, which the others are compared with; then in the order in which they matter where time runs out.
MODES = ["eager", "compile-graphs", "compile", "sdpa"]
SAMPLES, WARM_UPS, SAMPLE_S = 30, 5, 0.02


class Bert(torch.nn.Module):
    """BERT's encoder without a head. The attention is written out, or scaled_dot_product_attention."""

    def __init__(self, config, tensors, sdpa):
        super().__init__()
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.eps, self.sdpa = config["layer_norm_eps"], sdpa
        for name, tensor in tensors.items():
            self.register_buffer(name.replace(".", "_"), tensor)
        d = config["hidden_size"]
        for layer in range(self.layers):  # one product for query, key and value, as every fast engine does
            at = f"encoder_layer_{layer}_attention_self_"
            for kind in ("weight", "bias"):
                parts = [getattr(self, f"{at}{name}_{kind}") for name in ("query", "key", "value")]
                self.register_buffer(f"qkv_{layer}_{kind}", torch.cat(parts))
        self.scale = 1 / math.sqrt(d // self.heads)

    def dense(self, name, x):
        return F.linear(x, getattr(self, name + "_weight"), getattr(self, name + "_bias"))

    def norm(self, name, x):
        weight = getattr(self, name + "_weight")
        return F.layer_norm(x, weight.shape, weight, getattr(self, name + "_bias"), self.eps)

    def attend(self, q, k, v):
        if self.sdpa:
            return F.scaled_dot_product_attention(q, k, v)
        return torch.softmax(q @ k.transpose(-1, -2) * self.scale, -1) @ v

    def forward(self, ids, types):
        b, tokens = ids.shape
        x = (F.embedding(ids, self.embeddings_word_embeddings_weight)
             + F.embedding(types, self.embeddings_token_type_embeddings_weight)
             + self.embeddings_position_embeddings_weight[:tokens])
        x = self.norm("embeddings_LayerNorm", x)
        for layer in range(self.layers):
            at = f"encoder_layer_{layer}_"
            qkv = self.dense(f"qkv_{layer}", x).view(b, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            context = self.attend(qkv[0], qkv[1], qkv[2]).transpose(1, 2).reshape(b, tokens, -1)
            x = self.norm(at + "attention_output_LayerNorm", x + self.dense(at + "attention_output_dense", context))
            hidden = F.gelu(self.dense(at + "intermediate_dense", x))
            x = self.norm(at + "output_LayerNorm", x + self.dense(at + "output_dense", hidden))
        return x


class Clock:
    """Times a call: by CUDA events on a device, by the host's clock on a CPU."""

    def __init__(self, device):
        self.events = device == "cuda"

    def sample(self, call, count):
        if not self.events:
            start = time.perf_counter()
            for _ in range(count):
                call()
            return (time.perf_counter() - start) / count
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(count):
            call()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3 / count

    def measure(self, call, samples=SAMPLES):
        for _ in range(WARM_UPS):
            call()
        count = max(1, round(SAMPLE_S / max(self.sample(call, 1), 1e-6)))
        seconds = sorted(self.sample(call, count) for _ in range(samples))
        return {"median_ms": statistics.median(seconds) * 1e3, "best_ms": seconds[0] * 1e3,
                "worst_ms": seconds[-1] * 1e3, "samples": samples, "forwards_per_sample": count}


def compiled(mode, model):
    if mode == "compile":
        return torch.compile(model)
    return torch.compile(model, mode="reduce-overhead") if mode == "compile-graphs" else model


def gemm(arguments, emit):
    """bf16 products of BERT-large's shapes at b32 L384 and a large square: the best is the device's rate."""
    clock = Clock(arguments.device)
    shapes = [(12288, 3072, 1024), (12288, 1024, 1024), (12288, 4096, 1024), (12288, 1024, 4096), (8192, 8192, 8192)]
    for m, n, k in shapes if arguments.device == "cuda" else [(128, 128, 128)]:
        a = torch.randn(m, k, device=arguments.device, dtype=torch.bfloat16)
        b = torch.randn(n, k, device=arguments.device, dtype=torch.bfloat16)
        times = clock.measure(lambda: F.linear(a, b))
        emit({"what": "gemm", "dtype": "bf16", "m": m, "n": n, "k": k,
              "tflops": 2 * m * n * k / times["median_ms"] / 1e9, **times})


def cosine(a, b):
    return F.cosine_similarity(a.float(), b.float(), -1).min().item()


def prepared(arguments):
    """Name, configuration, weights and inputs of a model, the same each time."""
    size = arguments.folder.rstrip("/").split("-")[-1]
    config = checkpoint.config_of(size)
    dtype = DTYPES[arguments.dtype]
    tensors = {name: tensor.to(arguments.device, dtype) for name, tensor in checkpoint.tensors_of(config).items()}
    generator = torch.Generator().manual_seed(7)
    ids = torch.randint(config["vocab_size"], (arguments.batch, arguments.tokens), generator=generator)
    ids = ids.to(arguments.device)
    return size, config, tensors, ids, torch.zeros_like(ids)


def forget_choices():
    """What the compiler chose by timing kernels while others computed is no choice: it is made again where it is quiet.
    What it compiled stays."""
    try:
        from torch._inductor.runtime.cache_dir_utils import cache_dir
        folder = cache_dir()
    except ImportError:
        folder = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    for path in glob.glob(os.path.join(folder, "**", "*.best_config"), recursive=True) if folder else []:
        try:
            os.remove(path)
        except FileNotFoundError:
            pass  # another one that warms up


def warm(arguments):
    """The modes that compile, once each; False where one of them fails."""
    _size, config, tensors, ids, types = prepared(arguments)
    fine = True
    for mode in [mode for mode in arguments.modes.split(",") if mode.startswith("compile")]:
        start = time.perf_counter()
        try:
            with torch.inference_mode():
                torch._dynamo.reset()
                compiled(mode, Bert(config, tensors, sdpa=True).to(arguments.device))(ids, types)
            print(f"{mode}: {time.perf_counter() - start:.1f} s")
        except Exception as error:  # the step that times it will say it again
            print(f"{mode}: {type(error).__name__}: {error}", file=sys.stderr)
            fine = False
    forget_choices()
    return fine


def model(arguments, emit):
    size, config, tensors, ids, types = prepared(arguments)
    clock, first = Clock(arguments.device), None
    for mode in arguments.modes.split(","):
        row = {"what": "model", "model": size, "mode": mode, "dtype": arguments.dtype, "batch": arguments.batch,
               "tokens": arguments.tokens}
        try:
            with torch.inference_mode():
                torch._dynamo.reset()
                run = compiled(mode, Bert(config, tensors, sdpa=mode != "eager").to(arguments.device))
                output = run(ids, types).clone()
                first = output if first is None else first
                row |= {"cosine_to_eager": cosine(output, first), **clock.measure(lambda: run(ids, types))}
        except Exception as error:  # one mode that fails must not lose the others
            row["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        emit(row)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    parser.add_argument("--device", default="cuda")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("gemm")
    one = verbs.add_parser("model")
    one.add_argument("folder", help="checkpoint-base or checkpoint-large; made of the same seed")
    one.add_argument("--batch", type=int, default=1)
    one.add_argument("--tokens", type=int, default=384)
    one.add_argument("--dtype", choices=DTYPES, default="bf16")
    one.add_argument("--modes", default=",".join(MODES))
    one.add_argument("--warm", action="store_true", help="compile, time nothing")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("torch_peers: PyTorch finds no CUDA device", file=sys.stderr)
        sys.exit(3)
    torch.backends.cuda.matmul.allow_tf32 = False
    if arguments.verb == "model" and arguments.warm:
        sys.exit(0 if warm(arguments) else 1)
    device = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"

    def emit(row):
        row |= {"device": device, "torch": torch.__version__}
        with open(arguments.out, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row))

    {"gemm": gemm, "model": model}[arguments.verb](arguments, emit)


if __name__ == "__main__":
    main()
