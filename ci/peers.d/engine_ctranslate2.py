"""CTranslate2's Encoder on a checkpoint converted by its own converter.

Which GEMM library it uses (MKL on Intel, oneDNN elsewhere) is decided by CT2_USE_MKL when the process starts, so
engines.py starts one process for each.
"""

import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import ctranslate2
import numpy


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
        if row["dtype"] != "f32":
            raise CannotRun(f"no settings for {row['dtype']} yet")
        gemm = {"1": "MKL", "0": "oneDNN"}[os.environ["CT2_USE_MKL"]]
        found = [(f"{gemm}, float32, intra_threads {self.threads}",
                  lambda ids, types: Runner(self.encoder(1), ids, types, 1))]
        if self.threads > 1 and row["batch"] % self.threads == 0:
            found.append((f"{gemm}, float32, inter_threads {self.threads}, batch split",
                          lambda ids, types: Runner(self.encoder(self.threads), ids, types, self.threads)))
        return found

    def encoder(self, parallel):
        """With `parallel` workers of threads/parallel threads each."""
        if parallel not in self.encoders:
            self.encoders[parallel] = ctranslate2.Encoder(
                str(self.folder), device="cpu", compute_type="float32", inter_threads=parallel,
                intra_threads=self.threads // parallel)
        return self.encoders[parallel]


def make(_argument):
    return CTranslate2()
