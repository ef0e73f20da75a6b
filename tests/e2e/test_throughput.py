"""Instances side by side, pinning, ragged batches, and the memory of a whole run."""

import os
import unittest

import support
from support import SHAPE, TINY, TestCase

MB = 1e6


def sweep(*args):
    return ["sweep", *TINY, *SHAPE, "--format", "json", *args]


def joint_tokens(row):
    """Real tokens of a dense batch of one question and one passage an item."""
    return row["point"]["batch"] * (row["point"]["question"] + row["point"]["passage"])


class Instances(TestCase):
    def test_rates_count_all_instances_and_costs_one(self):
        rows = self.json_ok(sweep("--instances", "1,2", "--batch", "3"))
        self.assertEqual(sorted(row["point"].get("instances", 1) for row in rows), [1, 1, 1, 2, 2, 2])
        flops = {}
        for row in rows:
            instances = row["point"].get("instances", 1)
            median_s = row["time"]["median"] * 1e-9
            self.assertAlmostEqual(row["throughput"]["items_per_s"] * median_s, 3 * instances, places=6)
            self.assertAlmostEqual(row["throughput"]["tokens_per_s"] * median_s, joint_tokens(row) * instances, places=6)
            self.assertAlmostEqual(row["achieved"]["gflops"] * 1e9 * median_s / row["cost"]["flops"], instances, places=6)
            flops.setdefault(row["point"]["variant"], set()).add(row["cost"]["flops"])
            self.assertTrue(row["parity"]["ok"])
            self.assertEqual(row["parity"]["max_abs_between_instances"] is None, instances == 1)
        self.assertTrue(all(len(costs) == 1 for costs in flops.values()), flops)

    def test_a_pool_of_one_set_is_shared(self):
        rows = self.json_ok(sweep("--instances", "1,2", "--variant", "cached", "--passages", "1"))
        self.assertEqual([row["pool"]["sets"] for row in rows], [1, 1])  # fixed: shared
        self.assertTrue(all(row["parity"]["ok"] for row in rows))

    def test_more_threads_than_processors_are_run_and_said(self):
        many = len(os.sched_getaffinity(0)) + 1
        result = self.run_ok(sweep("--instances", many, "--variant", "full"))
        self.assertIn(f"{many} threads ({many} instances x 1) share {many - 1} processors", result.err)
        self.assertIsNone(support.parse(result.out)["rows"][0]["processors"])

    def test_reproduce_names_the_instances(self):
        row = self.json_ok(sweep("--instances", "2", "--variant", "full", "--pin", "off"))[0]
        self.assertIn("--instances 2", row["reproduce"])
        self.assertIn("--pin off", row["reproduce"])


class Pinning(TestCase):
    def test_each_thread_has_an_allowed_processor_of_its_own(self):
        allowed = os.sched_getaffinity(0)
        instances = min(2, len(allowed))
        row = self.json_ok(sweep("--instances", instances, "--variant", "full"))[0]
        chosen = [processor for instance in row["processors"] for processor in instance]
        self.assertEqual(len(chosen), instances)
        self.assertEqual(len(set(chosen)), instances)
        self.assertLessEqual(set(chosen), allowed)

    def test_off_leaves_the_threads_to_the_scheduler(self):
        row = self.json_ok(sweep("--variant", "full", "--pin", "off"))[0]
        self.assertIsNone(row["processors"])


class Ragged(TestCase):
    def test_only_real_tokens_are_counted_and_all_variants_agree_with_the_reference(self):
        rows = self.json_ok(["sweep", *TINY, "--question", "6", "--lengths", "uniform:8-60", "--batch", "9",
                             "--questions-per-passage", "2", "--candidates", "2", "--split", "1", "--format", "json"])
        self.assertEqual(len(rows), 3)
        for row in rows:
            self.assertTrue(row["parity"]["ok"], row)
            self.assertGreater(row["parity"]["sequences"], 2)
            tokens = row["throughput"]["tokens_per_s"] * row["time"]["median"] * 1e-9
            padded = 9 * 4 * (6 + row["point"]["passage"])
            self.assertLess(tokens, 0.95 * padded)
            self.assertGreater(tokens, 9 * 4 * 8)
        dense = self.json_ok(["cost", "--model", "bert-tiny", "--question", "6", "--passage",
                              rows[0]["point"]["passage"], "--batch", "9", "--questions-per-passage", "2",
                              "--candidates", "2", "--split", "1", "--variant", "full", "--format", "json"])
        self.assertLess(rows[0]["cost"]["flops"], dense[0]["cost"]["flops"])


class Memory(TestCase):
    def test_the_peak_is_the_runs_and_not_of_measuring_its_roofs(self):
        # Memory's bandwidth is measured with a multiple of the last-level cache: 2 GB on a large server.
        peaks = [self.json_ok(sweep("--variant", "full", "--roofs", roofs, "--out", f"{roofs}.jsonl"))
                 [0]["memory"]["rss_peak_bytes"] for roofs in ("on", "off")]
        self.assertLess(peaks[0], peaks[1] + 128 * MB)

    def test_a_bert_base_run_holds_little_beyond_weights_activations_and_pool(self):
        # Three rounds: too few for any to be discarded and repeated, so a busy machine only makes them slower.
        rows = self.json_ok(["sweep", "--model", "bert-base", "--task", "squad", "--split", "9", "--rounds", "3",
                             "--parity", "off", "--format", "json"], env=support.WITH_ROOFS, timeout=250)
        memory = rows[0]["memory"]
        activations = max(row["memory"]["peak_bytes"] for row in rows)
        limit = 1.10 * memory["weights_bytes"] + activations + memory["pool_bytes"] + 40 * MB
        held = {name: f"{value / MB:.1f} MB" for name, value in memory.items()}
        self.assertGreater(memory["rss_anon_bytes"], memory["weights_bytes"])
        self.assertLessEqual(memory["rss_anon_bytes"], limit, f"limit {limit / MB:.1f} MB, {held}")


if __name__ == "__main__":
    support.main()
