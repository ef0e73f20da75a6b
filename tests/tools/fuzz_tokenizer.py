#!/usr/bin/env python3
"""Compares the tokenizer with Hugging Face tokenizers on random Unicode strings.

    pip install -r tests/tools/tokenizer-requirements.txt
    python tests/tools/fuzz_tokenizer.py build/release/tests/test_workloads --count 20000 --seed 1
    python tests/tools/fuzz_tokenizer.py build/release/tests/test_workloads --vocab MODEL/vocab.txt
    python tests/tools/fuzz_tokenizer.py build/release/tests/test_workloads --every

Writes a case file of the same form as tests/data/tokenizer/cases.json into a temporary folder and runs the
test that reads one (TokenizerCases.*) on it. Exit status: the test's. `--every` adds every code point there
is, beside letters and between marks, and takes a vocabulary of every code point, so that no difference
hides behind [UNK] (some minutes, 4 GB). Left out are the capital letters that Unicode added after 15.0: the two sides
lower-case by Unicode versions of their own.
"""

import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import tokenizers
from make_tokenizer_data import CHARACTERS, CONFIGS, TEXTS, make_set, write_cases

# (first, last, weight) of what is drawn from; the last is every plane.
BLOCKS = [
    (0x00, 0x7F, 30), (0x80, 0x24F, 15), (0x250, 0x2FF, 2), (0x300, 0x36F, 12), (0x370, 0x52F, 10), (0x530, 0x7FF, 6),
    (0x800, 0xDFF, 8), (0xE00, 0x109F, 4), (0x1100, 0x11FF, 4), (0x1200, 0x1CFF, 6), (0x1D00, 0x1DFF, 4), (0x1E00, 0x1FFF, 10),
    (0x2000, 0x206F, 10), (0x2070, 0x2BFF, 8), (0x2C00, 0x2DFF, 2), (0x2E00, 0x2E7F, 3), (0x2E80, 0x33FF, 6),
    (0x3400, 0x4DBF, 2), (0x4DC0, 0x4DFF, 1), (0x4E00, 0x9FFF, 6), (0xA000, 0xABFF, 6), (0xAC00, 0xD7FF, 6), (0xE000, 0xF8FF, 1),
    (0xF900, 0xFAFF, 3), (0xFB00, 0xFDFF, 3), (0xFE00, 0xFFFF, 6), (0x10000, 0x107FF, 3), (0x10800, 0x12FFF, 4),
    (0x13000, 0x1CFFF, 2), (0x1D000, 0x1D7FF, 4), (0x1E000, 0x1EFFF, 3), (0x1F000, 0x1FAFF, 6), (0x20000, 0x323AF, 3),
    (0xE0000, 0xE01FF, 1), (0x0, 0x10FFFF, 2),
]
WEIGHTS = [weight for _, _, weight in BLOCKS]
NASTY = "\0\t\n\x0b\x0c\r \x85\xa0\xad\u0130\u0131\u03c3\u03c2\u03a3\u00df\u1e9e\u200b\u200d\u2028\u3000\u302e\u302f\ufeff\ufffd\ufb01\ud7ff\ue000"
WORDS = "the of software licence transformer embeddings Question PASSAGE unaffordable naïve Ελλάδα ΟΔΟΣ Straße İzmir 한국어 東京".split()
# Capitals of Unicode 15.1 and later, which ICU 72 does not lower (see workloads/basic_tokenizer.hpp).
LATER_CAPITALS = {*range(0x1C89, 0x1C8A), *range(0xA7CB, 0xA7CD), *range(0xA7CE, 0xA7DD), *range(0x10D50, 0x10D66),
                  *range(0x16EA0, 0x16EB9)}


def draw_character(rng):
    while True:
        first, last, _ = rng.choices(BLOCKS, WEIGHTS)[0]
        code = rng.randint(first, last)
        if not 0xD800 <= code <= 0xDFFF and code not in LATER_CAPITALS:
            return chr(code)


def draw_text(rng):
    """A few runs: words, one block, any characters, piles of marks, words about as long as WordPiece takes."""
    parts = []
    for _ in range(rng.randint(1, 8)):
        kind = rng.random()
        if kind < 0.25:
            parts.append(rng.choice(WORDS) + rng.choice(["", " ", draw_character(rng)]))
        elif kind < 0.6:
            parts.append("".join(draw_character(rng) for _ in range(rng.randint(1, 12))))
        elif kind < 0.75:
            parts.append("".join(rng.choice(CHARACTERS) for _ in range(rng.randint(1, 12))))
        elif kind < 0.85:
            parts.append("".join(rng.choice(NASTY) for _ in range(rng.randint(1, 4))))
        elif kind < 0.95:
            parts.append(draw_character(rng) + "".join(chr(rng.choice([rng.randint(0x300, 0x36F), rng.randint(0x8C0, 0x8FF),
                                                                       0x302E, 0x1D165, 0x16FF0]))
                                                       for _ in range(rng.randint(1, 9))))
        else:
            parts.append(draw_character(rng) * rng.randint(96, 104))
    return "".join(parts)


def every_character():
    """All of planes 0 to 3 and 14; of the others, which have no character of their own, both ends."""
    codes = [code for code in range(0x110000)
             if code >> 16 in (0, 1, 2, 3, 14) or code & 0xFFFF < 0x80 or code & 0xFFFF >= 0xFF80]
    return [chr(code) for code in codes if not 0xD800 <= code <= 0xDFFF and code not in LATER_CAPITALS]


def every_character_vocab(file):
    characters = [c for c in every_character() if not c.isspace()]
    file.write_text("\n".join(["[UNK]", "[CLS]", "[SEP]", *characters, *("##" + c for c in characters)]), encoding="utf-8")
    return file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("test", type=pathlib.Path, help="the program test_workloads")
    parser.add_argument("--vocab", type=pathlib.Path, help="a vocabulary; default: the committed ones")
    parser.add_argument("--count", type=int, default=20000, help="random strings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", action="store_true", help="every code point as well")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    texts = TEXTS + [draw_text(rng) for _ in range(arguments.count)]
    if arguments.every:  # around each, letters, and marks that sort before and after most others
        texts += [f"{c}a{c}b \u302e{c}\u302e" for c in every_character()]
    committed = pathlib.Path(__file__).resolve().parent.parent / "data" / "tokenizer"
    with tempfile.TemporaryDirectory() as folder:
        if arguments.every and not arguments.vocab:
            arguments.vocab = every_character_vocab(pathlib.Path(folder) / "every.txt")
        sets = []
        for name, configs in CONFIGS.items():
            vocab = arguments.vocab.resolve() if arguments.vocab else committed / name / "vocab.txt"
            sets += [make_set(pathlib.Path(), vocab, config, texts) for config in configs]
        write_cases(pathlib.Path(folder), texts, sets)
        print(f"{len(texts)} strings, {len(sets)} configurations, tokenizers {tokenizers.__version__}, "
              f"seed {arguments.seed}", flush=True)
        done = subprocess.run([arguments.test.resolve(), "--gtest_filter=TokenizerCases.*"],
                              env={**os.environ, "DEFORMER_TOKENIZER_CASES": folder}, check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
