"""OpenVINO's CPU plugin: precision forced (its default is bf16 where the processor has it), shapes fixed.

int8 is NNCF's quantised model; what that leaves in floating point is tried in bf16 and in f32."""

import importlib.metadata
import pathlib
import subprocess
import sys

import numpy
import openvino

PRECISION_NAMES = {"f32": ("f32", "float32"), "bf16": ("bf16", "bfloat16")}  # what it calls them, by version


class Latency:
    """One request on all threads."""

    def __init__(self, compiled, ids, types):
        self.request = compiled.create_infer_request()
        for index, value in enumerate((ids, types)):
            kind = compiled.inputs[index].get_element_type().to_dtype()
            self.request.set_input_tensor(index, openvino.Tensor(numpy.ascontiguousarray(value, dtype=kind)))

    def run(self):
        self.request.infer()

    def output(self):
        return self.request.get_output_tensor(0).data


class Streams:
    """The batch split over several requests that run side by side, one a stream."""

    def __init__(self, compiled, ids, types):
        self.parts = [Latency(compiled, *part) for part in zip(split(ids), split(types))]

    def run(self):
        for part in self.parts:
            part.request.start_async()
        for part in self.parts:
            part.request.wait()

    def output(self):
        return numpy.concatenate([part.output() for part in self.parts])


def split(values):
    return numpy.split(values, 2)


class OpenVino:
    def __init__(self):
        self.core = openvino.Core()

    def versions(self):
        return {"openvino": openvino.__version__.split("-")[0], "nncf": importlib.metadata.version("nncf")}

    def open(self, message):
        self.checkpoint, self.threads = message["checkpoint"], message["threads"]
        self.work = pathlib.Path(message["work"])

    def release(self):
        pass

    def candidates(self, row):
        from worker import CannotRun
        if row["family"] == "xlnet":
            raise CannotRun("XLNet: it has no operation for relative attention, and a plain conversion is not set up here")
        capabilities = self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if row["dtype"] == "bf16" and "BF16" not in capabilities:
            raise CannotRun(f"bf16: not among this processor's {', '.join(capabilities)}")
        found = []
        for title, source, precision in self.forms(row["dtype"], "BF16" in capabilities):
            found.append((f"{title}, LATENCY, precision {precision}",
                          lambda ids, types, form=(source, precision): self.latency(*form, ids, types)))
            if row["batch"] % 2 == 0 and self.threads == 2 and source != "onnx":
                found.append((f"{title}, THROUGHPUT, 2 streams, precision {precision}",
                              lambda ids, types, form=(source, precision): self.throughput(*form, ids, types)))
        return found

    @staticmethod
    def forms(dtype, has_bf16):
        """(title, source of the model, precision of what is not quantised)."""
        if dtype != "int8":
            return [("from PyTorch", "torch", dtype), ("from ONNX", "onnx", dtype)]
        title = "from PyTorch, int8 by NNCF"
        return [(title, "int8", precision) for precision in (("bf16", "f32") if has_bf16 else ("f32",))]

    def latency(self, source, precision, ids, types):
        return Latency(self.compile(source, precision, ids.shape, "LATENCY"), ids, types)

    def throughput(self, source, precision, ids, types):
        half = split(ids)[0]
        return Streams(self.compile(source, precision, half.shape, "THROUGHPUT", NUM_STREAMS=2), ids, types)

    def compile(self, source, precision, shape, hint, **more):
        model = self.core.read_model(self.model_file(source))
        model.reshape({port: openvino.PartialShape(list(shape)) for port in model.inputs})
        properties = {"PERFORMANCE_HINT": hint, "INFERENCE_NUM_THREADS": self.threads,
                      "INFERENCE_PRECISION_HINT": precision, **more}
        compiled = self.core.compile_model(model, "CPU", properties)
        found = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        if found not in PRECISION_NAMES[precision]:
            raise RuntimeError(f"expected precision {precision}, the compiled model says {found}")
        return compiled

    def model_file(self, source):
        """Converted once, by a process that has torch, with dynamic shapes."""
        path = self.work / f"openvino-{openvino.__version__.split('-')[0]}-{pathlib.Path(self.checkpoint).name}-{source}.xml"
        if not path.exists():
            script = pathlib.Path(__file__).with_name("export_openvino.py")
            subprocess.run([sys.executable, str(script), self.checkpoint, source, str(path)], check=True, stdout=sys.stderr)
        return str(path)


def make(_argument):
    return OpenVino()
