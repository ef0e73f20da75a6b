"""A sweep that is killed again and again and resumed loses at most the set in progress, and repeats no complete one.

`--kills N` says how often; the groups of the sweep are quick, so that kills fall before, inside, between and after sets.
"""

import collections
import os
import random
import time

import support
from support import latest, read_run_file, records

PASSAGES = [8, 12, 16, 20, 24, 28, 32, 40, 48, 56]  # ten groups
VARIANTS = 4  # full, decomposed and cached at k=1, cached at k=2: forty points
SWEEP = ["sweep", "--model", "bert-tiny", "--rounds", "10", "--threads", "1", "--question", "4", "--passage",
         ",".join(map(str, PASSAGES)), "--filter", "/full/|/k1/|/k2/.*/cached/", "--split", "1,2", "-o", "out.jsonl"]


class Resume(support.TestCase):
    def complete_sets(self):
        """Sets by group, of the complete lines that the file holds (a kill may leave a torn last one)."""
        path = self.path("out.jsonl")
        if not os.path.exists(path):
            return {}
        whole = support.read_bytes(path).split(b"\n")[:-1]
        sets = collections.defaultdict(collections.Counter)
        for line in map(support.parse, (part.decode() for part in whole)):
            if line["type"] == "record":
                sets[line["group"]][line["set"]] += 1
        return sets

    def test_killed_at_random(self):
        kills = support.OPTIONS.kills
        seed = int(os.environ.get("E2E_SEED", random.randrange(10**6)))
        rng = random.Random(seed)
        print(f"seed {seed} (E2E_SEED repeats it)")
        landed = finished_before_a_kill = 0
        for i in range(kills):
            process = support.start(SWEEP, cwd=self.at)
            time.sleep(self.patience(rng, i, kills))
            landed += process.poll() is None
            process.kill()
            process.communicate()
            done = sum(1 for sets in self.complete_sets().values() if VARIANTS in sets.values())
            finished_before_a_kill += process.returncode == -9 and 0 < done < len(PASSAGES)
        print(f"{landed} of {kills} kills hit a running sweep, {finished_before_a_kill} of them with some sets finished")
        self.assertGreater(landed, 0)
        self.run_ok(SWEEP, timeout=300)
        self.check()

    def patience(self, rng, i, kills):
        """Seconds to the next kill: many early ones, some long enough for a set or more."""
        if kills <= 10:
            return rng.uniform(0.2, 3.0)
        return rng.uniform(0.0, 0.6) if rng.random() < 0.6 else rng.uniform(0.6, 2.0)

    def check(self):
        found = records(self.path("out.jsonl"))
        current = latest(self.path("out.jsonl"))
        self.assertEqual(len(current), 40)
        self.assertEqual({r["status"] for r in current.values()}, {"ok"})
        build = {line["build"] for line in read_run_file(self.path("out.jsonl")) if line["type"] == "run"}
        self.assertEqual(len(build), 1)
        sets = self.complete_sets()
        self.assertEqual(len(sets), len(PASSAGES))
        for group, counts in sets.items():
            complete = [name for name, count in counts.items() if count == VARIANTS]
            self.assertEqual(len(complete), 1, f"group {group}: {dict(counts)}")
        extra = len(found) - 40
        print(f"{len(found)} records, {extra} of them of sets that a kill cut in two")
        before = support.read_bytes(self.path("out.jsonl"))
        self.run_ok(SWEEP)
        self.assertEqual(len(records(self.path("out.jsonl"))), len(found), "nothing is measured again")
        self.assertTrue(support.read_bytes(self.path("out.jsonl")).startswith(before))


if __name__ == "__main__":
    support.main()
