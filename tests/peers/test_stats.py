"""Claims about ci/peers.d/stats.py, rows.py and quiet.py."""

import random
import unittest

import support
import quiet
import rows
import stats


class Median(unittest.TestCase):
    def test_of_odd_even_and_none(self):
        self.assertEqual(stats.median([3, 1, 2]), 2)
        self.assertEqual(stats.median([4, 1, 2, 3]), 2.5)
        self.assertIsNone(stats.median([]))


class Interval(unittest.TestCase):
    def test_coverage_is_the_binomial_one(self):
        self.assertAlmostEqual(stats.sign_test_coverage(6, 1), 1 - 2 / 64)
        self.assertAlmostEqual(stats.sign_test_coverage(9, 2), 1 - 2 * 10 / 512)

    def test_needs_six_values(self):
        self.assertIsNone(stats.median_interval(range(5)))
        self.assertEqual(stats.median_interval([5, 0, 3, 1, 4, 2]), (0, 5))

    def test_leaves_out_one_outlier_on_each_side_at_nine(self):
        self.assertEqual(stats.median_interval([1000, 2, 3, 4, 5, 6, 7, 8, -1000]), (2, 8))

    def test_holds_the_median_as_often_as_it_says(self):
        generator = random.Random(1)
        for count in (6, 9, 20):
            held = 0
            for _ in range(2000):
                low, high = stats.median_interval([generator.gauss(7, 1) for _ in range(count)])
                held += low <= 7 <= high
            self.assertGreaterEqual(held / 2000, 0.94, count)


class Ratios(unittest.TestCase):
    def test_are_formed_within_a_round(self):
        self.assertEqual(stats.paired_ratios({0: 2.0, 2: 9.0, 3: 1.0}, {0: 1.0, 1: 5.0, 2: 3.0}), [2.0, 3.0])

    def test_geometric_mean(self):
        self.assertAlmostEqual(stats.geometric_mean([1, 4]), 2)
        self.assertIsNone(stats.geometric_mean([]))


class Rows(unittest.TestCase):
    def test_the_table_is_every_length_with_every_batch(self):
        self.assertEqual(len(rows.select("^bert-base/f32/")), 12)
        self.assertEqual(len(rows.select("^bert-base/(bf16|int8)/")), 8)
        self.assertEqual(len(rows.select("^xlnet-base/")), 4)
        self.assertEqual(len(rows.select()), 24)
        self.assertEqual([row.name for row in rows.select(rows.QUICK)], ["bert-base/f32/L27/b1", "bert-base/f32/L320/b1"])

    def test_flops_are_the_cost_models(self):
        d, layers, length, batch = 768, 12, 320, 8
        self.assertEqual(rows.Row("bert-base", "f32", length, batch).flops,
                         layers * batch * (24 * d * d * length + 4 * d * length * length))
        self.assertEqual(rows.Row("xlnet-base", "f32", length, batch).flops,
                         layers * batch * (24 * d * d * length + 6 * d * length * length))

    def test_xlnet_reads_the_passage_first(self):
        self.assertEqual(rows.Row("bert-base", "f32", 320, 1).first, 27)
        self.assertEqual(rows.Row("xlnet-base", "f32", 320, 1).first, 293)

    def test_both_texts_have_tokens(self):
        for row in rows.select(""):
            self.assertTrue(0 < row.question < row.length, row.name)


class Quiet(unittest.TestCase):
    def test_a_fallen_rate_on_either_side_spoils_a_burst(self):
        self.assertTrue(quiet.is_clean([100, 96], 100, 0.0))
        self.assertFalse(quiet.is_clean([100, 94], 100, 0.0))
        self.assertFalse(quiet.is_clean([94, 100], 100, 0.0))

    def test_so_does_time_that_others_used(self):
        self.assertFalse(quiet.is_clean([100, 100], 100, 0.2))

    def test_reads_this_machine(self):
        self.assertGreater(quiet.busy_seconds(), 0)
        self.assertGreater(quiet.process_seconds("self"), 0)


if __name__ == "__main__":
    unittest.main()
