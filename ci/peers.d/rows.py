"""The rows of the table, as data: a model, a dtype, a length and a batch. Nothing else decides what is measured.

A new model needs an entry in MODELS (its Hugging Face config.json), a new row a line in TABLE; an engine that
cannot run one answers `prepare` with the reason, and the table prints it.
"""

import dataclasses
import re

def xlnet(d, layers, heads, ff):
    return {"model_type": "xlnet", "architectures": ["XLNetModel"], "d_model": d, "n_layer": layers, "n_head": heads,
            "d_inner": ff, "vocab_size": 32000, "ff_activation": "gelu", "attn_type": "bi", "bi_data": False,
            "clamp_len": -1, "untie_r": True, "layer_norm_eps": 1e-12}


# Hugging Face configurations. `checkpoint.py` makes seeded weights for them.
MODELS = {
    "bert-base": {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 768, "num_hidden_layers": 12,
                  "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30522,
                  "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
                  "position_embedding_type": "absolute"},
    # Not in the table: what tests and first tries use, since a forward takes well below a millisecond.
    "bert-tiny": {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 128, "num_hidden_layers": 2,
                  "num_attention_heads": 2, "intermediate_size": 512, "vocab_size": 30522,
                  "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
                  "position_embedding_type": "absolute"},
    "xlnet-base": xlnet(768, 12, 12, 3072),
    "xlnet-tiny": xlnet(128, 2, 2, 512),  # as bert-tiny
}

# (model, dtype, lengths, batches): every length with every batch.
TABLE = [
    ("bert-base", "f32", (27, 128, 320, 512), (1, 8, 32)),
    ("bert-base", "bf16", (27, 320), (1, 8)),
    ("bert-base", "int8", (27, 320), (1, 8)),
    ("xlnet-base", "f32", (27, 320), (1, 8)),
]
EXTRA = [(model, dtype, (27, 128), (1, 8)) for model in ("bert-tiny", "xlnet-tiny")  # only when --rows names them
         for dtype in ("f32", "bf16", "int8")]
QUICK = r"^bert-base/f32/(L27|L320)/b1$"


@dataclasses.dataclass(frozen=True)
class Row:
    model: str
    dtype: str
    length: int
    batch: int

    @property
    def name(self):
        return f"{self.model}/{self.dtype}/L{self.length}/b{self.batch}"

    @property
    def family(self):
        return MODELS[self.model]["model_type"]

    @property
    def width(self):
        """Values of one token's last hidden state."""
        config = MODELS[self.model]
        return config.get("hidden_size") or config["d_model"]

    @property
    def question(self):
        """Tokens of the question: squad's 27 where that leaves a passage, a third otherwise."""
        return 27 if self.length > 2 * 27 else max(1, self.length // 3)

    @property
    def first(self):
        """Tokens of the first text (token type 0): BERT's question, XLNet's passage."""
        return self.length - self.question if self.family == "xlnet" else self.question

    @property
    def flops(self):
        """GEMM + attention of one forward, as model/cost.hpp counts them: n b (2 L (4 d^2 + 2 d d_ff) + 4 L^2 d), for
        XLNet 6 L^2 d: its position scores that are needed, and no projection of its position table."""
        config = MODELS[self.model]
        names = ("d_model", "d_inner", "n_layer") if self.family == "xlnet" else (
            "hidden_size", "intermediate_size", "num_hidden_layers")
        d, ff, layers = (config[name] for name in names)
        scores = (6 if self.family == "xlnet" else 4) * self.length ** 2 * d
        return layers * self.batch * (2 * self.length * (4 * d * d + 2 * d * ff) + scores)

    def message(self):
        """What an engine is told."""
        return {"name": self.name, "model": self.model, "dtype": self.dtype, "length": self.length,
                "batch": self.batch, "family": self.family, "question": self.question, "first": self.first}


def expand(table):
    return [Row(model, dtype, length, batch)
            for model, dtype, lengths, batches in table for length in lengths for batch in batches]


def select(pattern=None):
    """The rows whose name matches; all of TABLE without a pattern."""
    if pattern is None:
        return expand(TABLE)
    return [row for row in expand(TABLE + EXTRA) if re.search(pattern, row.name)]
