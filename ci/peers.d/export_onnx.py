"""Exports a checkpoint's BertModel to ONNX with dynamic shapes: `python export_onnx.py CHECKPOINT OUT`.

A process of its own, because it needs torch and the engines that read the file should not carry torch's threads.
"""

import sys

import torch
import transformers


class HiddenState(torch.nn.Module):
    def __init__(self, checkpoint):
        super().__init__()
        self.model = transformers.BertModel.from_pretrained(
            checkpoint, dtype=torch.float32, attn_implementation="sdpa", add_pooling_layer=False).eval()

    def forward(self, ids, types):
        return self.model(input_ids=ids, token_type_ids=types).last_hidden_state


def export(checkpoint, out):
    ids = torch.ones((2, 16), dtype=torch.int64)
    names = ["input_ids", "token_type_ids"]
    axes = {name: {0: "batch", 1: "length"} for name in [*names, "last_hidden_state"]}
    torch.onnx.export(HiddenState(checkpoint), (ids, torch.zeros_like(ids)), out, dynamo=False, opset_version=17,
                      input_names=names, output_names=["last_hidden_state"], dynamic_axes=axes)


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2])
