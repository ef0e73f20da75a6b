"""XLNet's part of make_golden.py. Decomposed as in the authors' fork: the first text has segment 0, the second 1; below
the split each has a relative encoding of its own, above it the whole has a fresh one. Hugging Face builds the position
table in f32 whatever the model's dtype, so that a float64 model has exactly the table wanted here."""

import torch
import transformers

VOCAB = 60
FAMILY = "xlnet"
CONFIG_FIELDS = ["vocab_size", "d_model", "n_layer", "n_head", "d_inner", "ff_activation", "attn_type", "bi_data",
                 "clamp_len", "layer_norm_eps", "summary_type", "summary_activation", "summary_use_proj"]
ARCHITECTURE = "XLNetModel"


def build(recipe):
    """The transformers model with seeded weights, rounded to what is stored, in float64."""
    torch.manual_seed(recipe.seed + sum(map(ord, recipe.name)))
    config = transformers.XLNetConfig(
        vocab_size=VOCAB, d_model=recipe.d, n_layer=recipe.layers, n_head=recipe.heads, d_inner=recipe.ff,
        ff_activation=recipe.activation, layer_norm_eps=recipe.eps,
        num_labels=2 if recipe.head == "span" else recipe.classes)
    kind = {"none": transformers.XLNetModel, "span": transformers.XLNetForQuestionAnsweringSimple,
            "classes": transformers.XLNetForSequenceClassification}[recipe.head]
    model = kind(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, dtype=torch.float32)
            if name.endswith("layer_norm.weight"):
                values = 1 + 0.3 * values
            elif name.endswith("word_embedding.weight"):
                values = 0.5 * values
            elif name.endswith(("_bias", "seg_embed")) or parameter.dim() == 1:
                values = 0.3 * values
            else:  # matrices; those of the attention are [d_model, heads, d_head]
                values = values * 1.2 / (recipe.d if parameter.dim() == 3 else parameter.shape[1]) ** 0.5
            parameter.copy_(values.to(recipe.storage))
    return config, model.double()


def stored_tensors(recipe, model):
    prefix = recipe.prefix if recipe.head == "none" else ""
    return {prefix + name: parameter.detach().to(recipe.storage).contiguous()
            for name, parameter in model.named_parameters()}


class Oracle:
    """What a model computes from the two texts of a pair, in the order in which they stand."""

    def __init__(self, model):
        self.model = model
        self.xlnet = model if isinstance(model, transformers.XLNetModel) else model.transformer
        self.vocab = self.xlnet.config.vocab_size

    def full(self, texts):
        """Checked against the model's own call."""
        segments = [0] * len(texts[0]) + [1] * len(texts[1])
        rows = self.encode(self.embed(texts[0] + texts[1]), segments, 0, len(self.xlnet.layer))
        own = self.xlnet(input_ids=torch.tensor(texts[0] + texts[1])[None],
                         token_type_ids=torch.tensor(segments)[None]).last_hidden_state
        difference = (rows - own).abs().max().item()
        assert difference < 1e-12, f"piecewise full differs from the model's own call by {difference}"
        return rows

    def split(self, texts, split):
        lower = [self.encode(self.embed(text), [index] * len(text), 0, split) for index, text in enumerate(texts)]
        segments = [0] * len(texts[0]) + [1] * len(texts[1])
        return self.encode(torch.cat(lower, dim=1), segments, split, len(self.xlnet.layer))

    def head(self, kind, rows):
        if kind == "span":
            return self.model.qa_outputs(rows)[0]
        return self.model.logits_proj(self.model.sequence_summary(rows))

    def embed(self, text):
        return self.xlnet.word_embedding(torch.tensor(text)[None])

    def encode(self, rows, segments, first, last):
        tokens = len(segments)
        positions = self.xlnet.relative_positional_encoding(tokens, tokens, bsz=1)
        assert positions.dtype == torch.float32
        ids = torch.tensor(segments)[:, None]
        differ = (ids[:, None] != ids[None, :]).long()
        segment_matrix = torch.nn.functional.one_hot(differ, num_classes=2).to(rows.dtype)
        rows = rows.transpose(0, 1)
        for layer in self.xlnet.layer[first:last]:
            rows = layer(rows, None, attn_mask_h=None, attn_mask_g=None, r=positions, seg_mat=segment_matrix)[0]
        return rows.transpose(0, 1)
