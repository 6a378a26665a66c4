"""A config's values as values of flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from workbench.dialects.aws_fsdp.flags import FLAGS

if TYPE_CHECKING:
    from workbench.dialects.telling import Teller

_STYLES: Final = ("constant", "linear", "cosine", "exponential")


def said_by(teller: Teller, family: str) -> dict[str, Any]:
    """The value of every flag that has one; what they say of the config counts as said.

    Args:
        teller: The writing.
        family: The ``--model_type``.
    """
    values: dict[str, Any] = {"model_type": family}
    for flag in FLAGS:
        if flag.target is None or _unsayable(teller, flag.name, family):
            continue
        value = teller.our(flag.target)
        read = flag.verdict != "ignored" or flag.target in teller.chosen
        if value is not None and read:
            values[flag.name] = int(value) if isinstance(value, bool) else value
        teller.said(flag.target)
    _network(teller, values, family)
    _precision(teller, values)
    _schedule(teller, values)
    _validation(teller, values)
    _checkpoints(teller, values)
    _data(teller)
    _machine(teller)
    return values


def _unsayable(teller: Teller, name: str, family: str) -> bool:
    """Whether a flag cannot say our value; then it is lost, unless it is what goes without it."""
    if name == "tokenizer" and teller.our("data.tokenizer_name") == "bytes":
        teller.lose("data.tokenizer_name", "the trainer takes tokenizers of Hugging Face only")
        return True
    if name != "intermediate_size" or family != "gpt_neox":
        return False
    if teller.our("model.intermediate_size") == 4 * teller.our("model.hidden_size"):
        teller.said("model.intermediate_size")
    else:
        teller.lose("model.intermediate_size", "gpt_neox always has 4 x --hidden_width")
    return True


def _network(teller: Teller, values: dict[str, Any], family: str) -> None:
    teller.said("model.model_type")
    longest, length = "model.max_position_embeddings", "data.max_length"
    # One length for two: that of the sequences, unless a layer chose that of the model.
    values["max_context_width"] = teller.our(longest if longest in teller.chosen else length)
    for path in (longest, length):
        if teller.our(path) == values["max_context_width"] or path not in teller.chosen:
            teller.said(path)
        else:
            teller.lose(path, "the trainer has one length: --max_context_width")
    if family == "gpt_neox":
        values["rotary_pct"] = teller.our("model.partial_rotary_factor")
        base = teller.our("model.rope_theta")
        values["rotary_emb_base"] = int(base)
        if base == int(base):
            teller.said("model.rope_theta")
        else:
            teller.lose("model.rope_theta", "--rotary_emb_base is a whole number")
        teller.said("model.partial_rotary_factor")
    heads, width = teller.our("model.num_attention_heads"), teller.our("model.hidden_size")
    if teller.our("model.head_dim") in (None, width // heads):
        teller.said("model.head_dim")


def _precision(teller: Teller, values: dict[str, Any]) -> None:
    precision = teller.our("training.mixed_precision")
    if precision in ("bf16", "auto"):
        values["bf16"] = 1
    elif precision == "no":
        values["bf16"] = 0
    else:
        values["bf16"] = 1
        teller.lose("training.mixed_precision", "the trainer has bf16 and fp32 only")
        return
    teller.said("training.mixed_precision")
    if teller.our("training.optimizer") == "adamw":
        teller.said("training.optimizer")
    else:
        teller.lose("training.optimizer", "the trainer always uses AdamW")
    if teller.our("training.eps") == 1e-8:
        teller.said("training.eps")
    else:
        teller.lose("training.eps", "the trainer always uses AdamW's own 1e-08")
    steps = teller.our("training.gradient_accumulation_steps")
    if steps == 1:
        teller.said("training.gradient_accumulation_steps")
    else:
        teller.lose(
            "training.gradient_accumulation_steps",
            "the trainer has no accumulation: more devices or a larger --train_batch_size",
        )
    # What the batch comes to is computed on both sides.
    if steps == 1 or teller.our("training.global_batch_size") is None:
        teller.said("training.global_batch_size")


def _schedule(teller: Teller, values: dict[str, Any]) -> None:
    style, hold = teller.our("training.lr_scheduler_type"), teller.our("training.lr_hold_steps")
    if style == "constant_with_warmup":
        style = "constant"
    if style in _STYLES:
        values["lr_decay_style"] = style
        teller.said("training.lr_scheduler_type")
    else:
        values["lr_decay_style"] = "cosine"
        teller.lose("training.lr_scheduler_type", f"one of {', '.join(_STYLES)}, plateau only")
    steps = teller.our("training.lr_decay_steps") or teller.our("training.max_steps")
    if hold and style == "linear":
        values["lr_decay_style"] = "plateau"
        values["plateau"] = hold / steps
    if not hold or style == "linear":
        teller.said("training.lr_hold_steps")
    else:
        teller.lose("training.lr_hold_steps", "only a linear decay can wait: style plateau")
    ratio, warmup = teller.our("training.warmup_ratio"), teller.our("training.warmup_steps")
    if warmup:
        ratio = warmup / steps
    values["warmup"] = ratio or 0.0
    teller.said("training.warmup_ratio", "training.warmup_steps")
    low, share = teller.our("training.lr_end"), teller.our("training.lr_end_ratio")
    if not low and share is not None:
        values["min_lr"] = share * teller.our("training.learning_rate")
        teller.said("training.lr_end_ratio")


def _validation(teller: Teller, values: dict[str, Any]) -> None:
    strategy, every = teller.our("training.eval_strategy"), teller.our("training.eval_steps")
    values["validation_freq"] = every or None
    if strategy == "no":
        values["validation_freq"] = None
    if values["validation_freq"] is None:
        del values["validation_freq"]
    if strategy == "epoch":
        teller.lose("training.eval_strategy", "the trainer validates by steps")
    else:
        teller.said("training.eval_strategy")
    teller.said("training.eval_steps")
    size = teller.our("data.eval_batch_size") or teller.our("training.batch_size")
    values["val_batch_size"] = size
    examples = teller.our("data.max_eval_examples")
    values["validation_batches"] = max(1, examples // size)
    if examples % size == 0:
        teller.said("data.max_eval_examples")
    else:
        teller.lose("data.max_eval_examples", f"--validation_batches counts batches of {size}")


def _checkpoints(teller: Teller, values: dict[str, Any]) -> None:
    resume = teller.our("checkpointing.resume_from_checkpoint")
    if resume is not None:
        values["resume_from_checkpoint"] = resume
        teller.said("checkpointing.resume_from_checkpoint")
    if teller.our("training.save_strategy") == "steps":
        teller.said("training.save_strategy")
    namespace = teller.our("checkpointing.namespace")
    if namespace is not None:
        values["mtc_namespace"] = namespace
        teller.said("checkpointing.namespace")
    if teller.our("checkpointing.memory_tier.enabled"):
        values["in_memory_checkpointing_freq"] = teller.our("checkpointing.memory_tier.save_steps")
        values["s3_checkpointing_freq"] = teller.our("checkpointing.storage_tier.save_steps")
        path = teller.our("checkpointing.storage_tier.path")
        if path is not None:
            values["s3_tier_base_path"] = path
        teller.said(
            "checkpointing.memory_tier.enabled",
            "checkpointing.memory_tier.save_steps",
            "checkpointing.storage_tier.enabled",
            "checkpointing.storage_tier.save_steps",
            "checkpointing.storage_tier.path",
        )


def _data(teller: Teller) -> None:
    path = teller.our("data.path")
    if path is None and teller.our("data.dataset_name") is None:
        # The corpus that comes with the workbench: the trainer would take allenai/c4 instead.
        teller.lose("data.dataset_name", "the workbench's own corpus is unknown there")
    if teller.our("data.streaming") or path is not None:
        teller.said("data.streaming")
    if teller.our("data.packing") == "stream":
        teller.said("data.packing")


def _machine(teller: Teller) -> None:
    """What goes without saying."""
    if teller.our("parallel.strategy") in ("fsdp", "auto"):
        teller.said("parallel.strategy")
    else:
        teller.lose("parallel.strategy", "the trainer always uses FSDP")
    if teller.our("run.objective") in (None, "pretrain"):
        teller.said("run.objective")
