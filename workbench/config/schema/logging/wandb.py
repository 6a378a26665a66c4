"""`logging.wandb`: metrics sent to Weights & Biases too."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key


class WandbConfig(Section):
    """Optional. A run never waits for the network and never fails because of it."""

    NEEDS = "logging.wandb.enabled"

    enabled: bool = key(
        False,
        "Sends metrics and the config to Weights & Biases.",
        changes="your metrics leave the machine",
    )
    offline: bool = key(
        False, "Keeps everything on disk, to be sent later by hand.", changes="files"
    )
    project: str | None = key(None, "Project that the run belongs to; null is the default one.")
    entity: str | None = key(None, "User or team at Weights & Biases that owns the project.")
    name: str | None = key(None, "Name of the run there; null is the run's own name.")
    group: str | None = key(None, "Runs with one group are shown together.")
    job_type: str | None = key(None, "Kind of the run, such as train or eval.")
    tags: list[str] | None = key(None, "Words by which runs are found again there.")
    notes: str | None = key(None, "A longer description of the run for Weights & Biases.")
    log_freq: Whole = key(
        10,
        "Steps between two rows that are sent to Weights & Biases.",
        unit="optimizer steps",
        ge=1,
    )
    resume_policy: Literal["allow", "must", "never", "auto"] = key(
        "allow", "Whether a resumed run goes on in its old curve there."
    )
    save_code: bool = key(
        False,
        "Sends the source files to Weights & Biases too.",
        changes="your code leaves the machine",
    )
    watch: Literal["none", "gradients", "parameters", "all"] = key(
        "none",
        "Histograms of weights or gradients that are sent.",
        changes="slower steps",
        unhonoured="metrics and the config are sent, no histograms",
    )
    cache_size: Whole = key(
        2000, "Rows kept in memory while the network is away.", unit="rows", ge=1
    )
    cache_flush_interval: Whole = key(
        50,
        "Rows after which the cache is written to disk.",
        unit="rows",
        unhonoured="wandb writes each row to its own file at once",
        ge=1,
    )
