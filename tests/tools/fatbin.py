"""Which machine code a shared object holds for NVIDIA's devices: reads the headers in its section .nv_fatbin.

    fatbin.py deformer-bench-cuda.so      ->  ptx 100\nsm 80\n...

The section is a row of containers (magic 0xba55ed50, header and payload sizes); a container is a row of entries, each
with its kind (1 PTX, 2 machine code), sizes and the architecture. Layout as cuobjdump's output confirms it; the
toolkit documents none of it.
"""

import struct
import sys

CONTAINER_MAGIC = 0xBA55ED50
KINDS = {1: "ptx", 2: "sm"}


def section(data, wanted):
    """The bytes of a section of a 64-bit little-endian ELF file; empty when it has none of that name."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("expected a 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    strings = headers[names][4]
    for name, _kind, _flags, _address, offset, length in headers:
        end = data.index(b"\0", strings + name)
        if data[strings + name:end] == wanted:
            return data[offset:offset + length]
    return b""


def entries(fatbin):
    """(kind, architecture) of every entry: ("sm", 80), ("ptx", 100)."""
    found = []
    at = 0
    while at + 16 <= len(fatbin):
        magic, _version, header, payload = struct.unpack_from("<IHHQ", fatbin, at)
        if magic != CONTAINER_MAGIC:
            at += 8  # padding between containers
            continue
        inside, end = at + header, at + header + payload
        if end > len(fatbin):
            raise ValueError(f"a container at {at} ends beyond its section")
        while inside + 32 <= end:
            kind, _, entry_header, size = struct.unpack_from("<HHIQ", fatbin, inside)
            (architecture,) = struct.unpack_from("<I", fatbin, inside + 28)
            if entry_header == 0 or kind not in KINDS:
                raise ValueError(f"an entry at {inside} of unknown kind {kind}")
            found.append((KINDS[kind], architecture))
            inside += entry_header + size
        at = end
    return found


def architectures(path):
    with open(path, "rb") as file:
        return sorted(set(entries(section(file.read(), b".nv_fatbin"))))


if __name__ == "__main__":
    for what, architecture in architectures(sys.argv[1]):
        print(what, architecture)
