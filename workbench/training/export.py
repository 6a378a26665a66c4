"""A run's weights as a folder that transformers opens: ``python -m workbench.training.export``.

    python -m workbench.training.export runs/my-run -o my-model [--step 2000] [--dtype bf16]

Reads the newest checkpoint that verifies, or that of a step, one tensor at a time; the run is not
touched. Exit codes: 0 written, 1 it could not be, 2 the command or the run's config is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError

from workbench.config.schema import Config
from workbench.errors import CheckpointError, ConfigError, WorkbenchError
from workbench.models.huggingface import save_weights
from workbench.models.huggingface.files import WEIGHTS, WeightFiles
from workbench.runs.directory import RunDir
from workbench.training.checkpoint import Checkpoints, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class StoredWeights(Mapping[str, torch.Tensor]):
    """The tensors of a checkpoint by name, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.files = WeightFiles(folder / WEIGHTS)

    def __getitem__(self, name: str) -> torch.Tensor:
        (tensor,) = self.files.read([name])
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.files.entries)

    def __len__(self) -> int:
        return len(self.files.entries)


def export_run(
    run: RunDir, directory: Path, *, step: int | None = None, dtype: torch.dtype = torch.float32
) -> Path:
    """Write the weights of a run for transformers.

    Args:
        run: The run.
        directory: A folder that does not exist yet, or an empty one.
        step: Which checkpoint; None takes the newest good one.
        dtype: Of the numbers in the files.

    Returns:
        The checkpoint that was read.

    Raises:
        ConfigError: The run's network cannot be written for transformers.
        CheckpointError: There is no good checkpoint, or the folder cannot be written.
    """
    try:
        config = Config.model_validate(run.config())
    except ValidationError as error:
        raise ConfigError(
            "the config of this run cannot be used",
            where=str(run.config_path),
            why=str(error.errors(include_url=False)[0]["msg"]),
            fix="export it with the version that trained it",
        ) from None
    checkpoint = _find(run, step)
    save_weights(config.model, StoredWeights(checkpoint), directory, dtype=dtype)
    return checkpoint


def _find(run: RunDir, step: int | None) -> Path:
    problems = []
    found = Checkpoints(run.checkpoints_dir, 0, lambda *_: None)
    for path in found.newest_first():
        if step is None or path.name == f"step-{step:08d}":
            if (problem := verify(path)) is None:
                return path
            problems.append(f"{path.name}: {problem}")
    wanted = "good checkpoint" if step is None else f"good checkpoint of step {step:,}"
    raise CheckpointError(
        f"the run has no {wanted}",
        where=str(run.checkpoints_dir),
        why="\n".join(problems) or None,
        fix="let the run save one, or name the step of another",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Export a run and say where to."""
    parser = argparse.ArgumentParser(
        prog="python -m workbench.training.export",
        description="Write a run's weights as a folder that transformers opens.",
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--step", type=int, help="which checkpoint; the newest by itself")
    parser.add_argument("--dtype", choices=_DTYPES, default="fp32")
    arguments = parser.parse_args(argv)
    try:
        checkpoint = export_run(
            RunDir(arguments.run_dir),
            arguments.output,
            step=arguments.step,
            dtype=_DTYPES[arguments.dtype],
        )
    except WorkbenchError as error:
        print(error.render(), file=sys.stderr)  # noqa: T201 - stderr is for narration
        return error.exit_code
    print(f"{checkpoint.name} of {arguments.run_dir} is in {arguments.output}")  # noqa: T201 - the result
    return 0


if __name__ == "__main__":
    sys.exit(main())
