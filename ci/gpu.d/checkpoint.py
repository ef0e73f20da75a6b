"""Seeded BERT checkpoints in the Hugging Face layout: checkpoint.py FOLDER_OF_BASE FOLDER_OF_LARGE. Needs PyTorch."""

import ctypes
import json
import math
import os
import struct
import sys

SIZES = {"base": (12, 768, 12, 3072), "large": (24, 1024, 16, 4096), "tiny": (2, 128, 2, 512)}
VOCABULARY, POSITIONS, SEED = 30522, 512, 20


def config_of(size):
    layers, d, heads, ff = SIZES[size]
    return {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": d, "num_hidden_layers": layers,
            "num_attention_heads": heads, "intermediate_size": ff, "vocab_size": VOCABULARY,
            "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12}


def shapes_of(config):
    d, ff = config["hidden_size"], config["intermediate_size"]
    shapes = {"embeddings.word_embeddings.weight": (config["vocab_size"], d),
              "embeddings.position_embeddings.weight": (config["max_position_embeddings"], d),
              "embeddings.token_type_embeddings.weight": (2, d),
              "embeddings.LayerNorm.weight": (d,), "embeddings.LayerNorm.bias": (d,)}
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        dense = {"attention.self.query": (d, d), "attention.self.key": (d, d), "attention.self.value": (d, d),
                 "attention.output.dense": (d, d), "intermediate.dense": (ff, d), "output.dense": (d, ff)}
        for name, shape in dense.items():
            shapes[at + name + ".weight"], shapes[at + name + ".bias"] = shape, shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[at + name + ".weight"], shapes[at + name + ".bias"] = (d,), (d,)
    return shapes


def tensors_of(config):
    """Matrices as BERT initialises them, norms around 1 and biases away from 0, so that dropping one shows."""
    import torch
    generator = torch.Generator().manual_seed(SEED)
    tensors = {}
    for name, shape in shapes_of(config).items():
        deviation = 0.02 if len(shape) == 2 else 0.1
        centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        tensors[name] = torch.randn(shape, generator=generator) * deviation + centre
    return tensors


def write(folder, size):
    config = config_of(size)
    done = os.path.join(folder, "config.json")  # written last: a checkpoint that was cut off has none
    if os.path.exists(done):
        return
    os.makedirs(folder, exist_ok=True)
    header, offset = {}, 0
    for name, shape in shapes_of(config).items():
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + 4 * math.prod(shape)]}
        offset += 4 * math.prod(shape)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors_of(config).values():
            file.write(ctypes.string_at(tensor.contiguous().data_ptr(), tensor.numel() * 4))
    with open(done, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        write(folder, os.path.basename(folder).split("-")[-1])
