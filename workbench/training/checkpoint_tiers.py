"""Where the checkpoints of a run lie: in its directory, and perhaps in memory and in a safe place.

| tier | folder | every | keeps |
|---|---|---|---|
| run | ``checkpoints`` of the run | training.save_steps | save_total_limit, and the best |
| memory | shared memory of this machine | memory_tier.save_steps | the newest two |
| storage | storage_tier.path | storage_tier.save_steps | save_total_limit |

All follow one protocol (`checkpoint`). A run goes on from the newest good one of any tier.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from workbench.errors import CheckpointError, ConfigError
from workbench.runs.directory import name_problem, valid_name
from workbench.runs.tiers import identity, make_memory_folder
from workbench.training.checkpoint import MANIFEST, Checkpoints, Loaded, Retention, read, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.config.schema import Config
    from workbench.runs.directory import RunDir

_IN_MEMORY = 2


class Tier(NamedTuple):
    """One place of checkpoints."""

    name: str
    every: int
    """Steps between two of them; 0 none but the last."""
    checkpoints: Checkpoints


class Tiers:
    """The tiers that a config asks for, the run's own directory first.

    Args:
        run: The run directory.
        config: The run's config.
        on_bad: Told the name and the reason when a checkpoint does not verify.

    Raises:
        ConfigError: The storage tier has no folder, or the namespace is no name.
        RunError: There is no shared memory.
    """

    def __init__(self, run: RunDir, config: Config, on_bad: Callable[[str, str], None]) -> None:
        training, section = config.training, config.checkpointing
        if section.namespace is not None and not valid_name(section.namespace):
            raise ConfigError(
                f"checkpointing.namespace {section.namespace!r} cannot be a folder",
                where="checkpointing.namespace",
                why=name_problem(section.namespace),
                fix="use letters, digits and dashes",
            )
        self._namespace = section.namespace or identity(run)
        self._resume_from = section.resume_from_checkpoint
        self.fresh_start = section.fresh_start

        def place(folder: Path, retention: Retention) -> Checkpoints:
            return Checkpoints(
                folder, retention, on_bad, run=identity(run), own_only=section.fresh_start
            )

        keep_best = max(section.keep_best_n, int(training.load_best_model_at_end))
        best = Retention(training.save_total_limit, keep_best, training.greater_is_better)
        every = training.save_steps if training.save_strategy == "steps" else 0
        self.run = Tier("run", every, place(run.checkpoints_dir, best))
        self.memory: Tier | None = None
        if section.memory_tier.enabled:
            folder = make_memory_folder(self._namespace)
            every = section.memory_tier.save_steps
            self.memory = Tier("memory", every, place(folder, Retention(_IN_MEMORY)))
        self.storage: Tier | None = None
        if section.storage_tier.enabled:
            folder = _storage_folder(section.storage_tier.path) / self._namespace
            every = section.storage_tier.save_steps
            newest = Retention(training.save_total_limit)
            self.storage = Tier("storage", every, place(folder, newest))

    def __iter__(self) -> Iterator[Tier]:
        yield from (tier for tier in (self.memory, self.run, self.storage) if tier is not None)

    def due(self, step: int) -> list[Tier]:
        """Where a checkpoint of this step is to be written."""
        return [tier for tier in self if tier.every and step % tier.every == 0]

    def lasting(self) -> list[Tier]:
        """Where the last checkpoint is to be written."""
        return [tier for tier in self if tier is not self.memory]

    def load(self) -> Loaded | None:
        """Read the newest good checkpoint of any tier; without one, that of another run.

        Raises:
            CheckpointError: The checkpoint of another run is not there or damaged.
        """
        found = [
            (int(path.name[5:]), -order, path, tier.checkpoints)
            for order, tier in enumerate(self)
            for path in tier.checkpoints.newest_first()
        ]
        for _, _, path, checkpoints in sorted(found, key=lambda each: each[:2], reverse=True):
            if problem := verify(path):
                checkpoints.set_aside(path, problem)
                continue
            loaded = read(path, checkpoints.run)
            if loaded.own or not checkpoints.own_only:
                return loaded
        return None if self._resume_from is None else load_from(Path(self._resume_from))

    def clear_leftovers(self) -> None:
        """Delete what an earlier process was writing or deleting when it died."""
        for tier in self:
            tier.checkpoints.clear_leftovers()

    def leave_memory(self) -> None:
        """Give the memory back: the last checkpoint is on disk."""
        if self.memory is not None:
            shutil.rmtree(self.memory.checkpoints.directory, ignore_errors=True)
            with contextlib.suppress(OSError):  # another run has its own there
                self.memory.checkpoints.directory.parent.rmdir()


def load_from(path: Path) -> Loaded:
    """Read a checkpoint of another run: its folder, or the newest of a folder or run.

    Raises:
        CheckpointError: There is none, or none that verifies.
    """
    problem = "there is no such folder"
    for folder in (path, path / "checkpoints"):
        if (folder / MANIFEST).is_file():
            candidates = [folder]
        else:
            candidates = list(Checkpoints(folder, 1, lambda _name, _why: None).newest_first())
        for candidate in candidates:
            if found := verify(candidate):
                problem = f"{candidate.name}: {found}"
            else:
                return read(candidate)._replace(own=False)
        if path.is_dir() and not candidates and problem.startswith("there is no such"):
            problem = "it holds no checkpoint"
    raise CheckpointError(
        "checkpointing.resume_from_checkpoint cannot be used",
        where=str(path),
        why=problem,
        fix="name a checkpoint, such as runs/NAME/checkpoints/step-00000100, or a run's folder",
    )


def _storage_folder(path: str | None) -> Path:
    if path is None or "://" in path:
        raise ConfigError(
            "the storage tier needs a folder",
            where="checkpointing.storage_tier.path",
            why="it is null" if path is None else f"{path} is an address, not a folder",
            fix="name a folder, such as a mounted network disk: "
            "--checkpointing.storage_tier.path DIR",
        )
    return Path(path).expanduser()
