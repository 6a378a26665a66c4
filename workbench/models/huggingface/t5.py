"""T5 1.0 and 1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.models.huggingface.activations import read_activation, write_activation
from workbench.models.huggingface.family import Family, Piece, UnsupportedError, refuse, same
from workbench.models.t5 import BUCKETS, FARTHEST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig

_GATES = {"gated-gelu": "geglu", "gated-gelu_new": "geglu", "gated-silu": "swiglu"}


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    refuse(hf, relative_attention_num_buckets=BUCKETS, relative_attention_max_distance=FARTHEST)
    kind = hf.get("feed_forward_proj", "relu")
    if kind.startswith("gated-") and kind not in _GATES:
        raise UnsupportedError(f"a feed-forward of the kind {kind} is not built")
    dropout = float(hf.get("dropout_rate", 0.1))
    return {
        "model_type": "t5",
        "vocab_size": hf["vocab_size"],
        "hidden_size": hf["d_model"],
        "num_encoder_layers": hf["num_layers"],
        "num_layers": hf.get("num_decoder_layers") or hf["num_layers"],
        "num_attention_heads": hf["num_heads"],
        "head_dim": hf["d_kv"],
        "intermediate_size": hf["d_ff"],
        "hidden_act": _GATES.get(kind) or read_activation(kind),
        "layer_norm_eps": hf.get("layer_norm_epsilon", 1e-6),
        # Today's transformers keeps under another name what this key once said.
        "tie_word_embeddings": hf.get("scale_decoder_outputs", hf.get("tie_word_embeddings", True)),
        "hidden_dropout": dropout,
        "embedding_dropout": dropout,
        "attention_dropout": dropout,
    }


def _write(model: ModelConfig) -> dict[str, Any]:
    gates = {"geglu": "gated-gelu", "swiglu": "gated-silu"}
    return {
        "vocab_size": model.vocab_size,
        "d_model": model.hidden_size,
        "num_layers": model.num_encoder_layers or model.num_layers,
        "num_decoder_layers": model.num_layers,
        "num_heads": model.num_attention_heads,
        "d_kv": model.head_dim or model.hidden_size // model.num_attention_heads,
        "d_ff": model.intermediate_size,
        "feed_forward_proj": gates.get(model.hidden_act) or write_activation(model.hidden_act),
        "layer_norm_epsilon": model.layer_norm_eps,
        "dropout_rate": model.hidden_dropout,
        "relative_attention_num_buckets": BUCKETS,
        "relative_attention_max_distance": FARTHEST,
        "tie_word_embeddings": model.tie_word_embeddings,
        "is_encoder_decoder": True,
    }


def _stack(model: ModelConfig, ours: str, theirs: str, layers: int) -> list[Piece]:
    """The blocks of the encoder or of the decoder."""
    decoder = theirs == "decoder"
    attentions = {"attention": "SelfAttention"}
    attentions |= {"cross_attention": "EncDecAttention"} if decoder else {}
    norms = ["attention_norm", *(["cross_norm"] if decoder else []), "feed_forward_norm"]
    gated = model.hidden_act in _GATES.values()
    matrices = {"up_proj": "wi_1" if gated else "wi", "down_proj": "wo"}
    matrices |= {"gate_proj": "wi_0"} if gated else {}
    found = []
    for layer in range(layers):
        mine, block = f"{ours}.{layer}", f"{theirs}.block.{layer}.layer"
        found += [
            same(f"{mine}.{norm}.weight", f"{block}.{place}.layer_norm.weight")
            for place, norm in enumerate(norms)
        ]
        found += [
            same(f"{mine}.{name}.{letter}_proj.weight", f"{block}.{place}.{kind}.{letter}.weight")
            for place, (name, kind) in enumerate(attentions.items())
            for letter in "qkvo"
        ]
        last = f"{block}.{len(norms) - 1}.DenseReluDense"
        found += [
            same(f"{mine}.feed_forward.{name}.weight", f"{last}.{w}.weight")
            for name, w in matrices.items()
        ]
    return found


def _pieces(model: ModelConfig) -> list[Piece]:
    distances = "block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    found = [
        same("embedding", "shared.weight"),
        same("encoder_distances", f"encoder.{distances}"),
        same("distances", f"decoder.{distances}"),
        same("encoder_norm.weight", "encoder.final_layer_norm.weight"),
        same("norm.weight", "decoder.final_layer_norm.weight"),
        *_stack(model, "encoder_blocks", "encoder", model.num_encoder_layers or model.num_layers),
        *_stack(model, "blocks", "decoder", model.num_layers),
    ]
    if not model.tie_word_embeddings:
        found.append(same("lm_head.weight", "lm_head.weight"))
    return found


T5 = Family(
    "t5",
    "T5ForConditionalGeneration",
    _read,
    _write,
    _pieces,
    ignored=(
        "encoder.embed_tokens.weight",
        "decoder.embed_tokens.weight",
        # Left over in the first published files.
        "layer.1.EncDecAttention.relative_attention_bias.weight",
    ),
)
