"""Statistics of rounds: medians and their 95 % intervals. Pure functions; None where there are too few samples."""

import math


def median(values):
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def sign_test_coverage(count, rank):
    """P that the median lies between the rank-th smallest and the rank-th largest of `count` independent samples."""
    outside = sum(math.comb(count, below) for below in range(rank))
    return 1 - 2 * outside / 2 ** count


def median_interval(values, confidence=0.95):
    """(low, high) by order statistics: no distribution is assumed. None below 6 values, where even the smallest and
    the largest together cover less than 95 %."""
    ordered = sorted(values)
    best = None
    for rank in range(1, len(ordered) // 2 + 1):
        if sign_test_coverage(len(ordered), rank) < confidence:
            break
        best = rank
    return None if best is None else (ordered[best - 1], ordered[-best])


def paired_ratios(numerators, denominators):
    """Ratio of every round that has both; each is {round: value}."""
    return [numerators[r] / denominators[r] for r in sorted(numerators) if r in denominators]


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None
