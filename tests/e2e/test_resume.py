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
            before = self.done()
            process = support.start(SWEEP, env=support.WITH_ROOFS, cwd=self.at)
            self.patience(process, rng, lets_one_finish=i % max(2, kills // 8) == 1, before=before)
            landed += process.poll() is None
            process.kill()
            process.communicate()
            finished_before_a_kill += process.returncode == -9 and self.done() > before
        print(f"{landed} of {kills} kills hit a running sweep, {finished_before_a_kill} of them after another set was finished")
        self.assertEqual(landed, kills, "some kills came after the end of the sweep")
        self.assertGreater(finished_before_a_kill, 0)
        self.run_ok(SWEEP, env=support.WITH_ROOFS, timeout=300)
        self.check()

    def done(self):
        return sum(1 for sets in self.complete_sets().values() if VARIANTS in sets.values())

    def patience(self, process, rng, lets_one_finish, before):
        """Wait for the moment of the kill: a random one, now and then soon after another set was finished."""
        deadline = time.monotonic() + 60
        while lets_one_finish and before < len(PASSAGES) - 2 and self.done() == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        # One group before the end, kills come too early for a set to finish, so that none comes too late.
        time.sleep(rng.uniform(0.0, 0.06 if self.done() >= len(PASSAGES) - 1 or lets_one_finish else 0.2))

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
