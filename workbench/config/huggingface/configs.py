"""Hugging Face's config.json and ``model``: one into the other, and where the two disagree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.config.huggingface.table import WORDS
from workbench.config.huggingface.words import UnsupportedError, Words
from workbench.config.schema import ModelConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Keys that decide how a network is trained or computed, not which network it is.
_NOT_THE_NETWORK = (
    "pretrained_path",
    "head",
    "num_labels",
    "attention_implementation",
    "attention_dropout",
    "hidden_dropout",
    "embedding_dropout",
    "expert_dropout",
    "initializer_range",
    "expert_capacity_factor",
    "router_aux_loss_coef",
    "router_z_loss_coef",
    "router_jitter_noise",
    "moe.router_noise_std",
    "moe.min_expert_capacity",
    "mla.use_fp8_kv",
    "mla.backend",
    "mla.fallback_to_dense",
    "use_episodic_memory",
)
_TRAINING_SECTIONS = ("moe_balancing.", "episodic_memory.")
# Here it also says whether the network has a bias that chooses experts.
_BALANCING = "moe_balancing.method"


_TRAINED_LENGTH = "rope_scaling.original_max_position_embeddings"


class Disagreement(NamedTuple):
    """A key of ``model`` that two networks have different values of."""

    key: str
    ours: Any
    theirs: Any


def config_from_hf(hf: Mapping[str, Any]) -> dict[str, Any]:
    """The ``model`` keys of a config.json, dotted below ``model``.

    Raises:
        UnsupportedError: The family, or something it asks for, is not built.
    """
    try:
        return _family(hf).read_config(hf)
    except KeyError as error:
        raise UnsupportedError(f"config.json lacks {error.args[0]}") from None


def model_config(keys: Mapping[str, Any]) -> ModelConfig:
    """The checked ``ModelConfig`` of dotted keys.

    Raises:
        ValidationError: A value is out of range.
    """
    tree: dict[str, Any] = {}
    for path, value in keys.items():
        *sections, name = path.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return ModelConfig.model_validate(tree)


def hf_config(model: ModelConfig) -> dict[str, Any]:
    """The config.json of a network.

    Raises:
        UnsupportedError: No family of Hugging Face has such a network; it names the nearest,
            and what is in the way.
    """
    family = family_of(model)
    return {
        "architectures": [family.architecture],
        "model_type": family.name,
        "dtype": "float32",
        # Theirs are tokens of the original tokenizers, which a new vocabulary may not even have.
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        **family.write_config(model),
    }


def family_of(model: ModelConfig) -> Words:
    """The first family that can hold the network: what it writes, it reads back unchanged.

    Raises:
        UnsupportedError: There is none.
    """
    nearest: tuple[str, list[Disagreement]] | None = None
    for family in WORDS.values():
        try:
            theirs = model_config(family.read_config(family.write_config(model)))
        except (ValueError, ArithmeticError, KeyError):
            continue
        different = disagreements(model, theirs)
        if not different:
            return family
        if nearest is None or len(different) < len(nearest[1]):
            nearest = family.name, different
    if nearest is None:
        raise UnsupportedError("no family of Hugging Face models can hold this network")
    name, different = nearest
    listed = ", ".join(f"model.{each.key} {each.theirs}, not {each.ours}" for each in different)
    raise UnsupportedError(
        f"no family of Hugging Face models can hold this network; the nearest, {name}, has {listed}"
    )


def disagreements(ours: ModelConfig, theirs: ModelConfig) -> list[Disagreement]:
    """The keys by which two networks differ, in the order of the schema.

    Keys that are idle in theirs are left out: a key that makes them idle is among the others. So
    are defaults that neither sets, where those follow from keys that are listed.
    """
    mine, other = network(ours), network(theirs)
    my_words, their_words = _flat(ours.model_dump()), _flat(theirs.model_dump())
    different = []
    for key, value in other.items():
        own = mine.get(key, my_words[key])
        follows = my_words[key] is None and their_words[key] is None and key != _TRAINED_LENGTH
        if not follows and not _equal(own, value):
            different.append(Disagreement(key, own, value))
    return different


def network(model: ModelConfig) -> dict[str, Any]:
    """What the network computes, as dotted keys: defaults resolved, idle keys left out."""
    keys = {
        key: value
        for key, value in _flat(model.model_dump()).items()
        if key not in _NOT_THE_NETWORK
        and (key == _BALANCING or not key.startswith(_TRAINING_SECTIONS))
        and not _idle(key, model)
    }
    heads = model.num_attention_heads
    biased = model.moe_balancing.method == "loss_free"
    resolved = {
        _BALANCING: "loss_free" if biased else "aux_loss",
        "num_encoder_layers": model.num_encoder_layers or model.num_layers,
        "head_dim": model.head_dim or model.hidden_size // heads,
        "num_key_value_heads": model.num_key_value_heads or heads,
        "attention_out_bias": model.attention_bias
        if model.attention_out_bias is None
        else model.attention_out_bias,
        _TRAINED_LENGTH: (
            model.rope_scaling.original_max_position_embeddings or model.max_position_embeddings
        ),
        "moe.expert_intermediate_size": (
            model.moe.expert_intermediate_size or model.intermediate_size
        ),
        "moe.shared_intermediate_size": (
            model.moe.shared_intermediate_size
            or model.moe.expert_intermediate_size
            or model.intermediate_size
        ),
    }
    return keys | {key: value for key, value in resolved.items() if key in keys}


def _has_rope(model: ModelConfig) -> bool:
    return model.position_embedding_type == "rope" and not _is_t5(model)


def _is_t5(model: ModelConfig) -> bool:
    return model.model_type == "t5"


def _is_decoder(model: ModelConfig) -> bool:
    return model.model_type == "decoder"


def _has_experts(model: ModelConfig) -> bool:
    return _is_decoder(model) and model.num_experts > 1


def _is_no_t5(model: ModelConfig) -> bool:
    return not _is_t5(model)


def _scaled(model: ModelConfig, *kinds: str) -> bool:
    return _has_rope(model) and model.rope_scaling.type in kinds


# Keys that have an effect only where the condition after them holds.
_ONLY_IF: dict[str, Callable[[ModelConfig], bool]] = {
    # Otherwise a promise about lengths, and part of the scaling under a name of its own.
    "max_position_embeddings": lambda model: model.position_embedding_type == "learned",
    "rope_theta": _has_rope,
    "rope_interleaved": _has_rope,
    "partial_rotary_factor": _has_rope,
    # T5 has its own way in these, BERT and T5 in the two after them.
    **dict.fromkeys(
        (
            "position_embedding_type",
            "norm_type",
            "num_key_value_heads",
            "attention_bias",
            "attention_out_bias",
            "mlp_bias",
            "qk_norm",
            "sliding_window",
        ),
        _is_no_t5,
    ),
    "residual_type": _is_decoder,
    "lm_head_bias": _is_decoder,
    "num_encoder_layers": _is_t5,
    "num_experts": _is_decoder,
    "num_experts_per_token": _has_experts,
    "router_type": _has_experts,
    _BALANCING: _has_experts,
    "head_dim": lambda model: not model.mla.enabled,
    "num_key_value_heads": lambda model: _is_no_t5(model) and not model.mla.enabled,
    "qk_norm": lambda model: _is_no_t5(model) and not model.mla.enabled,
    "num_cross_attention_layers": lambda model: model.use_cross_attention,
    "mla.enabled": lambda _: True,
    "mla.": lambda model: model.mla.enabled,
    "moe.shared_intermediate_size": lambda model: (
        _has_experts(model) and model.moe.num_shared_experts > 0
    ),
    "moe.num_limited_groups": lambda model: _has_experts(model) and model.moe.num_expert_groups > 1,
    "moe.normalize_expert_weights": lambda model: (
        _has_experts(model) and model.num_experts_per_token > 1
    ),
    "moe.": _has_experts,
    "rope_scaling.type": _has_rope,
    "rope_scaling.factor": lambda model: _scaled(model, "linear", "dynamic", "llama3", "yarn"),
    "rope_scaling.original_max_position_embeddings": lambda model: _scaled(
        model, "dynamic", "llama3", "yarn"
    ),
    "rope_scaling.low_freq_factor": lambda model: _scaled(model, "llama3"),
    "rope_scaling.high_freq_factor": lambda model: _scaled(model, "llama3"),
    "rope_scaling.": lambda model: _scaled(model, "yarn"),
}


def _idle(key: str, model: ModelConfig) -> bool:
    """Whether a key has no effect beside the others."""
    section, dot, _ = key.partition(".")
    condition = _ONLY_IF.get(key) or (_ONLY_IF.get(f"{section}.") if dot else None)
    return condition is not None and not condition(model)


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[above + key] = value
    return flat


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def _family(hf: Mapping[str, Any]) -> Words:
    name = hf.get("model_type")
    if name not in WORDS:
        raise UnsupportedError(
            f"models of the type {name} cannot be read, only {', '.join(sorted(WORDS))}"
        )
    return WORDS[str(name)]
