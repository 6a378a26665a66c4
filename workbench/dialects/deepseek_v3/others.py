"""The system's other files: the release's schema, data alone, sanitization.

Each is a table of claims and what has no place; none of them is what ``run_training.py`` loads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from workbench.dialects.building import Keep
from workbench.dialects.claims import Claims
from workbench.dialects.deepseek_v3.tables import MAIN, plain, turned
from workbench.dialects.deepseek_v3.words import switch, words

_KEYERROR = "run_training.py needs a section that the file has not: KeyError: "


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file beside the main one.

    Attributes:
        title: What it is, for a message.
        claims: What its keys mean.
        kept: What has no place.
        derived: What follows from the kind itself, key by key.
        refused: What upstream says to the whole file.
        assumed: What was taken from elsewhere, in words.
    """

    title: str
    claims: Claims
    kept: dict[str, Keep] = field(default_factory=dict)
    derived: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    assumed: str = ""


def _scaling(value: Any) -> Any:
    """A rotary scaling by name; the default is none."""
    if value == "default":
        return "none"
    return value


_SCORES = words({"sigmoid": "sigmoid", "softmax": "softmax"}, "score function")

OFFICIAL = Kind(
    "DeepSeek-V3 as released",
    Claims(
        (
            plain("model.name", "run.name"),
            plain("model.vocab_size", "model.vocab_size"),
            plain("model.hidden_size", "model.hidden_size"),
            plain("model.num_hidden_layers", "model.num_layers"),
            plain("model.num_attention_heads", "model.num_attention_heads"),
            plain("model.max_position_embeddings", "model.max_position_embeddings"),
            plain("model.rope_theta", "model.rope_theta"),
            turned(
                "model.rope_scaling.type",
                "model.rope_scaling.type",
                (_scaling, lambda value: "default" if value == "none" else value),
            ),
            plain("model.rope_scaling.factor", "model.rope_scaling.factor"),
            plain("model.first_k_dense_replace", "model.moe.num_dense_layers"),
            plain("model.rms_norm_eps", "model.layer_norm_eps"),
            plain("model.mtp_enabled", "training.mtp.enabled"),
            plain("mla.q_lora_rank", "model.mla.q_lora_rank"),
            plain("mla.kv_lora_rank", "model.mla.kv_lora_rank"),
            plain("mla.qk_nope_head_dim", "model.mla.qk_nope_head_dim"),
            plain("mla.qk_rope_head_dim", "model.mla.qk_rope_head_dim"),
            plain("mla.v_head_dim", "model.mla.v_head_dim"),
            plain("mla.attention_dropout", "model.attention_dropout"),
            plain("moe.num_experts", "model.num_experts"),
            plain("moe.num_experts_per_token", "model.num_experts_per_token", writes=False),
            plain("moe.n_shared_experts", "model.moe.num_shared_experts"),
            plain("moe.n_group", "model.moe.num_expert_groups"),
            plain("moe.topk_group", "model.moe.num_limited_groups"),
            plain("moe.moe_intermediate_size", "model.moe.expert_intermediate_size"),
            turned("moe.scoring_func", "model.moe.score_function", _SCORES),
            plain("moe.norm_topk_prob", "model.moe.normalize_expert_weights"),
            plain("moe.routed_scaling_factor", "model.moe.routed_scaling_factor"),
            plain("moe.aux_loss_weight", "model.router_aux_loss_coef"),
            plain("training.micro_batch_size", "training.batch_size"),
            plain("training.seq_length", "data.max_length"),
            plain("training.max_steps", "training.max_steps"),
            plain("training.warmup_steps", "training.warmup_steps"),
            plain("training.learning_rate", "training.learning_rate"),
            plain("training.min_lr", "training.lr_end"),
            plain("training.adam_beta1", "training.beta1"),
            plain("training.adam_beta2", "training.beta2"),
            plain("training.adam_eps", "training.eps"),
            plain("training.weight_decay", "training.weight_decay"),
            plain("training.grad_clip", "training.max_gradient_norm"),
            plain("training.save_interval", "training.save_steps"),
            plain("training.eval_interval", "training.eval_steps"),
            plain("training.log_interval", "training.logging_steps"),
            turned("training.use_fp8", "training.mixed_precision", switch("fp8")),
            turned("training.use_fp16", "training.mixed_precision", switch("fp16")),
            plain("training.seed", "run.seed"),
            plain("training.use_deepspeed", "deepspeed.enabled"),
            plain("training.checkpoint_dir", "run.runs_dir"),
            plain("training.tokenizer", "data.tokenizer_name"),
            plain("dataset.path", "data.dataset_name"),
            plain("dataset.subset", "data.dataset_config_name"),
            plain("dataset.streaming", "data.streaming"),
            plain("dataset.num_workers", "data.dataloader_num_workers"),
        )
    ),
    kept={
        "model.moe_layer_freq": Keep("after the dense layers every layer has experts"),
        "model.mtp_num_experts": Keep("a head for further tokens is one block"),
        "moe.topk_method": Keep("experts are chosen within groups where num_expert_groups is set"),
        "dataset.name": Keep("dataset.path names it"),
        "dataset.split": Keep("the part called train is used"),
        "description": Keep("a note for people"),
    },
    derived={
        "model.mla.enabled": True,
        "model.hidden_act": "swiglu",
        "model.intermediate_size": 18432,
        "model.num_experts_per_token": 8,
        "model.tie_word_embeddings": False,
        "model.moe_balancing.method": "loss_free",
    },
    refused="KeyError: 'mla': the loader looks for it inside the section 'model'",
    assumed="the file does not say the width of the dense layers (18,432) and the experts of one "
    "token (8): they are those of the release, as is the loss-free balancing",
)

DATA = Kind("data alone", MAIN, refused=f"{_KEYERROR}'model'")

SANITIZATION = Kind("sanitization of Wikipedia's text", Claims(()), refused=f"{_KEYERROR}'model'")
