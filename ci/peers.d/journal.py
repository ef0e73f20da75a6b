"""Journals: one JSON object a line, appended as it is measured. A line that a kill cut short is passed over, and what
comes after it stands on a line of its own."""

import json

import rows


def append(path, record):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:
        if file.tell() > 0:
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(record).encode() + b"\n")


def records(path):
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def comparable(record, now):
    """Whether a record may stand in one table with what is measured now."""
    return record["machine"] == now["machine"] and record["threads"] == now["threads"] and all(
        record["versions"].get(name, found) == found for name, found in now["versions"].items())


def latest(path, now):
    """The latest comparable record of every row, in the order of the table; rows that it has no more are left out."""
    found = {record["name"]: record for record in records(path) if comparable(record, now)}
    return [found[row.name] for row in rows.expand(rows.TABLE + rows.EXTRA) if row.name in found]
