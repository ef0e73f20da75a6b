"""What steps that time nothing found: parity with the golden data and with the reference, the sanitizer's count, and the
reason where a step found nothing."""

import json
import os
import re

from json_lines import read_lines

OPEN = "open: not measured"
FOUND = "found something"  # of a step that may: an answer
CONTROL = "sanitizer-control"  # is about the tool, not about us
COSINE = "row cosine >= 0.999"
GOALS = {"f32": "max_abs <= 2e-4", "tf32": COSINE, "bf16": COSINE, "f16": COSINE, "fp8": "row cosine >= 0.99"}
REASON_CHARACTERS = 300


def rows_of(path):
    """Rows of `verify --format json`; none where it said nothing."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)["rows"]
    except (OSError, ValueError, KeyError):
        return []


def worst(results):
    """By the measure that decides: "max_abs 1.1e-05" or "row cosine 0.999939"."""
    if all(result["rule"].startswith("max_abs") for result in results):
        return f"max_abs {max(result['max_abs'] for result in results):.1e}"
    return f"row cosine {min(result['cosine_min'] for result in results):.6f}"


def verified(rows):
    ran = [row for row in rows if row["status"] != "skipped"]
    if not rows:
        return ""
    text = f"{sum(row['status'] == 'ok' for row in ran)} of {len(ran)} cases" + (", " + worst(ran) if ran else "")
    return text + (f", {len(rows) - len(ran)} directories not served" if len(ran) < len(rows) else "")


# Of compute-sanitizer's output, what is no finding.
NO_FINDING = ("COMPUTE-SANITIZER", "SUMMARY:", "process didn't terminate successfully", "Target application returned an error",
              "couldn't find exit code")


def output_of(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def findings(path, lines=60):
    """What the sanitizer said beside how it began and ended, at most so many lines of it."""
    said = [line[9:].rstrip() for line in output_of(path).splitlines() if line.startswith("=========")]
    kept = [line for line in said if line.strip() and not any(word in line for word in NO_FINDING)]
    return kept[:lines] + ([f" ... and {len(kept) - lines} lines more"] if len(kept) > lines else [])


def sanitized(path):
    """The sanitizer's last word ("0 errors", "0 hazards displayed (0 errors, 0 warnings)"), and the first thing it found."""
    count = re.findall(r"SUMMARY: (.+)", output_of(path))
    first = findings(path, 1)
    return ", first: ".join(([count[-1].strip()] if count else []) + [line.strip()[:REASON_CHARACTERS] for line in first[:1]])


def reason(path):
    """The last line of a step's log; its first is the command."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file.readlines()[1:] if line.strip()]
    return lines[-1][:REASON_CHARACTERS] if lines else ""


def of(step, outcome, folder):
    """What the page says of a step beside its outcome: `detail`, and `skipped`, golden directory -> why."""
    stem, detail, skipped = os.path.join(folder, step), "", {}
    if step.startswith("verify-"):
        rows = rows_of(stem + ".out")
        detail = verified(rows)
        skipped = {os.path.basename(row["directory"].rstrip("/")): row["reason"] for row in rows if row["status"] == "skipped"}
    elif step.startswith("sanitizer-"):
        detail = sanitized(stem + ".out")
        program_tells = outcome.startswith(("FAILED", FOUND)) or (step == CONTROL and outcome == "ok")
        if program_tells and reason(stem + ".log"):
            detail += ("; " if detail else "") + "the program: " + reason(stem + ".log")
    if not detail and outcome.startswith(("FAILED", "not to be had")):
        detail = reason(stem + ".log")
    return {"detail": detail, "skipped": skipped}


def told(outcome):
    return outcome["outcome"] + (f" ({outcome['detail']})" if outcome.get("detail") else "")


def outcome_text(outcomes, prefix, suffix=""):
    """"bert ok (53 of 53 cases, …); xlnet ok (…)" of the steps whose names begin and end so."""
    return "; ".join(f"{outcome['step'][len(prefix):].removesuffix(suffix)} {told(outcome)}" for outcome in outcomes
                     if outcome["step"].startswith(prefix) and outcome["step"].endswith(suffix)) or OPEN


def verify_lines(outcomes):
    for dtype, goal in GOALS.items():
        yield f"golden cases in {dtype}", goal, outcome_text(outcomes, "verify-", "-" + dtype)
    for place in ("pinned", "pageable"):
        text = "; ".join(told(outcome) for outcome in outcomes if outcome["step"] == "verify-" + place) or OPEN
        yield f"golden cases in bf16, cached passages in {place} host memory", GOALS["bf16"], text


def parity_text(record):
    named = f"{record['point']['variant']} {record['point']['dtype']}"
    if not record.get("parity"):
        return f"{named} {record['status']}: {record.get('reason')}"
    return f"{named} {'ok' if record['parity']['ok'] else 'FAILED'} ({worst([record['parity']])})"


def parity_lines(folder):
    """Of models of real size, from the run files of steps.parity_steps."""
    for title, name in (("BERT-base", "base"), ("BERT-large", "large"), ("BERT-base in fp8", "fp8")):
        records = [line for line in read_lines(os.path.join(folder, f"parity-{name}.jsonl")) if line.get("type") == "record"]
        yield (f"{title} at squad's lengths against the reference", GOALS["fp8"] if name == "fp8" else "as above",
               ", ".join(dict.fromkeys(map(parity_text, records))) or OPEN)


def sanitizer_rows(outcomes):
    """Of the page's first table; the control is no promise of ours."""
    yield ("compute-sanitizer (`--only sanitizer`, a run of its own)", "zero errors",
           outcome_text([outcome for outcome in outcomes if outcome["step"] != CONTROL], "sanitizer-"))
    yield ("compute-sanitizer's racecheck, the tool on a library's kernel alone", "none: how far to trust it",
           "; ".join(told(outcome) for outcome in outcomes if outcome["step"] == CONTROL) or OPEN)


def sanitizer_lines(outcomes, folder):
    """Of each step that found something or did not end: what the sanitizer said, and the last words of the program."""
    lines = []
    for outcome in outcomes:
        stem = os.path.join(folder, outcome["step"])
        said = findings(stem + ".out")
        if outcome["step"].startswith("sanitizer-") and (said or outcome["outcome"] != "ok"):
            log = [line.rstrip() for line in output_of(stem + ".log").splitlines()[1:] if line.strip()][-5:]
            about = " (the tool on a library's kernel alone)" if outcome["step"] == CONTROL else ""
            lines += ["", f"### {outcome['step']}{about}: {told(outcome)}", "", "```", *(said or ["nothing was found"]),
                      *(["the program said:", *log] if log else []), "```"]
    return ["", "## What the sanitizer found", *lines] if lines else []


def not_served_lines(outcomes, table):
    """Golden directories that no case ran of, and why; none where all were served."""
    dtypes = {}
    for outcome in outcomes:
        for directory, why in outcome.get("skipped", {}).items():
            dtypes.setdefault(directory, (why, []))[1].append(outcome["step"].split("-")[-1])
    rows = [[directory, ", ".join(found), why] for directory, (why, found) in dtypes.items()]
    return ["", "## Golden directories that are not served", "", *table(["directory", "in", "why"], rows)] if rows else []
