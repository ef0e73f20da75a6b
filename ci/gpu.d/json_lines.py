"""Files of JSON lines: run files, peers' rows, outcomes."""

import json
import os


def read_lines(path):
    """Those that are whole: a step that was ended may have left half of one."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file if line.strip()]
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    return [json.loads(line) for line in lines]
