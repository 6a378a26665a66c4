"""T5 1.0 and 1.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface import t5 as words
from workbench.models.huggingface.family import Family, Piece, same

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


def _stack(model: ModelConfig, ours: str, theirs: str, layers: int) -> list[Piece]:
    """The blocks of the encoder or of the decoder."""
    decoder = theirs == "decoder"
    attentions = {"attention": "SelfAttention"}
    attentions |= {"cross_attention": "EncDecAttention"} if decoder else {}
    norms = ["attention_norm", *(["cross_norm"] if decoder else []), "feed_forward_norm"]
    gated = model.hidden_act in words.GATES.values()
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
    *words.T5,
    _pieces,
    ignored=(
        "encoder.embed_tokens.weight",
        "decoder.embed_tokens.weight",
        # Left over in the first published files.
        "layer.1.EncDecAttention.relative_attention_bias.weight",
    ),
)
