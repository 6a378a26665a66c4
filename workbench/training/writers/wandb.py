"""Metrics at Weights & Biases; its key comes from the environment or its own login."""

from __future__ import annotations

import hashlib
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.runs.directory import RunDir


class WeightsAndBiases:
    """Sends rows; with ``offline`` it keeps them in the run's directory, for ``wandb sync``.

    Args:
        config: The run's config, which is sent along.
        run: The run directory.
    """

    def __init__(self, config: Config, run: RunDir) -> None:
        self.config = config
        self.run = run

    def open(self) -> None:
        """Begin or go on with the run there.

        Raises:
            RuntimeError: The package is not installed.
        """
        try:
            wandb: Any = importlib.import_module("wandb")
        except ImportError:
            raise RuntimeError("it is not installed: pip install 'ava-workbench[wandb]'") from None
        section = self.config.logging.wandb
        self._run = wandb.init(
            project=section.project,
            entity=section.entity,
            name=section.name or self.run.name,
            group=section.group,
            job_type=section.job_type,
            tags=section.tags,
            notes=section.notes,
            dir=str(self.run.path),
            config=self.config.model_dump(mode="json"),
            mode="offline" if section.offline else "online",
            # The same id in every attempt is what makes a resumed run one curve.
            id=hashlib.blake2b(str(self.run.path).encode(), digest_size=8).hexdigest(),
            resume=section.resume_policy,
            save_code=section.save_code,
        )

    def write(self, row: dict[str, Any]) -> None:
        """Take one row."""
        numbers = {name: value for name, value in row.items() if name not in ("step", "t")}
        self._run.log(numbers, step=row["step"])

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()
