"""Checkpoints that are either whole or not there.

A checkpoint is written into ``.tmp-*`` beside its target, every file is flushed to disk, a manifest
with the size and hash of each file comes last, and one rename makes it visible. Only a directory
whose manifest verifies is ever loaded or counted. A name that begins with a dot is never read:
``.tmp-*`` is being written, ``.del-*`` is being deleted, ``.bad-*`` did not verify and is kept for
whoever wants to know why.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import time
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
_FILES = ("model.safetensors", "optimizer.safetensors", "state.json")
_NAME = re.compile(r"step-(\d{8,})")
_LEFTOVERS = (".tmp-", ".del-")


class Saved(NamedTuple):
    """A checkpoint that was written."""

    path: Path
    bytes: int
    seconds: float


class Loaded(NamedTuple):
    """A checkpoint that was read."""

    path: Path
    tensors: dict[str, dict[str, torch.Tensor]]
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        directory: Where they are.
        keep: How many verified ones to keep.
        on_bad: Told the name and the reason when one does not verify.
    """

    def __init__(self, directory: Path, keep: int, on_bad: Callable[[str, str], None]) -> None:
        self.directory = directory
        self.keep = keep
        self.on_bad = on_bad

    def save(
        self, step: int, tensors: dict[str, dict[str, torch.Tensor]], state: dict[str, Any]
    ) -> Saved:
        """Write the checkpoint of a step, then let go of the oldest.

        Args:
            step: The step just done.
            tensors: One set per file: ``model`` and ``optimizer``.
            state: Everything else, JSON-ready.

        Raises:
            CheckpointError: It could not be written; the ones before are untouched.
        """
        began = time.monotonic()
        target = self.directory / _name(step)
        temporary = self.directory / f".tmp-{step:08d}-{secrets.token_hex(4)}"
        try:
            temporary.mkdir(parents=True)
            written = _write(temporary, step, tensors, state)
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
        for path in self._newest_first():
            if problem := verify(path):
                self._set_aside(path, problem)
                continue
            return Loaded(
                path,
                {
                    name.removesuffix(".safetensors"): load_file(path / name)
                    for name in _FILES
                    if name.endswith(".safetensors")
                },
                json.loads((path / "state.json").read_bytes()),
            )
        return None

    def clear_leftovers(self) -> None:
        """Delete what an earlier process was writing or deleting when it died."""
        if self.directory.is_dir():
            for path in self.directory.iterdir():
                if path.name.startswith(_LEFTOVERS):
                    shutil.rmtree(path, ignore_errors=True)

    def _commit(self, temporary: Path, target: Path) -> None:
        if target.exists():
            # The step was saved before: by an attempt that went back past it. A good one stays, for
            # it is the same; a bad one makes room.
            problem = verify(target)
            if problem is None:
                return
            self._set_aside(target, problem)
        temporary.rename(target)
        _flush_directory(self.directory)

    def _let_go(self) -> None:
        """Delete the oldest, renaming first so that a kill half-way leaves nothing half-there."""
        good = 0
        for path in self._newest_first():
            if good >= self.keep:
                with contextlib.suppress(OSError):
                    doomed = self.directory / f".del-{path.name}-{secrets.token_hex(4)}"
                    path.rename(doomed)
                    shutil.rmtree(doomed, ignore_errors=True)
            elif problem := verify(path):
                self._set_aside(path, problem)
            else:
                good += 1

    def _set_aside(self, path: Path, problem: str) -> None:
        self.on_bad(path.name, problem)
        with contextlib.suppress(OSError):  # a read-only disk: it will be found bad again
            path.rename(self.directory / f".bad-{path.name}-{secrets.token_hex(4)}")

    def _newest_first(self) -> Iterator[Path]:
        if self.directory.is_dir():
            names = [path.name for path in self.directory.iterdir() if _NAME.fullmatch(path.name)]
            for name in sorted(names, key=lambda name: int(name[5:]), reverse=True):
                yield self.directory / name


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
    if sorted(manifest["files"]) != sorted(_FILES):
        raise ValueError("it lists other files")
    return manifest


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _write(
    folder: Path, step: int, tensors: dict[str, dict[str, torch.Tensor]], state: dict[str, Any]
) -> int:
    for name, values in tensors.items():
        save_file(
            {key: value.detach() for key, value in values.items()}, folder / f"{name}.safetensors"
        )
    (folder / "state.json").write_bytes(_canonical(state))
    files: dict[str, tuple[int, str]] = {}
    for name in _FILES:
        _flush(folder / name)
        files[name] = ((folder / name).stat().st_size, _hash(folder / name))
    manifest = _sealed({"schema": _SCHEMA, "step": step, "files": files})
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


def _bytes_of(tensors: dict[str, dict[str, torch.Tensor]]) -> int:
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
