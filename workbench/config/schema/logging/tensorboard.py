"""`logging.tensorboard`: metrics in TensorBoard's files too."""

from __future__ import annotations

from workbench.config.schema.base import Section, key


class TensorboardConfig(Section):
    """Optional; nothing leaves the machine."""

    NEEDS = "logging.tensorboard.enabled"

    enabled: bool = key(False, "Writes TensorBoard files beside our own.", changes="files")
    log_dir: str | None = key(
        None, "Folder for them; null is the run's directory.", changes="files"
    )
