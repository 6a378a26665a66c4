"""The flags of AWS's FSDP trainer: type, default, choices, and what the trainer does with each.

Facts: ``model_utils/arguments.py`` and ``train.py`` of ``3.test_cases/pytorch/FSDP`` in
awslabs/awsome-distributed-ai, and of the HyperPod fork of it. The parser is argparse's
``parse_known_args``: a flag that it does not know is dropped without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from workbench.dialects.base import Verdict

Kind = Literal["int", "float", "str"]
Value = int | float | str


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag.

    Attributes:
        name: Its name, without dashes.
        kind: What argparse makes of its value.
        default: What the trainer takes without it.
        target: The key here that says the same; None where there is none, or more than one.
        switch: Whether it is a switch written as a number: 0 is off.
        choices: The words that argparse admits; empty for any.
        verdict: What the trainer does with it.
        why: Why it is ignored, or has no key here.
    """

    name: str
    kind: Kind
    default: Value | None = None
    target: str | None = None
    switch: bool = False
    choices: tuple[str, ...] = ()
    verdict: Verdict = "read"
    why: str = ""


_UNUSED = "the trainer parses it and never uses it"
_RUN_DIR = "a run keeps its checkpoints in its own directory; run.runs_dir says where"

FLAGS: Final = (
    Flag("train_batch_size", "int", 2, "training.batch_size"),
    Flag("val_batch_size", "int", 4, "data.eval_batch_size"),
    Flag("max_steps", "int", 5000, "training.max_steps"),
    Flag("seed", "int", 12345, "run.seed", verdict="ignored", why=_UNUSED),
    Flag("same_seed", "int", 0, verdict="ignored", why=_UNUSED),
    Flag("bf16", "int", 1),
    Flag("grad_clip", "float", 1.0, "training.max_gradient_norm"),
    Flag("weight_decay", "float", 0.2, "training.weight_decay"),
    Flag("beta1", "float", 0.9, "training.beta1"),
    Flag("beta2", "float", 0.95, "training.beta2"),
    Flag("activation_checkpointing", "int", 1, "training.gradient_checkpointing", switch=True),
    Flag("intermediate_size", "int", 11008, "model.intermediate_size"),
    Flag("num_key_value_heads", "int", None, "model.num_key_value_heads"),
    Flag("logging_freq", "int", 1, "training.logging_steps"),
    Flag("tensorboard_dir", "str", verdict="ignored", why=_UNUSED),
    Flag("max_context_width", "int", 2048),
    Flag("vocab_size", "int", 50432, "model.vocab_size"),
    Flag("hidden_width", "int", 768, "model.hidden_size"),
    Flag("num_layers", "int", 12, "model.num_layers"),
    Flag("num_heads", "int", 12, "model.num_attention_heads"),
    Flag("resid_pdrop", "float", 0.1, verdict="ignored", why=f"{_UNUSED}: there is no dropout"),
    Flag("embd_pdrop", "float", 0.1, verdict="ignored", why=f"{_UNUSED}: there is no dropout"),
    Flag("attn_pdrop", "float", 0.1, verdict="ignored", why=f"{_UNUSED}: there is no dropout"),
    Flag(
        "summary_first_pdrop",
        "float",
        0.1,
        verdict="ignored",
        why=f"{_UNUSED}: there is no dropout",
    ),
    Flag("initializer_range", "float", 0.02, "model.initializer_range"),
    Flag("model_type", "str", "gpt_neox"),
    Flag("rotary_pct", "float", 0.25),
    Flag("rotary_emb_base", "int", 10000),
    Flag("offload_activations", "int", 0, "fsdp.offload_activations", switch=True),
    Flag(
        "activation_loading_horizon",
        "int",
        2,
        "fsdp.activation_loading_horizon",
        verdict="ignored",
        why=_UNUSED,
    ),
    Flag(
        "limit_all_gathers",
        "int",
        1,
        "fsdp.limit_all_gathers",
        switch=True,
        verdict="ignored",
        why="only the trainer's first version, on FSDP1, used it",
    ),
    Flag("sharding_strategy", "str", "full", "fsdp.sharding_strategy", choices=("full", "hybrid")),
    Flag("cpu_offload", "int", 0, "fsdp.cpu_offload", switch=True),
    Flag("lr", "float", 1e-4, "training.learning_rate"),
    Flag(
        "lr_decay_style",
        "str",
        "cosine",
        choices=("constant", "linear", "cosine", "exponential", "plateau"),
    ),
    Flag("lr_decay_iters", "int", None, "training.lr_decay_steps"),
    Flag("min_lr", "float", 1e-5, "training.lr_end"),
    Flag("warmup", "float", 0.0032, "training.warmup_ratio"),
    Flag("plateau", "float", 0.0),
    Flag("dataset", "str", "allenai/c4", "data.dataset_name"),
    Flag("dataset_config_name", "str", "en", "data.dataset_config_name"),
    Flag("local_dataset_path", "str", None, "data.path"),
    Flag("tokenizer", "str", "EleutherAI/gpt-neox-20b", "data.tokenizer_name"),
    Flag("resume_from_checkpoint", "str"),
    Flag("checkpoint_dir", "str", why=_RUN_DIR),
    Flag("epochs", "int", 3, "training.num_epochs"),
    Flag("s3_tier_base_path", "str"),
    Flag("mtc_namespace", "str", "default-training-job"),
    Flag("in_memory_checkpointing_freq", "int", 10),
    Flag("s3_checkpointing_freq", "int", 20),
    Flag("checkpoint_freq", "int", 1000, "training.save_steps"),
    Flag("validation_freq", "int"),
    Flag("validation_batches", "int", 10),
    Flag(
        "peak_tflops_per_gpu",
        "float",
        3000.0,
        why="the hardware profile knows the peak; run.hardware names the profile",
    ),
)
"""In the order of the parser. A default of None stands for argparse's own None."""

BY_NAME: Final = {flag.name: flag for flag in FLAGS}

OURS: Final = {flag.name: flag.target for flag in FLAGS if flag.target} | {
    "bf16": "training.mixed_precision",
    "in_memory_checkpointing_freq": "checkpointing.memory_tier.save_steps",
    "lr_decay_style": "training.lr_scheduler_type",
    "max_context_width": "model.max_position_embeddings",
    "model_type": "model.model_type",
    "mtc_namespace": "checkpointing.namespace",
    "plateau": "training.lr_hold_steps",
    "resume_from_checkpoint": "checkpointing.resume_from_checkpoint",
    "rotary_emb_base": "model.rope_theta",
    "rotary_pct": "model.partial_rotary_factor",
    "s3_checkpointing_freq": "checkpointing.storage_tier.save_steps",
    "s3_tier_base_path": "checkpointing.storage_tier.path",
    "validation_batches": "data.max_eval_examples",
    "validation_freq": "training.eval_steps",
}
"""The key that a flag is written from, where it has one."""

ALIASES: Final = {"max_training_steps": "max_steps"}
"""Second names that the parser itself knows."""

RENAMED: Final = {
    "llama_intermediate_size": "intermediate_size",
    "max_position_embeddings": "max_context_width",
    "n_layers": "num_layers",
    "n_heads": "num_heads",
}
"""Names of older revisions; the present parser drops them."""

MEANT: Final = {
    "batch_size": "train_batch_size",
    "gradient_checkpointing": "activation_checkpointing",
    "learning_rate": "lr",
    "mixed_precision": "bf16",
    "sequence_length": "max_context_width",
    "warmup_ratio": "warmup",
}
"""What other trainers call a flag of this one."""

GONE: Final = {
    "train_split": "the trainer always takes the part 'train' of the dataset",
    "val_split": "the trainer always takes the part 'validation' of the dataset",
}
"""Flags that some of AWS's own files have and no revision of the parser knows."""

CORE: Final = (
    "max_context_width",
    "num_key_value_heads",
    "intermediate_size",
    "vocab_size",
    "hidden_width",
    "num_layers",
    "num_heads",
    "model_type",
    "tokenizer",
    "checkpoint_freq",
    "max_steps",
    "train_batch_size",
    "val_batch_size",
    "sharding_strategy",
    "offload_activations",
)
"""Flags that a new list always has, defaults or not: a reader looks for them."""

MODEL_TYPES: Final = ("gpt_neox", "llama_v2", "llama_v3", "mixtral", "mistral")

LOADER_LENGTH: Final = 4096
"""Tokens in a sequence of the trainer's data loader, whatever ``max_context_width`` says."""

TOKENS: Final = {
    "hf-internal-testing/llama-tokenizer": 32_000,
    "meta-llama/Llama-2": 32_000,
    "meta-llama/Llama-3": 128_256,
    "meta-llama/Meta-Llama-3": 128_256,
    "mistralai/Mixtral-8x7B": 32_000,
    "mistralai/mathstral-7B": 32_768,
    "EleutherAI/gpt-neox-20b": 50_277,
}
"""Tokens of the tokenizers that AWS's files name, by the beginning of the name."""


def find(name: str) -> tuple[Flag | None, str]:
    """The flag that argparse takes a name for, and what is to be said about it.

    argparse takes a beginning that only one flag has for that flag.

    Returns:
        The flag, or None where argparse drops it; and ``"same"``, ``"short"`` or ``"renamed"``.
    """
    name = ALIASES.get(name, name)
    if name in BY_NAME:
        return BY_NAME[name], "same"
    known = [*BY_NAME, *ALIASES]
    begun = {ALIASES.get(each, each) for each in known if each.startswith(name)}
    if len(begun) == 1 and name:
        return BY_NAME[begun.pop()], "short"
    if name in RENAMED:
        return BY_NAME[RENAMED[name]], "renamed"
    return None, "same"
