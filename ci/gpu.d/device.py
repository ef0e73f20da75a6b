"""What this machine has: a device, its driver, and the folders of NVIDIA's libraries."""

import ctypes
import glob
import os
import re
import shutil
import site
import subprocess
import sys

NO_DEVICE = 100
STUB = 34


def why_none(library="libcuda.so.1"):
    """Why there is no device to compute on; empty when there is one. Asks the driver itself."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError as error:
        return f"no NVIDIA driver: {error}"
    code = cuda.cuInit(0)
    if code == NO_DEVICE:
        return "the driver finds no device"
    if code == STUB:
        return f"{library} is the toolkit's stub, not a driver"
    if code != 0:
        return f"the driver refuses to start (cuInit returned {code})"
    count = ctypes.c_int(0)
    code = cuda.cuDeviceGetCount(ctypes.byref(count))
    if code != 0 or count.value == 0:
        return f"the driver knows no device (cuDeviceGetCount returned {code}, {count.value} devices)"
    return ""


def slug(name):
    """"NVIDIA H100 80GB HBM3" -> "h100-80gb-hbm3"."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return re.sub(r"^(nvidia-|tesla-|geforce-)+", "", words) or "unknown"


def facts():
    """Name, driver, memory and clocks of the first device, as nvidia-smi tells them; {} without it."""
    fields = ["name", "driver_version", "memory.total", "clocks.max.sm", "power.limit", "compute_cap"]
    if shutil.which("nvidia-smi") is None:
        return {}
    done = subprocess.run(["nvidia-smi", "--query-gpu=" + ",".join(fields), "--format=csv,noheader"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        return {}
    return dict(zip(fields, (value.strip() for value in lines[0].split(","))))


def package_folders():
    """site-packages of this Python, where PyTorch brings NVIDIA's libraries."""
    return list(dict.fromkeys(site.getsitepackages() + [site.getusersitepackages()] + sys.path))


def library_folders(extra=()):
    """Folders to search for cublasLt, cuDNN and CUPTI: what was carried, the toolkit's, PyTorch's own."""
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    folders = list(extra)
    for home in filter(None, homes):
        folders += [os.path.join(home, *folder) for folder in (["lib64"], ["lib"], ["extras", "CUPTI", "lib64"])]
    for packages in package_folders():
        folders += sorted(glob.glob(os.path.join(packages, "nvidia", "*", "lib")))
    return [folder for folder in dict.fromkeys(folders) if os.path.isdir(folder)]


def blas_core(flags):
    """The OpenBLAS kernels that serve a processor with these flags. An OpenBLAS older than the processor takes those of a
    Prescott instead, and the reference eight times as long."""
    if "avx512f" in flags:
        return {"OPENBLAS_CORETYPE": "SkylakeX"}
    return {"OPENBLAS_CORETYPE": "Haswell"} if {"avx2", "fma"} <= flags else {}


def processor_flags():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return set(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        return set()


def environment(extra=()):
    """The environment in which the program finds all of them."""
    path = library_folders(extra) + list(filter(None, [os.environ.get("LD_LIBRARY_PATH")]))
    return blas_core(processor_flags()) | dict(os.environ, LD_LIBRARY_PATH=":".join(path))
