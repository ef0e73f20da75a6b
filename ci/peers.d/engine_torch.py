"""PyTorch: `eager`, and `compile` (TorchInductor), on Hugging Face's own BertModel and XLNetModel."""

import json
import os
import pathlib

import torch
import torch.ao.quantization as quantization
import transformers


class Runner:
    def __init__(self, model, ids, types, mode):
        self.model, self.ids, self.types, self.mode = model, torch.from_numpy(ids), torch.from_numpy(types), mode
        self.hidden = None

    def run(self):
        with self.mode():
            self.hidden = self.model(input_ids=self.ids, token_type_ids=self.types).last_hidden_state

    def output(self):
        return self.hidden.detach().float().numpy()


def load(checkpoint):
    """{name of its attention: f32 model}, the quickest first. XLNet's relative attention has one implementation."""
    config = json.loads((pathlib.Path(checkpoint) / "config.json").read_text())
    if config["model_type"] == "xlnet":
        return {"its own": transformers.XLNetModel.from_pretrained(
            checkpoint, dtype=torch.float32, use_mems_eval=False).eval()}
    return {kind: transformers.BertModel.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation=kind, add_pooling_layer=False).eval()
        for kind in ("sdpa", "eager")}


def as_f32(models):
    return {kind + " attention": model for kind, model in models.items()}


def as_bf16(models):
    return {f"bfloat16 model, {kind} attention": model.to(torch.bfloat16) for kind, model in models.items()}


def as_int8(models):
    """quantize_dynamic of every Linear, with one scale a channel, by each engine of the processor."""
    found = {}
    for engine in ("x86", "onednn", "fbgemm"):
        if engine not in torch.backends.quantized.supported_engines:
            continue
        torch.backends.quantized.engine = engine  # read where weights are packed
        for attention, model in models.items():
            found[f"quantize_dynamic, {engine}, per channel, {attention} attention"] = quantization.quantize_dynamic(
                model, {torch.nn.Linear: quantization.per_channel_dynamic_qconfig})
    return found


DTYPES = {"f32": as_f32, "bf16": as_bf16, "int8": as_int8}


class Torch:
    def __init__(self, kind):
        self.kind = kind
        self.models = {}

    def versions(self):
        onednn = [line.split(" v")[-1].split()[0] for line in torch.__config__.show().splitlines() if "MKL-DNN" in line]
        return {"torch": torch.__version__, "its oneDNN": onednn[0], "transformers": transformers.__version__,
                "ISA": torch.backends.cpu.get_cpu_capability()}

    def open(self, message):
        torch.set_num_threads(message["threads"])
        # f32 is f32: oneDNN must not round to bf16 or TF32 on the way.
        torch.set_float32_matmul_precision("highest")
        self.checkpoint, self.dtype, self.models = message["checkpoint"], None, {}

    def release(self):
        torch._dynamo.reset()  # compiled rows hold packed copies of the weights

    def candidates(self, row):
        if row["dtype"] != self.dtype:
            self.models = {}
            self.models = DTYPES[row["dtype"]](load(self.checkpoint))
            self.dtype = row["dtype"]
        return self.eager() if self.kind == "eager" else self.compiled(row)

    def eager(self):
        return [(f"inference_mode, {kind}", lambda ids, types, kind=kind:
                 Runner(self.models[kind], ids, types, torch.inference_mode)) for kind in self.models]

    def compiled(self, row):
        if row["dtype"] == "int8":
            return [(f"inductor, default; {kind}", lambda ids, types, kind=kind: Runner(torch.compile(
                self.models[kind], dynamic=False), ids, types, torch.no_grad)) for kind in self.models if "sdpa" in kind]
        settings = {"inductor, default": {}, "inductor, freezing": {"freezing": True}}
        if row["batch"] * row["length"] <= 512:  # where tuned templates can win; above they take minutes to tune
            settings["inductor, freezing, max-autotune"] = {"freezing": True, "max_autotune": True}
        # Freezing folds the weights under no_grad only; each shape is compiled for itself.
        return [(name, lambda ids, types, options=options: Runner(
            torch.compile(next(iter(self.models.values())), dynamic=False, options=options), ids, types, torch.no_grad))
            for name, options in settings.items()]


def make(kind):
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of processes beside the measurement
    return Torch(kind)
