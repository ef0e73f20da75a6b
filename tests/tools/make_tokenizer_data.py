#!/usr/bin/env python3
"""Writes the tokenizer's test data: small vocabularies, and the ids that Hugging Face tokenizers gives.

    pip install -r tests/tools/tokenizer-requirements.txt
    python tests/tools/make_tokenizer_data.py tests/data/tokenizer

Makes uncased/vocab.txt and cased/vocab.txt (only with --vocab: trained on the licence texts of this Debian,
so another machine's may differ; the committed ones stay otherwise) and cases.json:
`{"texts": [...], "sets": [{"vocab", "config", "ids": [[...], one list a text]}]}`, where `vocab` is a file
beside it and `config` what tokenizer_config.json holds.
"""

import argparse
import json
import pathlib

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LICENCES = ["Apache-2.0", "Artistic", "BSD", "GPL-3", "LGPL-2.1", "MPL-2.0"]
LEARNT_PIECES = 2200

# Characters a vocabulary knows one by one, at the start of a word and inside: enough of each script for
# an answer other than [UNK]. Combining marks show what was not stripped, jamo what NFD makes of Hangul.
CHARACTERS = "".join([
    "".join(map(chr, range(0x21, 0x7F))), "".join(map(chr, range(0xA1, 0x180))).replace("\xad", ""),
    "ǅǆſƀȘș", "".join(map(chr, range(0x300, 0x30D))), "".join(map(chr, range(0x391, 0x3CA))).replace("\u03a2", ""),
    "άέήίς", "".join(map(chr, range(0x410, 0x450))), "ёйїі", "אבגד", "ابتة", "कखािी", "กขค",
    "ᄀᄂᄒ\u1161\u1162\u11ab\u11bc", "한국어가", "ばはぱカガ々〇", "一中国人日本語漢字北京㐀\uf900豈更\U00020000\U0002a700\U0002b820",
    "“”‘’–—…‰€₤™№ﬁﬀ①½²→∞♥☃✈", "😀👍👩💻🏽🇫🇷\ufe0f\u20e3", "\u166d\u1885\u08d4\u302e\U0001d165",
])

CONFIGS = {
    "uncased": [{"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True},
                {"do_lower_case": True, "strip_accents": False}, {"tokenize_chinese_chars": False}],
    "cased": [{"do_lower_case": False}, {"do_lower_case": False, "strip_accents": True}],
}

TEXTS = [
    "The quick brown fox jumps over the lazy dog.", "", " ", "\t\n\r", "a", "A", "##a", "a##b", "[CLS] [SEP] [MASK] [UNK]",
    "don't stop-me, now! (50% off) $1.99 #tag @user a_b `x` ^~|<>=+", "licensed unaffable redistribution",
    "3.14 1,000,000 10:30 e-mail 2nd", "C++20 & C#; \\n \"quoted\"",
    # accents, composed and not; marks in odd order, alone, and piled up
    "Café Cafe\u0301 naïve Ångström \u212bngström résumé Äpfel Señor", "\u0301", "\u0301a", "a \u0301 b", "a\u0301\u0302\u0303",
    "q\u0323\u0307 q\u0307\u0323", "\u0344 \u0340", "ộ ṩ ǖ ḗ", "a\u302e\u08d4", "a\u08d4\u302e", "a\U0001d165\u302e", "a\u302e\U0001d165",
    "a\u302e\u034f\U0001d165",
    # case: Turkish, German, Greek, titlecase, ligatures
    "İstanbul ISPARTA ılık iğne", "I\u0307", "STRASSE Straße ẞ ß", "ΟΔΥΣΣΕΥΣ Οδυσσεύς ΣΑΣ. Σ ς", "ǅ Ǆ ǆ ǲ", "ﬁne oﬀ ﬀ ŉ ﬃ",
    "Ⅷ ⓐ Ⓐ", "\u0345 ᾳ ᾼ", "Ꭰ ꭰ Ა ა", "𐐀 𐐨 𞤀", "\u2126 \u212a \u1e9e", "LJUBAV Ǉ", "МОСКВА Москва Йод Ёлка ЇЖАК",
    # control and format characters, odd spaces, the replacement character
    "a\0b", "a\ufffdb", "a\x01b\x7fc\x80d\x85e", "soft\xadhyphen", "zero\u200bwidth\u200cnon\u200djoiner\u2060x\ufeffy",
    "\u202aright\u202e-to-left\u200f", "no\xa0break\u202fnarrow", "ideographic\u3000space", "a\u2028b\u2029c", "a\x0bb\x0cc",
    "a\u1680b\u2000c\u200ad\u205fe", "mongolian\u180evowel\u180bx", "tag\U000e0041\U000e0001x", "\x1c\x1d\x1e\x1fa",
    "private\ue000use\uf8ff\U000f0000\U0010fffd", "non\ufffechar\uffff\U0001ffff\ufdd0", "unassigned\u0378x\u05ffy\U0003ffffz",
    # scripts
    "中国人民 日本語テスト", "中a国b", "漢字かな混じり文、です。「はい」", "㐀\u4dbf\u4dc0\u9fff\ua000", "\U00020000\U0002a6df\U0002a6e0\U0002a700",
    "\U0002b740\U0002b81f\U0002b820\U0002b91f\U0002b920\U0002ceaf\U0002ceb0\U0002f800\U0002fa1f\U00030000", "\uf900\ufa0e\ufaff 豈更",
    "々〇〆〡", "한국어 각 가나다 힣", "\u1100\u1161\u11a8 \u1112\u1161\u11ab", "ばぱは カ\u3099 ガ", "हिन्दी की किताब क़", "ประเทศไทย", "שָׁלוֹם עולם",
    "اَلْعَرَبِيَّةُ كتاب،", "ﷺ ﷲ ﻻ", "தமிழ் తెలుగు ಕನ್ನಡ മലയാളം", "ខ្មែរ မြန်မာ", "Tiếng Việt", "ⴰⵣⵓⵍ ᐃᓄᒃᑎᑐᑦ\u166dᐃ",
    "\u1734a a\u1734", "\u1885a a\u1886", "\ua9bda", "x\U000111c9y", "x\u2e43y x\u2e3fy", "x\u061dy x\u061fy", "\u0890a \u08e2a",
    # symbols, emoji, punctuation outside ASCII
    "😀😃 👍🏽 👩\u200d💻 🇫🇷 1\ufe0f\u20e3 ❤\ufe0f", "“quoted” ‘single’ – — … ‰ €5 ™ № ¿qué? ¡sí! «non»", "½ ² ① → ∞ ♥ ☃", "a·b a‧b a・b a･b",
    "‿ ⁀ ﹏ ＿", "！？，。ＡＢＣａｂｃ１２３", "\u037e \u0387 \u1fef", "§ ¶ © ® ° ± ×", "´ ` ¨ ^ ¯ ¸", "𝐀𝓑 ℌ ℓ", "\u2f00 ⼀ ㍿ ㊀",
    # long words
    "x" * 100, "x" * 101, "a" * 300 + " b", "é" * 100, "é" * 101, "e\u0301" * 101, "\u0301" * 300 + "a", "\u200b" * 200 + "a",
    "a" * 99 + "." + "b" * 101, "한" * 34, "한" * 33, "İ" * 51, "中" * 101,
    "İ" * 100, "no space" * 20, "q" * 50 + "☂",
]


def hf_tokenizer(vocab, config):
    """BertTokenizer's parts, without added tokens: a text is plain text."""
    lower = config.get("do_lower_case", True)
    # 'vocab' through the package's own reader, so that trimming and duplicates are as it has them
    tokenizer = Tokenizer(models.WordPiece(models.WordPiece.read_file(str(vocab)), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=config.get("tokenize_chinese_chars", True),
        strip_accents=config.get("strip_accents"), lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def make_set(folder, vocab, config, texts):
    tokenizer = hf_tokenizer(folder / vocab, config)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    return {"vocab": str(vocab), "config": config, "ids": ids}


def write_cases(folder, texts, sets):
    """One text or list of ids a line: a readable difference in review, half the size of indented JSON."""
    def lines(values):
        return "[\n" + ",\n".join(json.dumps(value, separators=(",", ":")) for value in values) + "\n]"

    blocks = ['{"vocab":%s,"config":%s,"ids":%s}'
              % (json.dumps(each["vocab"]), json.dumps(each["config"]), lines(each["ids"])) for each in sets]
    (folder / "cases.json").write_text('{"texts":%s,"sets":[%s]}\n' % (lines(texts), ",\n".join(blocks)))


def write_vocab(file, cased):
    """Specials, single characters, then pieces learnt from licences, which every Debian has."""
    characters = list(dict.fromkeys(CHARACTERS if cased else CHARACTERS.lower()))
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=LEARNT_PIECES, special_tokens=SPECIALS, show_progress=False)
    tokenizer.train([f"/usr/share/common-licenses/{name}" for name in LICENCES], trainer)
    learnt = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    pieces = SPECIALS + characters + ["##" + c for c in characters] + learnt
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(dict.fromkeys(pieces)) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--vocab", action="store_true", help="make the vocabularies anew as well")
    arguments = parser.parse_args()
    sets = []
    for name, configs in CONFIGS.items():
        vocab = pathlib.Path(name) / "vocab.txt"
        if arguments.vocab:
            write_vocab(arguments.folder / vocab, cased=name == "cased")
        sets += [make_set(arguments.folder, vocab, config, TEXTS) for config in configs]
    write_cases(arguments.folder, TEXTS, sets)


if __name__ == "__main__":
    main()
