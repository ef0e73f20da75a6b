"""BERT as ONNX with the operators that ONNX Runtime's transformer fusions end in.

Its optimizer (onnxruntime.transformers.optimizer) finds these patterns in exports of older transformers versions; in
what the current one exports it fuses LayerNorm and GELU but misses attention. So the fused graph is written down:
EmbedLayerNormalization, then a layer = Attention (or QKV MatMul + MultiHeadAttention, which has a flash kernel),
MatMul, SkipLayerNormalization, MatMul, BiasGelu, MatMul, SkipLayerNormalization.
"""

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

CONTRIB = "com.microsoft"


class Graph:
    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(numpy.ascontiguousarray(value), name))
        return name

    def node(self, kind, inputs, name, outputs=None, domain=CONTRIB, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, outputs or [name], name=name, domain=domain, **attributes))
        return name


def attention(graph, layer, tensors, x, heads, kind):
    names = [f"encoder.layer.{layer}.attention.self.{part}" for part in ("query", "key", "value")]
    weights = [tensors[name + ".weight"].T for name in names]
    biases = graph.constant(f"qkv_bias{layer}", numpy.concatenate([tensors[name + ".bias"] for name in names]))
    if kind == "Attention":
        weight = graph.constant(f"qkv{layer}", numpy.concatenate(weights, axis=1))
        return graph.node("Attention", [x, weight, biases], f"attention{layer}", num_heads=heads)
    parts = [graph.node("MatMul", [x, graph.constant(f"{name}.w", weight)], f"{name}.y", domain="")
             for name, weight in zip(names, weights)]
    return graph.node("MultiHeadAttention", [*parts, biases], f"attention{layer}", num_heads=heads)


def encoder_layer(graph, layer, tensors, x, config, kind):
    at = f"encoder.layer.{layer}."

    def product(value, name):
        return graph.node("MatMul", [value, graph.constant(at + name + ".w", tensors[at + name + ".weight"].T)],
                          at + name, domain="")

    def add_and_norm(value, skip, norm, dense):
        parts = [graph.constant(at + norm + end, tensors[at + norm + end]) for end in (".weight", ".bias")]
        bias = graph.constant(at + dense + ".bias", tensors[at + dense + ".bias"])
        return graph.node("SkipLayerNormalization", [value, skip, *parts, bias], at + norm,
                          epsilon=config["layer_norm_eps"])

    y = product(attention(graph, layer, tensors, x, config["num_attention_heads"], kind), "attention.output.dense")
    x = add_and_norm(y, x, "attention.output.LayerNorm", "attention.output.dense")
    bias = graph.constant(at + "intermediate.bias", tensors[at + "intermediate.dense.bias"])
    y = graph.node("BiasGelu", [product(x, "intermediate.dense"), bias], at + "gelu")
    return add_and_norm(product(y, "output.dense"), x, "output.LayerNorm", "output.dense")


def build(config, tensors, kind, batch, length):
    """The model proto for one fixed shape; `kind` is Attention or MultiHeadAttention."""
    graph = Graph()
    tables = [graph.constant(name, tensors[f"embeddings.{name}"]) for name in (
        "word_embeddings.weight", "position_embeddings.weight", "token_type_embeddings.weight",
        "LayerNorm.weight", "LayerNorm.bias")]
    x = graph.node("EmbedLayerNormalization", ["input_ids", "token_type_ids", *tables], "embedding",
                   outputs=["embedding", "unused_mask_index"], epsilon=config["layer_norm_eps"])
    for layer in range(config["num_hidden_layers"]):
        x = encoder_layer(graph, layer, tensors, x, config, kind)
    graph.node("Identity", [x], "last_hidden_state", domain="")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, [batch, length])
              for name in ("input_ids", "token_type_ids")]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [batch, length, config["hidden_size"]])
    proto = helper.make_graph(graph.nodes, "bert", inputs, [output], graph.constants)
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)],
                             ir_version=8)
