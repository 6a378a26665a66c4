"""`training.progressive`: short and easy sequences first."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key


class ProgressiveConfig(Section):
    """How length and difficulty grow."""

    UNHONOURED = NOT_BUILT
    NEEDS = "training.progressive.enabled"

    enabled: bool = key(
        False,
        "Makes the training harder as it goes on: longer sequences, harder texts.",
        changes="time of the early steps",
    )
    enable_sequence_scaling: bool = key(
        False,
        "Starts with short sequences and lengthens them.",
        changes="memory of the early steps",
    )
    initial_seq_length: Whole = key(
        128,
        "Length of the sequences at the beginning of the training.",
        unit="tokens",
        needs="training.progressive.enable_sequence_scaling",
        ge=1,
    )
    final_seq_length: Whole | None = key(
        None,
        "Length of the sequences in the end; null means data.max_length.",
        unit="tokens",
        needs="training.progressive.enable_sequence_scaling",
        ge=1,
    )
    length_schedule: Literal["linear", "exponential", "step"] = key(
        "linear",
        "How the length of the sequences grows.",
        needs="training.progressive.enable_sequence_scaling",
    )
    length_growth_epochs: Whole = key(
        10,
        "Passes over the text until the full length is reached.",
        unit="epochs",
        needs="training.progressive.enable_sequence_scaling",
        ge=1,
    )
    enable_curriculum: bool = key(
        False, "Shows easy texts first and hard ones later.", changes="the order of the data"
    )
    curriculum_metric: Literal["loss", "perplexity", "attention_entropy"] = key(
        "loss",
        "What makes a text difficult.",
        needs="training.progressive.enable_curriculum",
    )
    score_cache_dir: str | None = key(
        None,
        "Folder where difficulty scores are kept for the next run; null keeps none.",
        changes="files",
        needs="training.progressive.enable_curriculum",
    )
