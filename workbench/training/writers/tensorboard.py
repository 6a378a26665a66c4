"""Metrics in TensorBoard's event files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.config.schema.logging.tensorboard import TensorboardConfig
    from workbench.runs.directory import RunDir

FOLDER = "tensorboard"


class TensorBoard:
    """Writes every number of a row under its own name.

    Args:
        config: The section.
        run: The run directory, for where the files go by default.
    """

    def __init__(self, config: TensorboardConfig, run: RunDir) -> None:
        self.folder = (
            run.path / FOLDER
            if config.log_dir is None
            else Path(config.log_dir).expanduser() / run.name
        )

    def open(self) -> None:
        """Make the folder and a file in it.

        Raises:
            RuntimeError: The package is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RuntimeError(
                "it is not installed: pip install 'ava-workbench[tensorboard]'"
            ) from None
        self._writer = SummaryWriter(str(self.folder))

    def write(self, row: dict[str, Any]) -> None:
        """Take one row."""
        for name, value in row.items():
            if name not in ("step", "t"):
                self._writer.add_scalar(name, value, row["step"], walltime=row["t"])

    def close(self) -> None:
        """Bring what is left to the disk."""
        self._writer.close()
