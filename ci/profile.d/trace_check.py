"""Show 6: a trace against the rules of its format ("Trace Event Format", the public document of the Chrome project).

    python3 -B ci/profile.d/trace_check.py TRACE.json        # what is wrong with it, line by line; what it holds
"""

import json
import sys

NUMBER = (int, float)
# What each kind of event must have, by the format: metadata, complete, counter.
REQUIRED = {"M": {"name": str, "pid": int, "args": dict},
            "X": {"name": str, "cat": str, "pid": int, "tid": int, "ts": NUMBER, "dur": NUMBER},
            "C": {"name": str, "pid": int, "ts": NUMBER, "args": dict}}
SLACK_US = 1e-3  # a nanosecond: what the fractions of a microsecond are rounded to


def malformed(index, event):
    """What an event lacks of its kind."""
    kind = event.get("ph") if isinstance(event, dict) else None
    if kind not in REQUIRED:
        return [f"event {index}: expected ph M, X or C, found {kind!r}"]
    wrong = [f"event {index} ({kind}): expected {name}, found {event.get(name)!r}"
             for name, types in REQUIRED[kind].items()
             if not isinstance(event.get(name), types) or isinstance(event.get(name), bool)]
    if not wrong and kind == "M" and event["name"].endswith("_name") and not isinstance(event["args"].get("name"), str):
        wrong.append(f"event {index} (M): expected args.name, found {event['args']}")
    if not wrong and kind == "C" and not all(isinstance(value, NUMBER) for value in event["args"].values()):
        wrong.append(f"event {index} (C): expected numbers, found {event['args']}")
    return wrong


def not_nested(track):
    """Events of one track that reach over the end of one that they began in."""
    wrong, open_ends = [], []
    for event in sorted(track, key=lambda each: (each["ts"], -each["dur"])):
        end = event["ts"] + event["dur"]
        while open_ends and open_ends[-1] <= event["ts"] + SLACK_US:
            open_ends.pop()
        if open_ends and end > open_ends[-1] + SLACK_US:
            wrong.append(f"{event['name']} at {event['ts']} us ends {end - open_ends[-1]:.3f} us behind its parent")
        open_ends.append(end)
    return wrong


def check(trace):
    """(what is wrong, what it holds)"""
    events = trace.get("traceEvents") if isinstance(trace, dict) else None
    if not isinstance(events, list) or not events:
        return ["expected an object with a list of traceEvents, found none"], {}
    wrong = [text for index, event in enumerate(events) for text in malformed(index, event)]
    if wrong:
        return wrong, {}
    ranges = [event for event in events if event["ph"] == "X"]
    named = {(event["pid"], event.get("tid")) for event in events if event["ph"] == "M" and event["name"].endswith("_name")}
    tracks = {}
    for event in ranges:
        tracks.setdefault((event["pid"], event["tid"]), []).append(event)
    wrong += [f"{event['name']}: negative, at {event['ts']} us for {event.get('dur', 0)} us" for event in events
              if event["ph"] != "M" and (event["ts"] < 0 or event.get("dur", 0) < 0)]
    wrong += [f"track {track} has no name" for track in tracks if track not in named]
    wrong += [f"process {process} has no name" for process in {pid for pid, _ in tracks} if (process, None) not in named]
    wrong += [text for track in tracks.values() for text in not_nested(track)]
    return wrong, {"ranges": len(ranges), "tracks": len(tracks), "processes": len({pid for pid, _ in tracks}),
                   "counters": sorted({event["name"] for event in events if event["ph"] == "C"})}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        wrong, found = check(json.load(file))
    for text in wrong[:20]:
        print(text)
    print(f"{len(wrong)} wrong; {found}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
