"""Converts a checkpoint's BertModel for OpenVINO: `python export_openvino.py CHECKPOINT torch|onnx OUT.xml`.

`torch` keeps scaled dot-product attention as one operator; `onnx` goes through the ONNX export.
"""

import os
import sys
import tempfile

import openvino
import torch

import export_onnx


def convert(checkpoint, source):
    if source == "onnx":
        with tempfile.TemporaryDirectory() as folder:
            export_onnx.export(checkpoint, folder + "/model.onnx")
            return openvino.convert_model(folder + "/model.onnx")
    ids = torch.ones((2, 16), dtype=torch.int64)
    return openvino.convert_model(export_onnx.HiddenState(checkpoint), example_input=(ids, torch.zeros_like(ids)),
                                  input=[openvino.PartialShape([-1, -1])] * 2)


if __name__ == "__main__":
    model = convert(sys.argv[1], sys.argv[2])
    part = sys.argv[3][:-len(".xml")] + f".{os.getpid()}.xml"
    openvino.save_model(model, part, compress_to_fp16=False)
    os.replace(part[:-len(".xml")] + ".bin", sys.argv[3][:-len(".xml")] + ".bin")
    os.replace(part, sys.argv[3])
