"""A tree to carry to a machine that has a driver and Python and nothing of ours: program, modules, the libraries they
need that such a machine lacks, golden data, this check."""

import os
import re
import subprocess
import sys
import tarfile

# What every machine has, and what must be its own: the C library and what belongs to it, the driver, CUDA's libraries.
SYSTEM = re.compile(r"^(ld-linux|libc\.|libm\.|libdl\.|libpthread\.|librt\.|libresolv\.|linux-vdso|libcuda\.|"
                    r"libnvidia|libcublas|libcudnn|libcupti|libnvrtc)")
CARRIED = ["ci/gpu-check", "ci/gpu.d", "tests/data/golden", "README.md", "LICENSE"]


def needed(binary):
    """Paths of the libraries a binary loads at its start, those that every machine has left out."""
    listed = subprocess.run(["ldd", binary], stdout=subprocess.PIPE, text=True, check=True).stdout
    missing = re.findall(r"(\S+) => not found", listed)
    if missing:
        raise SystemExit(f"gpu-check: {binary} needs {' '.join(missing)}, which this machine lacks")
    found = re.findall(r"(\S+) => (/\S+)", listed)
    return {name: path for name, path in found if not SYSTEM.match(name)}


def contents(build):
    """Archive name -> path of everything that is carried."""
    program = os.path.join(build, "deformer-bench")
    plugins = os.path.join(build, "plugins")
    modules = [os.path.join(plugins, name) for name in sorted(os.listdir(plugins))] if os.path.isdir(plugins) else []
    if not os.path.exists(program) or not modules:
        raise SystemExit(f"gpu-check: expected a built program and a CUDA module in {build}, found "
                         f"{'no program' if not os.path.exists(program) else 'no module'}; "
                         "run ci/build where there is a CUDA toolkit")
    files = {"build/release/deformer-bench": program}
    for module in modules:
        files["build/release/plugins/" + os.path.basename(module)] = module
    for binary in [program, *modules]:
        files |= {"build/release/lib/" + name: os.path.realpath(path) for name, path in needed(binary).items()}
    for name in CARRIED:
        for at, _folders, names in os.walk(name) if os.path.isdir(name) else [(os.path.dirname(name), [], [os.path.basename(name)])]:
            if "__pycache__" not in at:
                files |= {os.path.join(at, one): os.path.join(at, one) for one in names}
    return files


def without_cudnn(module):
    """Whether a module was built where cuDNN's headers were not: it then never looks up cuDNN's functions by name."""
    with open(module, "rb") as file:
        return b"cudnnBackendExecute" not in file.read()


def pack(build, target):
    files = contents(build)
    for name, path in files.items():
        if name.endswith("/deformer-bench-cuda.so") and without_cudnn(path):
            print(f"gpu-check: {path} was built without cuDNN: its attention will be our kernel's alone (ci/setup brings "
                  "the headers; then configure and build again)", file=sys.stderr)
    with tarfile.open(target, "w:gz") as archive:
        for name, path in sorted(files.items()):
            archive.add(path, "deformer-bench-gpu/" + name)
    size = os.path.getsize(target) / 1e6
    print(f"gpu-check: {target}: {len(files)} files, {size:.0f} MB. There: tar xf it, cd deformer-bench-gpu, ci/gpu-check")
