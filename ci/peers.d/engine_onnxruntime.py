"""ONNX Runtime on its CPU provider, transformer fusions on, shapes fixed, inputs and output bound once."""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime
from onnxruntime.transformers import optimizer

import bert_onnx


class Runner:
    def __init__(self, session, ids, types):
        self.session, self.binding = session, session.io_binding()
        for entry, value in zip(session.get_inputs(), (ids, types)):
            kind = numpy.int32 if "int32" in entry.type else numpy.int64
            self.binding.bind_cpu_input(entry.name, numpy.ascontiguousarray(value, dtype=kind))
        shape = [*ids.shape, session.get_outputs()[0].shape[2]]
        self.value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, numpy.float32)
        self.binding.bind_ortvalue_output("last_hidden_state", self.value)

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def output(self):
        return self.value.numpy()


class OnnxRuntime:
    def versions(self):
        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}

    def open(self, message):
        from safetensors.numpy import load_file
        self.checkpoint, self.threads = message["checkpoint"], message["threads"]
        self.work = pathlib.Path(message["work"])
        self.config = json.loads((pathlib.Path(self.checkpoint) / "config.json").read_text())
        self.tensors = load_file(str(pathlib.Path(self.checkpoint) / "model.safetensors"))

    def release(self):
        pass

    def candidates(self, row):
        from worker import CannotRun
        if row["family"] == "xlnet":
            raise CannotRun("XLNet: its transformer fusions know no relative attention, and an unfused export is not set up here")
        if row["dtype"] == "bf16":
            raise CannotRun("bf16: its CPU provider has no bfloat16 kernels of the matrix product on x86")
        if row["dtype"] == "int8":
            return self.quantised()
        return [("fused graph (MultiHeadAttention)", lambda ids, types: self.fused("MultiHeadAttention", ids, types)),
                ("fused graph (Attention)", lambda ids, types: self.fused("Attention", ids, types)),
                ("export, transformers.optimizer", self.exported)]

    def fused(self, kind, ids, types):
        model = bert_onnx.build(self.config, self.tensors, kind, *ids.shape)
        return Runner(self.session(model.SerializeToString(), ids.shape), ids, types)

    def quantised(self):
        """quantize_dynamic of the fused graphs. Its documentation: signed weights, per channel where accuracy asks for it
        (slower), reduce_range only on processors without VNNI."""
        from machine import describe
        reduce_range = not {"avx512_vnni", "avx_vnni"} & set(describe()["ISA"].split())
        return [(f"fused graph ({kind}), quantize_dynamic, QInt8, {'per channel' if per_channel else 'per tensor'}"
                 + (", reduce_range" if reduce_range else ""),
                 lambda ids, types, kind=kind, per_channel=per_channel: self.fused_int8(
                     kind, {"per_channel": per_channel, "reduce_range": reduce_range}, ids, types))
                for kind in ("MultiHeadAttention", "Attention") for per_channel in (True, False)]

    def fused_int8(self, kind, options, ids, types):
        from onnxruntime.quantization import QuantType, quantize_dynamic
        model = bert_onnx.build(self.config, self.tensors, kind, *ids.shape)
        with tempfile.TemporaryDirectory() as folder:
            quantize_dynamic(model, folder + "/int8.onnx", op_types_to_quantize=["MatMul", "Attention"],
                             weight_type=QuantType.QInt8,
                             extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT}, **options)
            return Runner(self.session(folder + "/int8.onnx", ids.shape), ids, types)

    def exported(self, ids, types):
        return Runner(self.session(self.optimized_file(), ids.shape), ids, types)

    def optimized_file(self):
        """Exported once, by a process that has torch, with dynamic shapes, then through ORT's own optimizer."""
        path = self.work / f"onnxruntime-{onnxruntime.__version__}-{pathlib.Path(self.checkpoint).name}.onnx"
        if not path.exists():
            script = pathlib.Path(__file__).with_name("export_onnx.py")
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([sys.executable, str(script), self.checkpoint, folder + "/model.onnx"], check=True,
                               stdout=sys.stderr)
                model = optimizer.optimize_model(
                    folder + "/model.onnx", model_type="bert", num_heads=self.config["num_attention_heads"],
                    hidden_size=self.config["hidden_size"], opt_level=0, use_gpu=False)
            model.save_model_to_file(str(path))
        return str(path)

    def session(self, model, shape):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.log_severity_level = 3
        for name, size in zip(("batch", "length"), shape):
            options.add_free_dimension_override_by_name(name, size)  # an export's dynamic axes, fixed
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def make(_argument):
    return OnnxRuntime()
