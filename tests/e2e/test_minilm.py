"""The real minilm-l6 checkpoint on real text, end to end."""

import os
import re
import unittest

import support
from support import records

TEXT = "/usr/share/common-licenses/GPL-3"


class Minilm(support.TestCase):
    def setUp(self):
        super().setUp()
        self.model = os.path.abspath(support.OPTIONS.model_dir or "")
        if not os.path.exists(os.path.join(self.model, "model.safetensors")):
            self.skipTest(f"no checkpoint in {self.model}: run ci/setup")
        if not os.path.exists(TEXT):
            self.skipTest(f"no {TEXT} here")
        self.args = ["sweep", "--model", self.model, "--text", TEXT, "--questions",
                     os.path.join(support.OPTIONS.source, "ci/data/gpl-questions.txt"), "--question", "24", "--passage", "104",
                     "--split", "1,5", "--rounds", "10", "-o", "out.jsonl"]

    def test_real_weights_on_real_text(self):
        result = self.run_ok(self.args, timeout=280)
        found = records(self.path("out.jsonl"))
        self.assertEqual(len(found), 5)
        for record in found:
            self.assertEqual(record["status"], "ok", record["reason"])
            self.assertRegex(record["name"], "^" + re.escape(os.path.basename(self.model)) + r"@[0-9a-f]{8}/")
            self.assertTrue(record["parity"]["ok"])
            self.assertRegex(record["point"]["text"], r"^[0-9a-f]{8}$")
            self.assertNotIn("/", record["point"]["model"])
        print(result.out)
        speedup = {r["point"]["split"]: r["speedup"]["median"] for r in found if r["point"]["variant"] == "cached"}
        self.assertGreater(speedup[5], speedup[1], "a deeper cache saves more")
        self.assertGreater(speedup[5], 1.2)
        before = len(found)
        self.run_ok(self.args, timeout=60)
        self.assertEqual(len(records(self.path("out.jsonl"))), before, "the second time measures nothing")


if __name__ == "__main__":
    support.main()
