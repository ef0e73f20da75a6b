"""Do two outputs agree? In f32 by their largest distance, in bf16 and int8 by the direction of each row: there roundings
are as large as the numbers' own spread allows, and what a mistake turns is the row. Needs no numpy: tests run without."""

import array
import math
import operator

# Outputs are LayerNorm's, of size 1 to 4; f32 engines differ by about 1e-5 there. The cosines are those that `parity`
# asks of our own backends.
MOST_DISTANCE = {"f32": 1e-4}
LEAST_COSINE = {"bf16": 0.999, "int8": 0.99}


def read(path):
    """The raw f32 of a file."""
    found = array.array("f")
    with open(path, "rb") as file:
        found.frombytes(file.read())
    return found


def max_abs(found, expected):
    """Largest distance; not a number where any value of either is none."""
    if not all(map(math.isfinite, found)) or not all(map(math.isfinite, expected)):
        return math.nan
    return max(map(abs, map(operator.sub, found, expected)), default=0.0)


def dot(left, right):
    return sum(map(operator.mul, left, right))


def min_cosine(found, expected, width):
    """Smallest cosine between rows of `width` values; not a number where a row is 0 or not finite."""
    cosines = []
    for begin in range(0, len(expected), width):
        left, right = found[begin:begin + width], expected[begin:begin + width]
        norm = math.sqrt(dot(left, left) * dot(right, right))
        cosines.append(dot(left, right) / norm if 0 < norm < math.inf else math.nan)
    return math.nan if any(map(math.isnan, cosines)) else min(cosines)


def compare(found, expected, dtype, width):
    """{max_abs, min_cosine, and a reason where they do not agree}."""
    if len(found) != len(expected):
        return {"reason": f"expected {len(expected)} values, found {len(found)}"}
    result = {"max_abs": max_abs(found, expected), "min_cosine": min_cosine(found, expected, width)}
    if dtype in MOST_DISTANCE and not result["max_abs"] <= MOST_DISTANCE[dtype]:
        result["reason"] = f"by {result['max_abs']:.1e}, more than {MOST_DISTANCE[dtype]:.0e}"
    if dtype in LEAST_COSINE and not result["min_cosine"] >= LEAST_COSINE[dtype]:
        result["reason"] = f"in direction: a row's cosine is {result['min_cosine']:.5f}, below {LEAST_COSINE[dtype]}"
    return result
