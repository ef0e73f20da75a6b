"""BERT's part of make_golden.py: seeded models, and what they compute, piece by piece."""

import torch
import transformers

VOCAB = 60
FAMILY = "bert"
CONFIG_FIELDS = ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                 "hidden_act", "max_position_embeddings", "type_vocab_size", "layer_norm_eps"]
ARCHITECTURE = "BertModel"


def build(recipe):
    """The transformers model with seeded weights, rounded to what is stored, in float64."""
    torch.manual_seed(recipe.seed + sum(map(ord, recipe.name)))
    config = transformers.BertConfig(
        vocab_size=VOCAB, hidden_size=recipe.d, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, intermediate_size=recipe.ff, hidden_act=recipe.activation,
        max_position_embeddings=recipe.positions, layer_norm_eps=recipe.eps,
        num_labels=2 if recipe.head == "span" else recipe.classes, attn_implementation="eager")
    kind = {"none": transformers.BertModel, "span": transformers.BertForQuestionAnswering,
            "classes": transformers.BertForSequenceClassification}[recipe.head]
    model = kind(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, dtype=torch.float32)
            if name.endswith("LayerNorm.weight"):
                values = 1 + 0.3 * values
            elif "_embeddings." in name:
                values = 0.5 * values
            elif parameter.dim() == 2:
                values = values * 1.2 / parameter.shape[1] ** 0.5
            else:
                values = 0.3 * values
            parameter.copy_(values.to(recipe.storage))
    return config, model.double()


def stored_tensors(recipe, model):
    """What goes into model.safetensors, under the names checkpoints in the wild use."""
    tensors = {}
    for name, parameter in model.named_parameters():
        if recipe.head == "none":
            if name.startswith("pooler") and not recipe.extras:
                continue
            name = recipe.prefix + name
        if recipe.gamma_beta:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            name = name.replace("LayerNorm.bias", "LayerNorm.beta")
        tensors[name] = parameter.detach().to(recipe.storage).contiguous()
    if recipe.extras:
        positions = torch.arange(recipe.positions, dtype=torch.int64)[None]
        tensors[recipe.prefix + "embeddings.position_ids"] = positions
        tensors["cls.predictions.bias"] = torch.zeros(VOCAB, dtype=torch.float32)
    return tensors


class Oracle:
    """What a model computes from the two texts of a pair, in the order in which they stand."""

    def __init__(self, model):
        self.model = model
        self.bert = model if isinstance(model, transformers.BertModel) else model.bert
        self.vocab = self.bert.config.vocab_size

    def full(self, texts):
        """Both texts in one sequence; positions run on. Checked against the model's own call."""
        rows = torch.cat([self.embed(texts[0], 0, 0), self.embed(texts[1], 1, len(texts[0]))], dim=1)
        rows = self.encode(rows, 0, len(self.bert.encoder.layer))
        types = [0] * len(texts[0]) + [1] * len(texts[1])
        own = self.bert(input_ids=torch.tensor(texts[0] + texts[1])[None],
                        token_type_ids=torch.tensor(types)[None]).last_hidden_state
        difference = (rows - own).abs().max().item()
        assert difference < 1e-12, f"piecewise full differs from the model's own call by {difference}"
        return rows

    def split(self, texts, split):
        """The two texts apart through layers 0..split, positions from 0 in each; joined above."""
        lower = [self.encode(self.embed(text, index, 0), 0, split) for index, text in enumerate(texts)]
        return self.encode(torch.cat(lower, dim=1), split, len(self.bert.encoder.layer))

    def head(self, kind, rows):
        return self.model.qa_outputs(rows)[0] if kind == "span" else self.model.classifier(self.bert.pooler(rows))

    def embed(self, text, token_type, first_position):
        ids = torch.tensor(text)[None]
        positions = torch.arange(first_position, first_position + len(text))[None]
        return self.bert.embeddings(input_ids=ids, token_type_ids=torch.full_like(ids, token_type),
                                    position_ids=positions)

    def encode(self, rows, first, last):
        for layer in self.bert.encoder.layer[first:last]:
            rows = layer(rows, None)
        return rows
