"""`training.lr_finder`: a short run that looks for a good learning rate (arXiv 1506.01186)."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key


class LrFinderConfig(Section):
    """The learning rate rises step by step, and the loss curve tells where it was best."""

    NEEDS = "training.lr_finder.enabled"

    enabled: bool = key(
        False,
        "Searches for a good learning rate before the training.",
        changes="num_iterations steps of extra time",
    )
    start_lr: float = key(1e-8, "Learning rate of the first step of the search.", gt=0.0)
    end_lr: float = key(1.0, "Learning rate of the last step of the search.", gt=0.0)
    num_iterations: Whole = key(
        100, "Steps of the search for a learning rate.", unit="optimizer steps", ge=2
    )
    num_runs: Whole = key(
        1, "Searches for a learning rate whose curves are averaged.", unit="searches", ge=1
    )
    suggestion_method: Literal["steepest", "minimum", "valley", "fastai", "combined"] = key(
        "steepest",
        "Which point of the curve is suggested: steepest is where the loss falls fastest, minimum "
        "a tenth of where it is lowest, valley (fastai's) two thirds along the longest fall, "
        "combined the geometric mean of the three.",
    )
    use_suggested_lr: bool = key(
        False, "Trains with the suggestion instead of learning_rate.", changes="the learning rate"
    )
    beta: float = key(0.98, "How strongly the curve is smoothed: 0 not at all.", ge=0.0, lt=1.0)
    stop_div_threshold: float = key(
        4.0, "The search ends when the loss is this many times its lowest value.", gt=1.0
    )
    track_validation: bool = key(
        False, "Follows the loss of the held-out text too.", changes="time of the search"
    )
    momentum_cycling: bool = key(
        False,
        "Lowers the optimizer's momentum (beta1) in a line to 0.85 while the learning rate rises.",
    )
    plot_path: str | None = key(
        None,
        "File for the picture of the curve; null puts it into the run's directory.",
        changes="files",
    )
