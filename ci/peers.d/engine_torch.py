"""PyTorch: `eager`, and `compile` (TorchInductor), on Hugging Face's own BertModel and XLNetModel."""

import json
import os
import pathlib

import torch
import transformers


class Runner:
    def __init__(self, model, ids, types, mode):
        self.model, self.ids, self.types, self.mode = model, torch.from_numpy(ids), torch.from_numpy(types), mode
        self.hidden = None

    def run(self):
        with self.mode():
            self.hidden = self.model(input_ids=self.ids, token_type_ids=self.types).last_hidden_state

    def output(self):
        return self.hidden.detach().numpy()


def load(checkpoint):
    """{name of its attention: model}, the quickest first. XLNet's relative attention has one implementation."""
    config = json.loads((pathlib.Path(checkpoint) / "config.json").read_text())
    if config["model_type"] == "xlnet":
        return {"its own": transformers.XLNetModel.from_pretrained(
            checkpoint, dtype=torch.float32, use_mems_eval=False).eval()}
    return {kind: transformers.BertModel.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation=kind, add_pooling_layer=False).eval()
        for kind in ("sdpa", "eager")}


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
        self.models = load(message["checkpoint"])

    def release(self):
        torch._dynamo.reset()  # compiled rows hold packed copies of the weights

    def candidates(self, row):
        from worker import CannotRun
        if row["dtype"] != "f32":
            raise CannotRun(f"no settings for {row['dtype']} yet")
        return self.eager() if self.kind == "eager" else self.compiled(row)

    def eager(self):
        return [(f"inference_mode, {kind} attention", lambda ids, types, kind=kind:
                 Runner(self.models[kind], ids, types, torch.inference_mode)) for kind in self.models]

    def compiled(self, row):
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
