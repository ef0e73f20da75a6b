"""Converts a checkpoint's BertModel for OpenVINO: `python export_openvino.py CHECKPOINT torch|onnx|int8 OUT.xml`.

`torch` keeps scaled dot-product attention as one operator; `onnx` goes through the ONNX export; `int8` is `torch` after
NNCF's post-training quantisation, as its documentation has it for transformers.
"""

import json
import os
import pathlib
import sys
import tempfile

os.environ["NNCF_CI"] = "1"  # it would report its use over the network

import numpy
import openvino
import torch

import export_onnx

CALIBRATION = 8, 320  # texts and their length


def convert(checkpoint, source):
    if source == "int8":
        return quantised(checkpoint)
    if source == "onnx":
        with tempfile.TemporaryDirectory() as folder:
            export_onnx.export(checkpoint, folder + "/model.onnx")
            return openvino.convert_model(folder + "/model.onnx")
    ids = torch.ones((2, 16), dtype=torch.int64)
    return openvino.convert_model(export_onnx.HiddenState(checkpoint), example_input=(ids, torch.zeros_like(ids)),
                                  input=[openvino.PartialShape([-1, -1])] * 2)


def quantised(checkpoint):
    """Its ranges come from random texts of their own, like those measured but none of them."""
    import nncf
    count, length = CALIBRATION
    words = json.loads((pathlib.Path(checkpoint) / "config.json").read_text())["vocab_size"]
    random = numpy.random.default_rng(1)
    types = (numpy.arange(length) >= 27).astype(numpy.int64)[None]
    texts = [(random.integers(1000, words, (1, length)), types) for _ in range(count)]
    return nncf.quantize(convert(checkpoint, "torch"), nncf.Dataset(texts, list),
                         model_type=nncf.ModelType.TRANSFORMER, subset_size=count)


if __name__ == "__main__":
    model = convert(sys.argv[1], sys.argv[2])
    part = sys.argv[3][:-len(".xml")] + f".{os.getpid()}.xml"
    openvino.save_model(model, part, compress_to_fp16=False)
    os.replace(part[:-len(".xml")] + ".bin", sys.argv[3][:-len(".xml")] + ".bin")
    os.replace(part, sys.argv[3])
