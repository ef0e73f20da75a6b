"""Claims about ci/profile.d: what it takes for a miss. Standard library only; measures nothing."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../ci/profile.d"))

import figures
import planted
import shows
import trace_check


def event(kind, **fields):
    return {"ph": kind, "name": "a", "pid": 1, **fields}


def trace_of(*events):
    names = [event("M", args={"name": "p"}), event("M", tid=1, args={"name": "t"})]
    for one in names:
        one["name"] = "thread_name" if "tid" in one else "process_name"
    return {"traceEvents": [*names, *events]}


def span(name, start, lasts):
    return event("X", cat="range", tid=1, ts=start, dur=lasts) | {"name": name}


class TraceCheck(unittest.TestCase):
    def wrong(self, *events):
        return trace_check.check(trace_of(*events))[0]

    def test_nested_ranges_and_counters_are_right(self):
        wrong, found = trace_check.check(trace_of(span("run", 0, 10), span("phase", 0, 4.5), span("next", 4.5, 5.5),
                                                  event("C", ts=1, args={"value": 3})))
        self.assertEqual(wrong, [])
        self.assertEqual((found["ranges"], found["tracks"], found["counters"]), (3, 1, ["a"]))

    def test_a_range_that_reaches_over_its_parent_is_named(self):
        self.assertIn("phase at 2 us ends 1.000 us behind its parent", self.wrong(span("run", 0, 10), span("phase", 2, 9)))

    def test_a_nanosecond_of_rounding_is_none(self):
        self.assertEqual(self.wrong(span("run", 0, 10), span("phase", 2, 8.0005)), [])

    def test_negative_times_are_named(self):
        self.assertEqual(len(self.wrong(span("run", 3, -1))), 1)
        self.assertEqual(len(self.wrong(span("run", -3, 1))), 1)

    def test_what_a_kind_of_event_lacks_is_named(self):
        for broken in (event("X", cat="range", tid=1, ts=0), event("C", ts=0), event("C", ts=0, args={"value": "3"}),
                       event("M"), event("M", args={}) | {"name": "thread_name"}, event("Z"), "x", event("X", cat="range", tid=1, ts=True, dur=1)):
            self.assertEqual(len(self.wrong(broken)), 1, broken)

    def test_tracks_and_processes_have_names(self):
        self.assertEqual(len(trace_check.check({"traceEvents": [span("run", 0, 1)]})[0]), 2)

    def test_what_is_no_trace_is_wrong(self):
        for nothing in ([], {}, {"traceEvents": []}, {"traceEvents": 3}, None):
            self.assertTrue(trace_check.check(nothing)[0], nothing)


class Planted(unittest.TestCase):
    def rows(self, *firsts):
        return planted.counted([{"index": i, "planted": "p", "ending": "layer 0/qkv", "points": [{"name": "n", "first": first}]}
                                for i, first in enumerate(firsts)])

    def test_another_operation_or_none_named_first_is_a_miss(self):
        right, other = [["encode/layer 0/qkv", 1], ["encode/layer 0/out", 1]], [["encode/layer 0/out", 1]]
        self.assertTrue(self.rows(right, right)[0].held)
        for wrong in (other, []):
            row, = self.rows(right, wrong)
            self.assertEqual((row.found, row.held), ("1 of 2 named first", False))
            self.assertIn("trial 1: p", row.note)

    def test_every_operation_of_every_layer_has_its_turn(self):
        for model, layers in planted.LAYERS.items():
            turns = {planted.planted_at(model, index, 3)[0] for index in range(7 * layers)}
            self.assertEqual(len(turns), 7 * layers)


class Overhead(unittest.TestCase):
    def held(self, low, high):
        over = {"ratio": 1, "ci_low": 1 + low, "ci_high": 1 + high, "rounds": 9, "replayed_ns": 1}
        return figures.overhead_row("", over | {"control": over}, 0.002).held

    def test_an_interval_over_the_goal_tells_nothing(self):
        self.assertIs(self.held(-0.001, 0.0019), True)
        self.assertIs(self.held(0.0021, 0.003), False)
        self.assertIsNone(self.held(0.0001, 0.003))


class Table(unittest.TestCase):
    def test_one_miss_is_a_miss_and_what_cannot_be_told_is_none(self):
        told = lambda *held: shows.table("", [shows.Row("what", "1", "2", one) for one in held])
        self.assertTrue(told(True, None))
        self.assertFalse(told(True, False))


if __name__ == "__main__":
    unittest.main()
