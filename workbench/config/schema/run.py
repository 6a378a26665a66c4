"""`run`: the run's name, place, seed and device."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key


class RunConfig(Section):
    """Where and how the run itself happens."""

    name: str | None = key(
        None,
        "Name of the run and of its directory; null makes one from the recipe and the time.",
        changes="files",
        max_length=80,
    )
    runs_dir: str = key("runs", "Folder that holds the run directories.", changes="files")
    seed: Whole = key(
        1234, "Seed of the initial weights, dropout and samples.", changes="reproducibility", ge=0
    )
    device: Literal["auto", "cpu", "cuda"] = key(
        "auto", "Where to compute; auto takes a CUDA device when torch finds one."
    )
    threads: Whole = key(
        0,
        "CPU threads for the computation; 0 takes the cores this process may use. Results are "
        "bitwise equal only at equal threads.",
        unit="threads",
        ge=0,
    )
    hardware: str | None = key(
        None,
        "Hardware that the plan is made for: the name of a profile such as h100_80gb; null is this "
        "machine, about which nothing is assumed.",
        changes="the findings and estimates; not the training",
        max_length=80,
    )
    objective: Literal["pretrain", "finetune", "rlhf", "test"] | None = key(
        None,
        "What the run is for; null does not say. Some advice depends on it, such as the right size "
        "of the learning rate.",
        changes="the findings; not the training",
    )
    deterministic: bool = key(
        True,
        "Refuses operations whose result may differ from one run to the next.",
        changes="speed on a GPU; reproducibility",
        unhonoured="the trainer always is deterministic so far",
    )
    description: str | None = key(
        None, "What you want to find out, in your own words.", changes="files", max_length=4096
    )
    tags: list[str] | None = key(None, "Words by which runs are found again.", changes="files")
    queue: bool = key(
        False,
        "Waits until the devices of this machine are free, in the order of arrival, instead of "
        "starting at once.",
        changes="when the run begins; not the training",
    )
    max_restarts: Whole = key(
        3,
        "Restarts in a row without a new checkpoint, after a failure that may pass such as a "
        "killed process. Each goes on from the last good checkpoint, after 1, 5 and then 25 "
        "seconds; 0 never restarts.",
        unit="restarts",
        changes="what happens after a failure; not the training",
        ge=0,
        le=1000,
    )
