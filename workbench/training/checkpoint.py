"""Checkpoints that are either whole or not there.

A checkpoint is written into ``.tmp-*`` beside its target, every file is flushed to disk, a manifest
with the size and hash of each file comes last, and one rename makes it visible. Only a directory
whose manifest verifies is ever loaded or counted. A name that begins with a dot is never read:
``.tmp-*`` is being written, ``.del-*`` is being deleted, ``.bad-*`` did not verify and is kept for
whoever wants to know why, ``.other-*`` is one of another run that stood in the way.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import xxhash
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from workbench import units
from workbench.errors import CheckpointError
from workbench.runs.files import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

MANIFEST = "MANIFEST.json"
_SCHEMA = 1
_STATE = "state.json"
_NAME = re.compile(r"step-(\d{8,})", re.ASCII)
_FILE = re.compile(r"state\.json|[a-z][a-z_]*\.safetensors", re.ASCII)
_LEFTOVERS = (".tmp-", ".del-")

Tensors = dict[str, dict[str, "torch.Tensor"]]
"""One set of tensors per file: ``model``, ``optimizer`` and perhaps ``ema``."""


class Saved(NamedTuple):
    """A checkpoint that was written."""

    path: Path
    bytes: int
    seconds: float


class Loaded(NamedTuple):
    """A checkpoint that was read."""

    path: Path
    tensors: Tensors
    state: dict[str, Any]
    own: bool = True
    """Whether this very run wrote it."""


class Facts(NamedTuple):
    """What a manifest tells about a checkpoint beside its files."""

    run: str
    """The run that wrote it."""
    score: float | None
    """What says how good it is; None when it was not evaluated at its step."""


@dataclass(frozen=True)
class Retention:
    """Which checkpoints stay.

    Attributes:
        last: So many of the newest.
        best: And so many of those with the best score.
        greater_is_better: Whether a larger score is the better one.
    """

    last: int
    best: int = 0
    greater_is_better: bool = False

    def keep(self, scores: list[float | None]) -> set[int]:
        """The places to keep, given the scores of good checkpoints, newest first."""
        sign = -1.0 if self.greater_is_better else 1.0
        ranked = sorted(
            (sign * score, place)
            for place, score in enumerate(scores)
            if score is not None and math.isfinite(score)
        )
        return {*range(min(self.last, len(scores))), *(place for _, place in ranked[: self.best])}


class Checkpoints:
    """The checkpoints of one run in one folder.

    Args:
        directory: Where they are.
        keep: How many verified ones to keep, or which.
        on_bad: Told the name and the reason when one does not verify.
        run: The identity of the run, for a folder that several runs may share.
        own_only: See none but those of this run.
    """

    def __init__(
        self,
        directory: Path,
        keep: int | Retention,
        on_bad: Callable[[str, str], None],
        *,
        run: str = "",
        own_only: bool = False,
    ) -> None:
        self.directory = directory
        self.retention = keep if isinstance(keep, Retention) else Retention(keep)
        self.on_bad = on_bad
        self.run = run
        self.own_only = own_only

    def save(
        self,
        step: int,
        tensors: Tensors,
        state: dict[str, Any],
        *,
        score: float | None = None,
    ) -> Saved:
        """Write the checkpoint of a step, then let go of those that need not stay.

        Args:
            step: The step just done.
            tensors: One set per file: ``model``, and perhaps others.
            state: Everything else, JSON-ready.
            score: How good it is, if it was evaluated.

        Raises:
            CheckpointError: It could not be written; the ones before are untouched.
        """
        began = time.monotonic()
        target = self.directory / _name(step)
        temporary = self.directory / f".tmp-{step:08d}-{secrets.token_hex(4)}"
        try:
            temporary.mkdir(parents=True, mode=0o700)
            written = _write(temporary, step, tensors, state, Facts(self.run, score))
            self._commit(temporary, target)
        except (OSError, SafetensorError) as error:
            needed = _bytes_of(tensors)
            raise _cannot_save(step, self.directory, needed, error) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._let_go()
        return Saved(target, written, time.monotonic() - began)

    def load_newest(self) -> Loaded | None:
        """Read the newest checkpoint that verifies; None when there is none.

        Those that do not verify are reported and set aside.
        """
        return next((read(path, self.run) for path in self.newest_good_first()), None)

    def load_step(self, step: int) -> Loaded | None:
        """Read the checkpoint of a step; None when it is not there or does not verify."""
        path = self.directory / _name(step)
        good = path in self.newest_good_first()
        return read(path, self.run) if good else None

    def newest_good_first(self) -> Iterator[Path]:
        """The checkpoints that verify, newest first; those that do not are set aside."""
        for path in self.newest_first():
            if problem := verify(path):
                self.set_aside(path, problem)
            elif not self.own_only or facts(path).run == self.run:
                yield path

    def newest_first(self) -> Iterator[Path]:
        """All that are named like a checkpoint, newest first."""
        if self.directory.is_dir():
            names = [path.name for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]
            for name in sorted(names, key=lambda name: int(name[5:]), reverse=True):
                yield self.directory / name

    def clear_leftovers(self) -> None:
        """Delete what an earlier process was writing or deleting when it died."""
        if self.directory.is_dir():
            for path in self.directory.iterdir():
                if path.name.startswith(_LEFTOVERS):
                    shutil.rmtree(path, ignore_errors=True)

    def set_aside(self, path: Path, problem: str) -> None:
        """Take a checkpoint that does not verify out of sight, and say so."""
        self.on_bad(path.name, problem)
        self._hide(path, "bad")

    def _commit(self, temporary: Path, target: Path) -> None:
        if target.exists():
            # The step was saved before: by an attempt that went back past it. A good one stays, for
            # it is the same; a bad one makes room.
            problem = verify(target)
            if problem is not None:
                self.set_aside(target, problem)
            elif facts(target).run != self.run:
                self._hide(target, "other")
            else:
                return
        temporary.rename(target)
        _flush_directory(self.directory)

    def _let_go(self) -> None:
        """Delete what need not stay, renaming first: a kill half-way leaves nothing half-there."""
        good = list(self.newest_good_first())
        stays = self.retention.keep([facts(path).score for path in good])
        for place, path in enumerate(good):
            if place not in stays:
                with contextlib.suppress(OSError):
                    doomed = self.directory / f".del-{path.name}-{secrets.token_hex(4)}"
                    path.rename(doomed)
                    shutil.rmtree(doomed, ignore_errors=True)

    def _hide(self, path: Path, why: str) -> None:
        with contextlib.suppress(OSError):  # a read-only disk: it will be found again
            path.rename(self.directory / f".{why}-{path.name}-{secrets.token_hex(4)}")


def read(path: Path, run: str = "") -> Loaded:
    """Read a checkpoint that has been verified."""
    names = _manifest(path)["files"]
    return Loaded(
        path,
        {
            name.removesuffix(".safetensors"): load_file(path / name)
            for name in names
            if name.endswith(".safetensors")
        },
        json.loads((path / _STATE).read_bytes()),
        own=facts(path).run == run,
    )


def facts(path: Path) -> Facts:
    """What the manifest of a verified checkpoint tells beside its files."""
    manifest = _manifest(path)
    return Facts(manifest.get("run", ""), manifest.get("score"))


def verify(path: Path) -> str | None:
    """What is wrong with a checkpoint; None when every byte is as it was written."""
    try:
        for name, (size, digest) in _manifest(path)["files"].items():
            if (found := (path / name).stat().st_size) != size:
                return f"{name} has {found:,} bytes, not {size:,}"
            if _hash(path / name) != digest:
                return f"{name} has changed since it was written"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        return f"{MANIFEST} is damaged ({error})"
    return None


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, if it can be one.

    Raises:
        ValueError: It cannot.
    """
    raw = (path / MANIFEST).read_bytes()
    manifest: dict[str, Any] = json.loads(raw)
    # Written in one canonical form and with its own hash, so that no changed byte goes unnoticed,
    # and none is blamed on another file.
    if raw != _sealed({key: value for key, value in manifest.items() if key != "seal"}):
        raise ValueError("not as it was written")
    if manifest["schema"] != _SCHEMA:
        raise ValueError(f"schema {manifest['schema']}, and this version reads {_SCHEMA}")
    if path.name != _name(manifest["step"]):
        raise ValueError(f"it is of step {manifest['step']}")
    names = set(manifest["files"])
    if not {_STATE, "model.safetensors"} <= names or not all(map(_FILE.fullmatch, names)):
        raise ValueError("it lists other files")
    return manifest


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _write(folder: Path, step: int, tensors: Tensors, state: dict[str, Any], told: Facts) -> int:
    for name, values in tensors.items():
        save_file(
            {key: value.detach() for key, value in values.items()}, folder / f"{name}.safetensors"
        )
    (folder / _STATE).write_bytes(_canonical(state))
    files: dict[str, tuple[int, str]] = {}
    for name in (*(f"{name}.safetensors" for name in tensors), _STATE):
        _flush(folder / name)
        files[name] = ((folder / name).stat().st_size, _hash(folder / name))
    manifest = _sealed({"schema": _SCHEMA, "step": step, "files": files, **told._asdict()})
    (folder / MANIFEST).write_bytes(manifest)
    _flush(folder / MANIFEST)
    _flush_directory(folder)
    return len(manifest) + sum(size for size, _ in files.values())


def _canonical(data: dict[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _sealed(manifest: dict[str, Any]) -> bytes:
    return _canonical(manifest | {"seal": xxhash.xxh3_128_hexdigest(_canonical(manifest))})


def _hash(path: Path) -> str:
    digest = xxhash.xxh3_128()
    buffer = bytearray(2**20)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
    return digest.hexdigest()


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _bytes_of(tensors: Tensors) -> int:
    return sum(int(value.nbytes) for values in tensors.values() for value in values.values())


def _cannot_save(
    step: int, directory: Path, needed: int, error: OSError | SafetensorError
) -> CheckpointError:
    if not isinstance(error, OSError):  # safetensors tells the number in its text only
        number = re.search(r"os error (\d+)", str(error))
        error = OSError(int(number[1]) if number else 0, str(error))
    why = explain(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        with contextlib.suppress(OSError):
            free = units.size(shutil.disk_usage(directory).free)
            why += f": the checkpoint takes {units.size(needed)}, {free} are free"
    return CheckpointError(
        f"the checkpoint of step {step:,} could not be written",
        where=str(directory),
        why=why,
        fix="make room there, for example by deleting old runs (ava runs rm NAME),\n"
        "or choose another disk for new runs: --runs_dir DIR",
    )
