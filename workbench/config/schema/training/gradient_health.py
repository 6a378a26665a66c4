"""`training.gradient_health`: watching the size of the gradients and acting on it."""

from __future__ import annotations

from workbench.config.schema.base import Section, Whole, key


class GradientHealthConfig(Section):
    """A clip that tightens over the warm-up, and a learning rate that yields to explosions."""

    NEEDS = "training.gradient_health.enabled"

    enabled: bool = key(
        False,
        "Watches the gradient norm of every step and reacts to explosions.",
        changes="stability",
    )
    initial_clip_value: float = key(
        2.0,
        "Largest gradient norm at the first step, in place of max_gradient_norm.",
        changes="stability",
        gt=0.0,
    )
    final_clip_value: float = key(
        0.5,
        "Largest gradient norm after warmup_steps; in between the limit moves from one to the "
        "other.",
        changes="stability",
        gt=0.0,
    )
    warmup_steps: Whole = key(
        2000,
        "Steps over which the limit moves from initial_clip_value to final_clip_value.",
        unit="optimizer steps",
        ge=0,
    )
    explosion_threshold: float = key(
        10.0, "A gradient norm above this, before clipping, counts as an explosion.", gt=0.0
    )
    explosion_window: Whole = key(
        5,
        "Explosions are counted over this many latest steps; all of them exploding fills the "
        "window.",
        unit="optimizer steps",
        ge=1,
    )
    auto_reduce_lr: bool = key(
        True,
        "Lowers the learning rate for good when a window is full of explosions, and begins a new "
        "window.",
        changes="stability against speed of learning",
    )
    lr_reduction_factor: float = key(
        0.5,
        "What the learning rate is multiplied by then.",
        ignored="with auto_reduce_lr: false",
        gt=0.0,
        lt=1.0,
    )
    anomaly_detection: bool = key(
        False,
        "Names the operation whose backward pass first gave a non-finite number.",
        changes="about twice the time per step",
    )
    norm_tracking: bool = key(
        False,
        "Writes the gradient norm of every layer, not only the global one; not under DeepSpeed, "
        "which keeps gradients to itself.",
        changes="files",
    )
