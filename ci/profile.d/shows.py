"""What the shows share: a row of the final table, and the program."""

import dataclasses
import json
import os
import subprocess
import sys


@dataclasses.dataclass
class Row:
    what: str
    found: str
    goal: str
    held: object  # True, False, or None where it can not be told, here or at all
    note: str = ""

    def verdict(self):
        return {True: "holds", False: "MISSED", None: "not told"}[self.held]


def run(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"profile-shows: expected exit code 0 of {' '.join(command)}, found {done.returncode}: {done.stderr}")
    return done.stdout


def program(options, *arguments):
    return run([options.program, *arguments])


def rows_of(options, *arguments):
    """The program's records; its command is printed, so that anyone can look at the tables behind a figure."""
    print("$ deformer-bench", *arguments, flush=True)
    return json.loads(program(options, *arguments, "--format", "json"))["rows"]


def sweep_file(options, path, arguments):
    if os.path.exists(path):
        os.remove(path)
    program(options, "sweep", *arguments, "--out", path)


def percent(fraction, digits=2):
    return f"{100 * fraction:.{digits}f} %"


def table(title, rows):
    """Printed; whether nothing was missed."""
    cells = [["", "found", "goal", ""], *([row.what, row.found, row.goal, row.verdict()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    print(f"\n{title}\n")
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    for row in rows:
        if row.note:
            print(f"  {row.what}: {row.note}")
    print(flush=True)
    return all(row.held is not False for row in rows)
