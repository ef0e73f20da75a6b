#!/usr/bin/env python3
"""Writes the golden directories of the parity tests from Hugging Face transformers.

    pip install -r tests/tools/golden-requirements.txt
    python tests/tools/make_golden.py tests/data/golden
    python tests/tools/make_golden.py OUT --checkpoint DIR    # cases of a real BERT, weights not copied

Every directory holds config.json, model.safetensors (Hugging Face names), golden.safetensors and
golden.json, as `deformer-bench verify` reads them. The weights are seeded random f32 (or f16, bf16)
values; the outputs are computed from exactly those values in float64 with transformers' own BertModel:
its embeddings, its encoder layers, its heads. For the `full` variant the piecewise computation is
checked against the model's own forward pass. LayerNorms and biases lie visibly away from 1 and 0, and
the matrices are large enough for attention to be uneven and GELU to be bent, so that any part that is
dropped or swapped shows far above the tolerance.
"""

import argparse
import json
import pathlib
from dataclasses import dataclass, field

import numpy
import safetensors.numpy
import safetensors.torch
import torch
import transformers

VOCAB = 60


@dataclass
class Recipe:
    """One golden directory."""

    name: str
    d: int
    heads: int
    layers: int
    ff: int
    lengths: list  # (question, passage) pairs
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
]


def build(recipe):
    """The transformers model with seeded weights, rounded to what is stored, in float64."""
    torch.manual_seed(recipe.seed + sum(map(ord, recipe.name)))
    config = transformers.BertConfig(
        vocab_size=VOCAB, hidden_size=recipe.d, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, intermediate_size=recipe.ff, hidden_act=recipe.activation,
        max_position_embeddings=recipe.positions, layer_norm_eps=recipe.eps,
        num_labels=2 if recipe.head == "span" else recipe.classes, attn_implementation="eager")
    kind = {"none": transformers.BertModel, "span": transformers.BertForQuestionAnswering,
            "classes": transformers.BertForSequenceClassification}[recipe.head]
    model = kind(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, dtype=torch.float32)
            if name.endswith("LayerNorm.weight"):
                values = 1 + 0.3 * values
            elif "_embeddings." in name:
                values = 0.5 * values
            elif parameter.dim() == 2:
                values = values * 1.2 / parameter.shape[1] ** 0.5
            else:
                values = 0.3 * values
            parameter.copy_(values.to(recipe.storage))
    return config, model.double()


def bert_of(model):
    return model if isinstance(model, transformers.BertModel) else model.bert


def stored_tensors(recipe, model):
    """What goes into model.safetensors, under the names checkpoints in the wild use."""
    tensors = {}
    for name, parameter in model.named_parameters():
        if recipe.head == "none":
            if name.startswith("pooler") and not recipe.extras:
                continue
            name = recipe.prefix + name
        if recipe.gamma_beta:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            name = name.replace("LayerNorm.bias", "LayerNorm.beta")
        tensors[name] = parameter.detach().to(recipe.storage).contiguous()
    if recipe.extras:
        positions = torch.arange(recipe.positions, dtype=torch.int64)[None]
        tensors[recipe.prefix + "embeddings.position_ids"] = positions
        tensors["cls.predictions.bias"] = torch.zeros(VOCAB, dtype=torch.float32)
    return tensors


def embed(bert, text, token_type, first_position):
    ids = torch.tensor(text)[None]
    positions = torch.arange(first_position, first_position + len(text))[None]
    return bert.embeddings(input_ids=ids, token_type_ids=torch.full_like(ids, token_type),
                           position_ids=positions)


def encode(bert, rows, first, last):
    for layer in bert.encoder.layer[first:last]:
        rows = layer(rows, None)
    return rows


def full_output(bert, texts):
    """Both texts in one sequence; positions run on. Checked against the model's own call."""
    rows = torch.cat([embed(bert, texts[0], 0, 0), embed(bert, texts[1], 1, len(texts[0]))], dim=1)
    rows = encode(bert, rows, 0, len(bert.encoder.layer))
    types = [0] * len(texts[0]) + [1] * len(texts[1])
    own = bert(input_ids=torch.tensor(texts[0] + texts[1])[None],
               token_type_ids=torch.tensor(types)[None]).last_hidden_state
    difference = (rows - own).abs().max().item()
    assert difference < 1e-12, f"piecewise full differs from the model's own call by {difference}"
    return rows


def split_output(bert, texts, split):
    """The two texts apart through layers 0..split, positions from 0 in each; joined above."""
    lower = [encode(bert, embed(bert, text, index, 0), 0, split) for index, text in enumerate(texts)]
    return encode(bert, torch.cat(lower, dim=1), split, len(bert.encoder.layer))


def head_output(recipe, model, rows):
    if recipe.head == "span":
        return model.qa_outputs(rows)[0]
    return model.classifier(model.bert.pooler(rows))


def as_f32(tensor):
    return numpy.ascontiguousarray(tensor.numpy().astype(numpy.float32))


@dataclass
class Writer:
    """Collects the tensors and the cases of one directory."""

    recipe: Recipe
    model: torch.nn.Module
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
            self.tensors[name + ".head"] = as_f32(head_output(self.recipe, self.model, rows))

    def shape(self, question, passage, order):
        """All variants and splits of one pair of texts. Cached and decomposed share their output."""
        label = f"q{len(question)}.p{len(passage)}"
        ids = (label + ".question", label + ".passage")
        for name, text in zip(ids, (question, passage)):
            self.tensors[name] = numpy.array([text], dtype=numpy.int32)
        label += "" if order == "question-first" else ".passage-first"
        texts = (question, passage) if order == "question-first" else (passage, question)
        bert = bert_of(self.model)
        self.store(label + ".full", full_output(bert, texts))
        self.add("full." + label, "full", 0, order, ids, label + ".full")
        for split in self.recipe.splits or range(self.recipe.layers + 1):
            output = f"{label}.k{split}"
            self.store(output, split_output(bert, texts, split))
            for variant in ("decomposed", "cached"):
                self.add(f"{variant}.k{split}.{label}", variant, split, order, ids, output)


def write_config(folder, recipe, config):
    """The fields a checkpoint's config.json has, without what depends on the library's version."""
    fields = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
              "intermediate_size", "hidden_act", "max_position_embeddings", "type_vocab_size",
              "layer_norm_eps"]
    values = {"model_type": "bert", "architectures": ["BertModel"]}
    values |= {name: getattr(config, name) for name in fields}
    if recipe.head == "classes":
        values["id2label"] = {str(i): f"LABEL_{i}" for i in range(recipe.classes)}
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n")


def write_cases(folder, recipe, model):
    texts = numpy.random.default_rng(recipe.seed + recipe.d)
    vocab = bert_of(model).config.vocab_size
    writer = Writer(recipe, model)
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
    config, model = build(recipe)
    write_config(folder, recipe, config)
    safetensors.torch.save_file(stored_tensors(recipe, model), folder / "model.safetensors",
                                metadata={"format": "pt"})
    write_cases(folder, recipe, model)


def write_checkpoint_cases(folder, checkpoint):
    """The cases of a real checkpoint at a task's length, for `verify OUT --weights DIR`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = transformers.BertModel.from_pretrained(checkpoint, attn_implementation="eager").eval()
    c = model.config
    recipe = Recipe(checkpoint.name, c.hidden_size, c.num_attention_heads, c.num_hidden_layers,
                    c.intermediate_size, lengths=[(27, 101)], splits=[1, c.num_hidden_layers * 3 // 4])
    write_cases(folder, recipe, model.double())


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
