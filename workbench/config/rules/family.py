"""Rules about what each family of networks has of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.keys import keys, value_at
from workbench.config.rules.base import Problem, Subject, put, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHER_THAN_DECODERS = ("residual_type", "lm_head_bias")
_T5 = (
    "norm_type",
    "position_embedding_type",
    "rope_theta",
    "rope_interleaved",
    "partial_rotary_factor",
    "rope_scaling.type",
    "num_key_value_heads",
    "attention_bias",
    "attention_out_bias",
    "mlp_bias",
    "qk_norm",
    "sliding_window",
)
_IDLE = {"decoder": (), "bert": _OTHER_THAN_DECODERS, "t5": (*_OTHER_THAN_DECODERS, *_T5)}


@rule("decoders-only", "error")
def decoders_only(subject: Subject) -> Iterator[Problem]:
    """Experts, latent attention and multi-token prediction are parts of decoders."""
    config = subject.config
    family = config.model.model_type
    wanted = {
        "model.num_experts": config.model.num_experts > 1,
        "model.mla.enabled": config.model.mla.enabled,
        "training.mtp.enabled": config.training.mtp.enabled,
    }
    for path, there in wanted.items():
        if there and family != "decoder":
            yield Problem(
                path,
                f"{path} is of decoders, and a {family} has none of it",
                (put(path, keys()[path].default), put("model.model_type", "decoder")),
            )


@rule("family-has-its-own", "warning")
def family_has_its_own(subject: Subject) -> Iterator[Problem]:
    """Keys of parts that a bert or t5 has in one form only are left alone."""
    family = subject.config.model.model_type
    for name in _IDLE[family]:
        path = f"model.{name}"
        default = keys()[path].default
        if subject.is_set(path) and value_at(subject.config, path) != default:
            yield Problem(
                path,
                f"a {family} has its own form of this, whatever {path} says",
                (put(path, default),),
            )
