#!/usr/bin/env python3
"""Writes the golden directories of the parity tests from Hugging Face transformers.

    pip install -r tests/tools/golden-requirements.txt
    python tests/tools/make_golden.py tests/data/golden
    python tests/tools/make_golden.py OUT --checkpoint DIR    # cases of a real BERT, weights not copied

Every directory holds config.json, model.safetensors (Hugging Face names), golden.safetensors and
golden.json, as `deformer-bench verify` reads them. The weights are seeded random f32 (or f16, bf16)
values; the outputs are computed from exactly those values in float64 with transformers' own BertModel
or XLNetModel: its embeddings, its encoder layers, its heads (golden_bert.py, golden_xlnet.py). For the
`full` variant the piecewise computation is checked against the model's own forward pass. LayerNorms and
biases lie visibly away from 1 and 0, and the matrices are large enough for attention to be uneven and
GELU to be bent, so that any part that is dropped or swapped shows far above the tolerance.
"""

import argparse
import json
import pathlib
from dataclasses import dataclass, field

import golden_bert
import golden_xlnet
import numpy
import safetensors.numpy
import safetensors.torch
import torch
import transformers


@dataclass
class Recipe:
    """One golden directory."""

    name: str
    d: int
    heads: int
    layers: int
    ff: int
    lengths: list  # (question, passage) pairs
    family: object = golden_bert
    activation: str = "gelu"
    eps: float = 1e-12
    positions: int = 64
    orders: tuple = ("question-first",)
    head: str = "none"  # none, span, classes
    classes: int = 3
    splits: list = None  # default: 0..layers
    storage: torch.dtype = torch.float32
    prefix: str = ""
    gamma_beta: bool = False
    extras: bool = False
    seed: int = 0
    order_at_top: bool = field(default=False)


def xlnet(*args, **kwargs):
    return Recipe(*args, family=golden_xlnet, orders=("passage-first",), **kwargs)


RECIPES = [
    Recipe("bert-erf", d=45, heads=5, layers=4, ff=101, lengths=[(5, 13), (1, 9)]),
    Recipe("bert-tanh", d=33, heads=3, layers=3, ff=70, lengths=[(6, 11), (4, 1)],
           activation="gelu_new", eps=1e-5, orders=("passage-first",), order_at_top=True),
    Recipe("bert-one-head", d=17, heads=1, layers=1, ff=23, lengths=[(1, 1), (3, 8)], eps=1e-5,
           orders=("question-first", "passage-first")),
    Recipe("bert-long", d=16, heads=2, layers=2, ff=40, lengths=[(27, 293)], positions=320,
           splits=[1]),
    Recipe("bert-bf16", d=20, heads=4, layers=3, ff=52, lengths=[(4, 10)], storage=torch.bfloat16,
           prefix="bert.", gamma_beta=True, extras=True),
    Recipe("bert-f16", d=28, heads=7, layers=2, ff=64, lengths=[(3, 12)], storage=torch.float16,
           activation="gelu_pytorch_tanh", orders=("question-first", "passage-first")),
    Recipe("bert-span", d=24, heads=2, layers=3, ff=96, lengths=[(7, 15), (2, 2)], head="span",
           prefix="bert.", orders=("question-first", "passage-first")),
    Recipe("bert-classes", d=30, heads=6, layers=2, ff=44, lengths=[(5, 9)], head="classes",
           prefix="bert.", orders=("question-first", "passage-first")),
    xlnet("xlnet-erf", d=40, heads=5, layers=4, ff=101, lengths=[(5, 13), (1, 9), (4, 1)]),
    xlnet("xlnet-tanh", d=36, heads=3, layers=3, ff=70, lengths=[(6, 11)], activation="gelu_new", eps=1e-5,
          prefix="transformer."),
    xlnet("xlnet-one-head", d=18, heads=1, layers=1, ff=23, lengths=[(1, 1), (3, 8), (60, 70)]),
    xlnet("xlnet-long", d=16, heads=2, layers=2, ff=40, lengths=[(27, 293)], splits=[1]),
    xlnet("xlnet-bf16", d=20, heads=4, layers=3, ff=52, lengths=[(4, 10)], storage=torch.bfloat16),
    xlnet("xlnet-f16", d=28, heads=7, layers=2, ff=64, lengths=[(3, 12)], storage=torch.float16),
    xlnet("xlnet-span", d=24, heads=2, layers=3, ff=96, lengths=[(7, 15), (2, 2)], head="span"),
    xlnet("xlnet-classes", d=30, heads=6, layers=2, ff=44, lengths=[(5, 9), (1, 1)], head="classes"),
]


def as_f32(tensor):
    return numpy.ascontiguousarray(tensor.numpy().astype(numpy.float32))


@dataclass
class Writer:
    """Collects the tensors and the cases of one directory."""

    recipe: Recipe
    oracle: object
    tensors: dict = field(default_factory=dict)
    cases: list = field(default_factory=list)

    def add(self, name, variant, split, order, ids, output):
        case = {"name": name, "variant": variant, "split": split, "question_ids": ids[0],
                "passage_ids": ids[1], "output": output}
        if not self.recipe.order_at_top:
            case["order"] = order
        if self.recipe.head != "none":
            case["head"] = output + ".head"
        self.cases.append(case)

    def store(self, name, rows):
        self.tensors[name] = as_f32(rows[0])
        if self.recipe.head != "none":
            self.tensors[name + ".head"] = as_f32(self.oracle.head(self.recipe.head, rows))

    def shape(self, question, passage, order):
        """All variants and splits of one pair of texts. Cached and decomposed share their output."""
        label = f"q{len(question)}.p{len(passage)}"
        ids = (label + ".question", label + ".passage")
        for name, text in zip(ids, (question, passage)):
            self.tensors[name] = numpy.array([text], dtype=numpy.int32)
        label += "" if order == "question-first" else ".passage-first"
        texts = (question, passage) if order == "question-first" else (passage, question)
        self.store(label + ".full", self.oracle.full(texts))
        self.add("full." + label, "full", 0, order, ids, label + ".full")
        for split in self.recipe.splits or range(self.recipe.layers + 1):
            output = f"{label}.k{split}"
            self.store(output, self.oracle.split(texts, split))
            for variant in ("decomposed", "cached"):
                self.add(f"{variant}.k{split}.{label}", variant, split, order, ids, output)


def write_config(folder, recipe, config):
    """The fields a checkpoint's config.json has, without what depends on the library's version."""
    family = recipe.family
    values = {"model_type": family.FAMILY, "architectures": [family.ARCHITECTURE]}
    values |= {name: getattr(config, name) for name in family.CONFIG_FIELDS}
    if recipe.head == "classes":
        values["id2label"] = {str(i): f"LABEL_{i}" for i in range(recipe.classes)}
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")


def write_cases(folder, recipe, oracle):
    texts = numpy.random.default_rng(recipe.seed + recipe.d)
    vocab = oracle.vocab
    writer = Writer(recipe, oracle)
    with torch.no_grad():
        for question, passage in recipe.lengths:
            # Id 0, BERT's padding, is a token like any other here: put it into every passage.
            first = texts.integers(0, vocab, question).tolist()
            second = texts.integers(0, vocab, passage).tolist()
            second[len(second) // 2] = 0
            for order in recipe.orders:
                writer.shape(first, second, order)
    safetensors.numpy.save_file(writer.tensors, folder / "golden.safetensors")
    golden = {"format": 1}
    if recipe.order_at_top:
        golden["order"] = recipe.orders[0]
    cases = ",\n".join("  " + json.dumps(case) for case in writer.cases)
    head = json.dumps(golden)[:-1]
    (folder / "golden.json").write_text(f'{head}, "cases": [\n{cases}\n]}}\n')
    print(f"{recipe.name}: {len(writer.cases)} cases")


def write_directory(root, recipe):
    """A seeded model and its cases."""
    folder = root / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    config, model = recipe.family.build(recipe)
    write_config(folder, recipe, config)
    safetensors.torch.save_file(recipe.family.stored_tensors(recipe, model), folder / "model.safetensors",
                                metadata={"format": "pt"})
    write_cases(folder, recipe, recipe.family.Oracle(model))


def write_checkpoint_cases(folder, checkpoint):
    """The cases of a real checkpoint at a task's length, for `verify OUT --weights DIR`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = transformers.BertModel.from_pretrained(checkpoint, attn_implementation="eager").eval()
    c = model.config
    recipe = Recipe(checkpoint.name, c.hidden_size, c.num_attention_heads, c.num_hidden_layers,
                    c.intermediate_size, lengths=[(27, 101)], splits=[1, c.num_hidden_layers * 3 // 4])
    write_cases(folder, recipe, golden_bert.Oracle(model.double()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=pathlib.Path, help="where the golden directories are written")
    parser.add_argument("--only", help="name of one directory")
    parser.add_argument("--checkpoint", type=pathlib.Path, help="a BERT in the Hugging Face layout")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.checkpoint:
        write_checkpoint_cases(arguments.root, arguments.checkpoint)
        return
    for recipe in RECIPES:
        if arguments.only in (None, recipe.name):
            write_directory(arguments.root, recipe)


if __name__ == "__main__":
    main()
