"""CTranslate2's Encoder on a checkpoint converted by its own converter.

Which GEMM library it uses (MKL on Intel, oneDNN elsewhere) is decided by CT2_USE_MKL when the process starts, so
engines.py starts one process for each.
"""

import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import ctranslate2
import numpy


# Its compute types of each dtype of ours; `int8` itself is whichever of these two its authors prefer on the processor.
COMPUTE_TYPES = {"f32": ["float32"], "bf16": ["bfloat16"], "int8": ["int8_float32", "int8_bfloat16"]}


def view(values):
    return ctranslate2.StorageView.from_array(numpy.ascontiguousarray(values, dtype=numpy.int32))


class Runner:
    """The batch in `parts` pieces, each on a translator thread of its own."""

    def __init__(self, encoder, ids, types, parts):
        self.encoder = encoder
        self.inputs = [(view(part), view(numpy.full(len(part), part.shape[1])), kinds.tolist())
                       for part, kinds in zip(numpy.split(ids, parts), numpy.split(types, parts))]
        self.pool = ThreadPoolExecutor(parts) if parts > 1 else None
        self.hidden = None

    def run_part(self, part):
        ids, lengths, types = part
        return self.encoder.forward_batch(ids, lengths=lengths, token_type_ids=types).last_hidden_state

    def run(self):
        self.hidden = list((self.pool.map if self.pool else map)(self.run_part, self.inputs))

    def output(self):
        return numpy.concatenate([numpy.array(part) for part in self.hidden])


def converted(checkpoint, work):
    """The folder of the converted checkpoint, made once."""
    folder = work / f"ctranslate2-{ctranslate2.__version__}-{pathlib.Path(checkpoint).name}"
    if not folder.exists():
        from ctranslate2.converters import TransformersConverter  # imports torch
        part = folder.with_name(folder.name + f".{os.getpid()}")
        TransformersConverter(checkpoint).convert(str(part))
        part.rename(folder)
    return folder


class CTranslate2:
    def versions(self):
        return {"ctranslate2": ctranslate2.__version__}

    def open(self, message):
        from worker import CannotRun
        self.threads = message["threads"]
        if message["row"]["family"] == "xlnet":
            raise CannotRun("XLNet: its converter and its layers know no relative attention of this kind")
        self.folder = converted(message["checkpoint"], pathlib.Path(message["work"]))
        self.encoders = {}

    def release(self):
        pass

    def candidates(self, row):
        from worker import CannotRun
        gemm = {"1": "MKL", "0": "oneDNN"}[os.environ["CT2_USE_MKL"]]
        supported = ctranslate2.get_supported_compute_types("cpu")
        wanted = COMPUTE_TYPES[row["dtype"]]
        kinds = [kind for kind in wanted if kind in supported]
        if not kinds:
            raise CannotRun(f"{gemm}: no compute type {' or '.join(wanted)} here, only {', '.join(sorted(supported))}")
        parallels = [1]
        if self.threads > 1 and row["batch"] % self.threads == 0:
            parallels.append(self.threads)
        return [(f"{gemm}, {kind}, {self.split(parallel)}",
                 lambda ids, types, kind=kind, parallel=parallel: Runner(self.encoder(kind, parallel), ids, types, parallel))
                for kind in kinds for parallel in parallels]

    def split(self, parallel):
        return f"intra_threads {self.threads}" if parallel == 1 else f"inter_threads {parallel}, batch split"

    def encoder(self, kind, parallel):
        """Of one compute type, with `parallel` workers of threads/parallel threads each."""
        if (kind, parallel) not in self.encoders:
            encoder = ctranslate2.Encoder(
                str(self.folder), device="cpu", compute_type=kind, inter_threads=parallel,
                intra_threads=self.threads // parallel)
            if encoder.compute_type != kind:  # it falls back to another silently
                raise RuntimeError(f"expected compute type {kind}, the encoder says {encoder.compute_type}")
            self.encoders[kind, parallel] = encoder
        return self.encoders[kind, parallel]


def make(_argument):
    return CTranslate2()
