"""The engines of the table, as data. A process is one worker; where an engine's setting is read from the environment
when the process starts, it has one process for each, and the quickest is the engine's."""

import dataclasses
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
OURS = "ours"
REFERENCE = "torch-eager"  # what the others' outputs are compared with

# Activations of a large batch are released and asked for again in every forward; with these glibc keeps the memory
# instead of returning it to the kernel page by page. PyTorch's tuning guide asks for such an allocator.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "8589934592",
               "MALLOC_TOP_PAD_": "67108864"}


@dataclasses.dataclass(frozen=True)
class Engine:
    name: str
    module: str = ""  # "module:argument" for worker.py; empty: the native program
    environments: tuple = ({},)  # one process for each

    def command(self, program):
        return [str(program)] if not self.module else [sys.executable, "-B", str(HERE / "worker.py"), self.name]

    def environment(self, extra, threads, work):
        base = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "MKL_", "GOMP_", "KMP_"))}
        return {**base, **KEEP_MEMORY, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1",
                "TOKENIZERS_PARALLELISM": "false", "TORCHINDUCTOR_CACHE_DIR": str(work / "inductor"), **extra}


ENGINES = [
    Engine(OURS),
    Engine(REFERENCE, "engine_torch:eager"),
    Engine("torch-compile", "engine_torch:compile"),
    Engine("onnxruntime", "engine_onnxruntime:"),
    Engine("openvino", "engine_openvino:"),
    Engine("ctranslate2", "engine_ctranslate2:", ({"CT2_USE_MKL": "0"}, {"CT2_USE_MKL": "1"})),
]


def find(name):
    for engine in ENGINES:
        if engine.name == name:
            return engine
    raise SystemExit(f"peers: expected an engine of {', '.join(e.name for e in ENGINES)}; found '{name}'")
