"""What machine this is, for the report's head and file name."""

import os
import platform
import re

ISA = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8")


def cpu_fields():
    """The fields of the first processor in /proc/cpuinfo."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        first = file.read().split("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def cores():
    """Physical cores this process may use."""
    found = set()
    for cpu in os.sched_getaffinity(0):
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", encoding="ascii") as file:
                found.add(file.read().strip())
        except OSError:
            found.add(str(cpu))
    return len(found)


def describe():
    fields = cpu_fields()
    flags = fields.get("flags", "").split()
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 2 ** 20
    return {"CPU": f"{fields.get('model name', platform.machine())} (family {fields.get('cpu family', '?')}, "
                   f"model {fields.get('model', '?')})",
            "cores": str(cores()), "ISA": " ".join(flag for flag in ISA if flag in flags),
            "memory": f"{memory:.0f} GiB", "hypervisor": "yes" if "hypervisor" in flags else "no",
            "kernel": platform.release()}


def slug(machine):
    """"amd-epyc-25-17-2c": the name alone would be the same for machines of different generations."""
    words = re.sub(r"\((family|model|R|TM)|\b(family|model|CPU|Processor)\b", " ", machine["CPU"])
    words = re.sub(r"@.*?GHz", " ", words)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") + f"-{machine['cores']}c"
