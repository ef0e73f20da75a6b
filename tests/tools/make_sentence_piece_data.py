#!/usr/bin/env python3
"""Trains a small SentencePiece model and writes what the sentencepiece package makes of texts with it.

    python make_sentence_piece_data.py FOLDER

ctest runs this before the tests that read FOLDER (SentencePieceCases.*). spiece.model has XLNet's special pieces and is
trained on the licence texts that every Debian has. cases.json: `{"texts": [...], "sets": [{"config", "ids": [[...], one
list a text]}]}`, where `config` is what tokenizer_config.json holds. The clean-up before and the commas after are those
of the XLNet authors' prepro_utils.py, written with Python's unicodedata."""

import json
import pathlib
import sys
import unicodedata

import sentencepiece

LICENCES = ["Apache-2.0", "Artistic", "BSD", "GPL-3", "LGPL-2.1", "MPL-2.0"]
BLANK = "\u2581"
CONFIGS = [{}, {"do_lower_case": True}, {"keep_accents": True}, {"remove_space": False},
           {"do_lower_case": True, "keep_accents": True, "remove_space": False}]
TEXTS = [
    "", " ", "a", "The quick brown fox jumps over the lazy dog.", "  leading and trailing  ", "tabs\tand\nnew lines\r\n here",
    "in 1999, the 1,000 copies of 2007, 12,345,678 and 9,", "1,", ",1", ", ,", "version 3, 29 June 2007", "a1,b2,", "no.5,",
    "`` quoted '' and ``nested''''", "don't ''stop''", "naïve café Ångström e\u0301 \u1e9b\u0323", "ﬁ ﬀ ½ ² ① ™ № …", "İstanbul ΟΔΟΣ Straße",
    "한국어 テスト 中文 \u0301\u0302", "Ελλάδα привет שלום مرحبا हिन्दी", "🏽👩\u200d💻 \ufeff\u200b\u00ad", "\x1c\x1d\x85\xa0\u2028\u3000sep",
    "<sep> <cls> </s> <unk> <mask> <eop>", "(a) b - c – d £5 €6.", "٣, ٤,٥", "x" * 300, "word " * 200,
    "GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007 Copyright (C) 2007 Free Software Foundation, Inc.",
]


def train(folder):
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(pathlib.Path(f"/usr/share/common-licenses/{name}").read_text(errors="replace")
                                for name in LICENCES))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "spiece"), vocab_size=900, hard_vocab_limit=False,
        character_coverage=1.0, model_type="unigram", unk_id=0, bos_id=1, eos_id=2, pad_id=5, minloglevel=2,
        num_threads=1, control_symbols=["<cls>", "<sep>", "<mask>", "<eod>"],
        user_defined_symbols=["<eop>", ".", "(", ")", "\"", "-", "–", "£", "€"])


def clean(text, config):
    if config.get("remove_space", True):
        text = " ".join(text.strip().split())
    text = text.replace("``", '"').replace("''", '"')
    if not config.get("keep_accents", False):
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return text.lower() if config.get("do_lower_case", False) else text


def pieces_of(model, text):
    for piece in model.encode(text, out_type=str):
        if len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit():
            parts = model.encode(piece[:-1].replace(BLANK, ""), out_type=str)
            if piece[0] != BLANK and parts and parts[0][0] == BLANK:
                parts = parts[1:] if len(parts[0]) == 1 else [parts[0][1:], *parts[1:]]
            yield from [*parts, ","]
        else:
            yield piece


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    train(folder)
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    sets = [{"config": config, "ids": [[model.piece_to_id(piece) for piece in pieces_of(model, clean(text, config))]
                                       for text in TEXTS]} for config in CONFIGS]
    (folder / "cases.json").write_text(json.dumps({"texts": TEXTS, "sets": sets}))


if __name__ == "__main__":
    main()
