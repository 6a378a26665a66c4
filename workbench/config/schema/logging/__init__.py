"""`logging`: what is told while a run goes on. Files are always written; the rest is extra."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.config.schema.base import Section, key
from workbench.config.schema.logging.tensorboard import TensorboardConfig
from workbench.config.schema.logging.wandb import WandbConfig


class LoggingConfig(Section):
    """Level of detail, and services to send metrics to."""

    level: Literal["debug", "info", "warning", "error"] = key(
        "info",
        "How much the trainer tells: debug everything, error only what went wrong.",
        changes="size of the log",
    )
    loss_smoothing: float = key(
        0.9,
        "Memory of the smoothed loss in the run's picture and summary; 0 shows the raw one.",
        changes="how the curve looks; the files keep the raw loss",
        ge=0.0,
        lt=1.0,
    )
    wall_clock_breakdown: bool = key(
        False,
        "Measures the parts of a step apart: data, forward, backward, optimizer.",
        changes="slower steps; for finding out where time goes",
    )
    memory_breakdown: bool = key(
        False,
        "Writes the memory in use after each part of a step.",
        changes="slower steps; for finding out where memory goes",
    )
    tensorboard: TensorboardConfig = Field(default_factory=TensorboardConfig)
    wandb: WandbConfig = Field(default_factory=WandbConfig)
