"""GPT-NeoX's files: DeepSpeed's keys beside those of a model and of a training.

Names are those of EleutherAI/gpt-neox, megatron/neox_arguments; a file may write them with
underscores or with hyphens. GPT-NeoX takes its own keys out and hands DeepSpeed the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.dialects.building import NoPlace, To
from workbench.dialects.claims import Claim, Claims

if TYPE_CHECKING:
    from workbench.dialects.building import Builder
    from workbench.dialects.telling import Teller

_SIGNS: Final = ("pipe_parallel_size", "model_parallel_size", "no_weight_tying", "pos_emb")
_DECAYS: Final = ("cosine", "linear", "constant", "exponential")


def _decay(value: Any) -> Any:
    if value not in _DECAYS:
        raise NoPlace(f"the schedule {value} is not built")
    return value


def _at_least_one(value: Any) -> Any:
    return 1 if value == 0 else value  # 0 stages are one, without a pipeline


def _untied(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NoPlace("a switch is true or false")
    return not value


_MEANINGS: Final[dict[str, To]] = {
    "hidden_size": To("model.hidden_size"),
    "num_layers": To("model.num_layers"),
    "num_attention_heads": To("model.num_attention_heads"),
    "num_kv_heads": To("model.num_key_value_heads"),
    "intermediate_size": To("model.intermediate_size"),
    "max_position_embeddings": To("model.max_position_embeddings"),
    "layernorm_epsilon": To("model.layer_norm_eps"),
    "rms_norm_epsilon": To("model.layer_norm_eps"),
    "rotary_pct": To("model.partial_rotary_factor"),
    "no_weight_tying": To("model.tie_word_embeddings", _untied, lambda tied: not tied),
    "hidden_dropout": To("model.hidden_dropout"),
    "attention_dropout": To("model.attention_dropout"),
    "seq_length": To("data.max_length"),
    "model_parallel_size": To("parallel.tensor_parallel_size", _at_least_one),
    "pipe_parallel_size": To("parallel.pipeline_parallel_size", _at_least_one),
    "train_iters": To("training.max_steps"),
    "lr_decay_iters": To("training.lr_decay_steps"),
    "lr_decay_style": To("training.lr_scheduler_type", _decay),
    "warmup": To("training.warmup_ratio"),
    "min_lr": To("training.lr_end"),
    "weight_decay": To("training.weight_decay"),
    "save_interval": To("training.save_steps"),
    "checkpoint_factor": To("training.save_steps"),
    "eval_interval": To("training.eval_steps"),
    "checkpoint_activations": To("training.gradient_checkpointing"),
    "seed": To("run.seed"),
}
CLAIMS: Final = Claims(
    [
        Claim(spelling, To(to.ours, to.convert, to.back, writes=False))
        for name, to in _MEANINGS.items()
        for spelling in dict.fromkeys((name, name.replace("_", "-")))
    ]
)
"""What its keys mean here; they go back in the spelling of the file."""


def is_neox(tree: dict[str, Any]) -> bool:
    """Whether a tree has keys that only GPT-NeoX has."""
    return sum(name in tree or name.replace("_", "-") in tree for name in _SIGNS) > 1


def has_schedule(tree: dict[str, Any]) -> bool:
    """Whether GPT-NeoX moves the learning rate, and not DeepSpeed."""
    return "lr_decay_style" in tree or "lr-decay-style" in tree


def read_neox(builder: Builder) -> dict[tuple[str, ...], Any]:
    """Understand its keys.

    Returns:
        What has to travel with the residue for a writer.
    """
    if _is_gated(builder):
        for name in ("intermediate_size", "intermediate-size"):
            builder.keep((name,), "GPT-NeoX reckons the width of a gate from it in its own way: "
                         "set model.intermediate_size")  # fmt: skip
    travel = CLAIMS.read(builder)
    builder.assume(
        (),
        "the file is GPT-NeoX's, which hands DeepSpeed only the keys that DeepSpeed knows; the "
        "vocabulary is its tokenizer's: set model.vocab_size",
    )
    width = builder.ours("model.hidden_size")
    if width is None:
        return travel
    for key, value in _network(builder).items():
        if builder.ours(f"model.{key}") is None:
            builder.put(f"model.{key}", value)
    return travel


def say_neox(teller: Teller) -> None:
    """Say its keys again, with today's values; the parts of the network go without saying."""
    CLAIMS.write(teller)
    teller.said(*(f"model.{key}" for key in _PARTS))


_PARTS: Final = ("model_type", "norm_type", "hidden_act", "attention_bias", "mlp_bias",
                 "residual_type", "position_embedding_type", "intermediate_size",
                 "tie_word_embeddings", "max_position_embeddings")  # fmt: skip


def _network(builder: Builder) -> dict[str, Any]:
    """The parts of its network, with its defaults."""
    llama = _is_gated(builder)
    width = builder.ours("model.hidden_size")
    parts = {
        "model_type": "decoder",
        "norm_type": "rmsnorm" if _said(builder, "norm") == "rmsnorm" else "layernorm",
        "hidden_act": "swiglu" if llama else "gelu",
        "attention_bias": _said(builder, "use_bias_in_attn_linear", default=True) is not False,
        "mlp_bias": not llama,
        "residual_type": "parallel" if _said(builder, "gpt_j_residual") is True else "sequential",
        "position_embedding_type": "rope" if _said(builder, "pos_emb") == "rotary" else "learned",
        "tie_word_embeddings": True,
    }
    return parts if llama else parts | {"intermediate_size": 4 * width}


def _is_gated(builder: Builder) -> bool:
    llama: bool = _said(builder, "mlp_type") == "llama"
    return llama or bool(_said(builder, "activation") == "swiglu")


def _said(builder: Builder, name: str, default: Any = None) -> Any:
    return builder.value((name,), builder.value((name.replace("_", "-"),), default))
