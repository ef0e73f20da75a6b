"""The same weights and ids for everybody: a seeded checkpoint in the Hugging Face layout, and one file of ids a row."""

import json
import pathlib

import numpy

import rows

SEED = 20

# Names, shapes and distributions below follow model/random_weights.cpp in spirit: matrices as BERT initialises them
# (0.02), LayerNorm weights around 1 and all biases visibly away from 0, so that an engine that drops one disagrees.
DEVIATION = {"matrix": 0.02, "norm": 0.1, "bias": 0.1}


def bert_shapes(config):
    d, ff = config["hidden_size"], config["intermediate_size"]
    shapes = {"embeddings.word_embeddings.weight": (config["vocab_size"], d),
              "embeddings.position_embeddings.weight": (config["max_position_embeddings"], d),
              "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], d),
              "embeddings.LayerNorm": (d,)}
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            shapes[f"{at}attention.self.{name}"] = (d, d)
        shapes[at + "attention.output.dense"] = (d, d)
        shapes[at + "attention.output.LayerNorm"] = (d,)
        shapes[at + "intermediate.dense"] = (ff, d)
        shapes[at + "output.dense"] = (d, ff)
        shapes[at + "output.LayerNorm"] = (d,)
    shapes["pooler.dense"] = (d, d)  # CTranslate2's converter insists on one
    return shapes


def xlnet_shapes(config):
    """Parameters without a suffix come as they are, the others as a weight and a bias."""
    d, ff, heads = config["d_model"], config["d_inner"], config["n_head"]
    apart = (d, heads, d // heads)
    shapes = {"word_embedding.weight": (config["vocab_size"], d), "mask_emb": (1, 1, d)}
    for layer in range(config["n_layer"]):
        at = f"layer.{layer}.rel_attn."
        shapes |= {at + name: apart for name in "qkvor"}
        shapes |= {at + name: apart[1:] for name in ("r_r_bias", "r_s_bias", "r_w_bias")}
        shapes[at + "seg_embed"] = (2, *apart[1:])
        shapes[at + "layer_norm"] = (d,)
        shapes[f"layer.{layer}.ff.layer_norm"] = (d,)
        shapes[f"layer.{layer}.ff.layer_1"] = (ff, d)
        shapes[f"layer.{layer}.ff.layer_2"] = (d, ff)
    return shapes


def tensors_of(shapes, seed):
    random = numpy.random.default_rng(seed)

    def normal(shape, kind, centre=0.0):
        return (random.standard_normal(shape, dtype=numpy.float32) * DEVIATION[kind] + centre).astype(numpy.float32)

    tensors = {}
    for name, shape in shapes.items():
        if name.endswith((".weight", "mask_emb")) or ".rel_attn." in name and not name.endswith("layer_norm"):
            tensors[name] = normal(shape, "bias" if name.endswith(("_bias", "seg_embed")) else "matrix")
            continue
        is_norm = name.endswith(("LayerNorm", "layer_norm"))
        tensors[name + ".weight"] = normal(shape, "norm", 1.0) if is_norm else normal(shape, "matrix")
        tensors[name + ".bias"] = normal(shape[:1], "bias")
    return tensors


def make(folder, model):
    """Writes the checkpoint of `model` below `folder` unless it stands there; returns its path."""
    from safetensors.numpy import save_file
    config = rows.MODELS[model]
    path = pathlib.Path(folder) / f"{model}-seed{SEED}"
    text = json.dumps(config, indent=1)
    done = path / "config.json"  # written last: a checkpoint that was cut off has none
    if done.exists() and done.read_text() == text:
        return path
    path.mkdir(parents=True, exist_ok=True)
    shapes = {"bert": bert_shapes, "xlnet": xlnet_shapes}[config["model_type"]](config)
    save_file(tensors_of(shapes, SEED), str(path / "model.safetensors"), metadata={"format": "pt"})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [f"word{index}" for index in range(config["vocab_size"] - len(words))]
    (path / "vocab.txt").write_text("\n".join(words) + "\n")
    done.write_text(text)
    return path


def make_ids(folder, row):
    """Raw int32 [batch, length] of the row; every id is a real token. Returns the path."""
    path = pathlib.Path(folder) / (row.name.replace("/", "-") + ".ids")
    path.parent.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng([SEED, row.length, row.batch])
    ids = random.integers(1000, rows.MODELS[row.model]["vocab_size"], (row.batch, row.length), dtype=numpy.int32)
    ids.tofile(path)
    return path


def read_ids(path, row):
    """(ids, token types), int64 [batch, length], from what the worker was told."""
    ids = numpy.fromfile(path, numpy.int32).reshape(row["batch"], row["length"]).astype(numpy.int64)
    types = numpy.zeros_like(ids)
    types[:, row["first"]:] = 1
    return ids, types
