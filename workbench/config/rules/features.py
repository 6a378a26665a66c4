"""Rules about features that exclude or need each other: Ava's compatibility matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.rules.base import Problem, Subject, put, rule

if TYPE_CHECKING:
    from collections.abc import Iterator


@rule("quantization-or-mixed-precision", "error")
def quantization_or_mixed_precision(subject: Subject) -> Iterator[Problem]:
    """Quantisation-aware training and mixed precision exclude each other."""
    config = subject.config
    precision = config.training.mixed_precision
    if config.quantization.quantization_aware and precision not in ("no", "auto"):
        yield Problem(
            subject.blame("training.mixed_precision", "quantization.quantization_aware"),
            f"quantisation-aware training rounds by itself what {precision} would round again: "
            "choose one of them",
            (
                put("training.mixed_precision", "no"),
                put("quantization.quantization_aware", False),
            ),
        )


@rule("surgery-or-deepspeed", "error")
def surgery_or_deepspeed(subject: Subject) -> Iterator[Problem]:
    """Gradient surgery and DeepSpeed exclude each other."""
    config = subject.config
    if config.training.gradient_surgery.enabled and config.deepspeed.enabled:
        yield Problem(
            "training.gradient_surgery.enabled",
            "gradient surgery changes each task's gradient before they are added up; DeepSpeed "
            "adds them up as they come",
            (put("training.gradient_surgery.enabled", False), put("deepspeed.enabled", False)),
        )


@rule("surgery-needs-tasks", "error")
def surgery_needs_tasks(subject: Subject) -> Iterator[Problem]:
    """Gradient surgery needs several tasks: multi_task."""
    surgery = subject.config.training.gradient_surgery
    if surgery.enabled and not surgery.multi_task:
        yield Problem(
            "training.gradient_surgery.enabled",
            "gradient surgery resolves conflicts between tasks, and multi_task is false: there is "
            "one task",
            (
                put("training.gradient_surgery.multi_task", True),
                put("training.gradient_surgery.enabled", False),
            ),
        )


@rule("rag-needs-knowledge", "error")
def rag_needs_knowledge(subject: Subject) -> Iterator[Problem]:
    """Retrieval needs passages: rag.knowledge_base_path."""
    rag = subject.config.rag
    if rag.enabled and rag.knowledge_base_path is None:
        yield Problem(
            "rag.enabled",
            "there are no passages to look up: rag.knowledge_base_path names their folder",
            (put("rag.enabled", False),),
        )


@rule("rag-needs-cross-attention", "error")
def rag_needs_cross_attention(subject: Subject) -> Iterator[Problem]:
    """Retrieved passages are read through cross-attention, unless they stand before the text."""
    config = subject.config
    fusion = config.rag.rag_fusion_type
    if config.rag.enabled and fusion != "concatenate" and not config.model.use_cross_attention:
        layers = config.model.num_cross_attention_layers or max(1, config.model.num_layers // 4)
        yield Problem(
            subject.blame("rag.rag_fusion_type", "rag.enabled"),
            f"with fusion by {fusion} the model reads passages through cross-attention layers, and "
            "use_cross_attention is false",
            (
                (
                    "model.use_cross_attention: true",
                    {
                        "model.use_cross_attention": True,
                        "model.num_cross_attention_layers": layers,
                    },
                ),
                put("rag.rag_fusion_type", "concatenate"),
            ),
        )


@rule("memory-hungry-features", "warning")
def memory_hungry_features(subject: Subject) -> Iterator[Problem]:
    """At most two memory-hungry features are on at once."""
    config = subject.config
    features = {
        "rag.enabled": config.rag.enabled,
        "model.use_episodic_memory": config.model.use_episodic_memory,
        "model.use_cross_attention": config.model.use_cross_attention,
        "training.progressive.enabled": config.training.progressive.enabled,
        "training.mtp.enabled": config.training.mtp.enabled,
        "training.use_ema": config.training.use_ema,
        "logging.memory_breakdown": config.logging.memory_breakdown,
    }
    on = [path for path, wanted in features.items() if wanted]
    if len(on) >= 3:
        yield Problem(
            on[0],
            f"{len(on)} memory-hungry features are on at once: {', '.join(on)}",
            tuple(put(path, False) for path in on)
            if len(on) == 3
            else ((f"keep {on[0]} and {on[1]}", dict.fromkeys(on[2:], False)),),
        )


@rule("mtp-weights-match", "error")
def mtp_weights_match(subject: Subject) -> Iterator[Problem]:
    """training.mtp.loss_weights has a weight for each future token."""
    mtp = subject.config.training.mtp
    if mtp.enabled and mtp.loss_weights is not None:
        count, weights = mtp.num_future_tokens, mtp.loss_weights
        if len(weights) != count or min(weights, default=0) < 0:
            yield Problem(
                "training.mtp.loss_weights",
                f"{len(weights)} weights for {count} future tokens"
                if len(weights) != count
                else "a weight is negative",
                (put("training.mtp.loss_weights", None),),
            )


@rule("weight-of-nothing", "warning")
def weight_of_nothing(subject: Subject) -> Iterator[Problem]:
    """A loss that is on has a weight above zero."""
    losses = subject.config.training.losses
    for name in ("contrastive_loss", "diversity_loss"):
        if getattr(losses, name) and getattr(losses, f"{name}_weight") == 0:
            path = f"training.losses.{name}"
            yield Problem(
                path,
                f"{name} is computed and then multiplied by {name}_weight 0",
                (put(f"{path}_weight", 0.1), put(path, False)),
            )
