"""The checkpoints of a run as a face sees them: listed, verified and pruned, without torch.

What makes a checkpoint good is written in its manifest, a sealed JSON file with the size and the
hash of every other file; see `workbench.training.checkpoint`, which writes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import RunError, UsageError
from workbench.runs import process
from workbench.runs.files import explain, read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.runs.directory import RunDir

MANIFEST: Final = "MANIFEST.json"
_NAME: Final = re.compile(r"step-(\d{8,})", re.ASCII)
_LEFTOVERS: Final = (".tmp-", ".del-", ".bad-")
_DAMAGE: Final = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint on disk.

    Attributes:
        name: Its directory's name.
        step: The step after which it was written.
        bytes: What it takes on disk.
        t: When it was completed, in seconds since the epoch.
        problem: What a look at it has found wrong; None when nothing has.
        path: Where it is.
    """

    name: str
    step: int
    bytes: int
    t: float
    problem: str | None
    path: str


def list_checkpoints(run: RunDir, *, hashes: bool = False) -> list[Checkpoint]:
    """All checkpoints, newest first.

    Args:
        run: The run.
        hashes: Read every byte and compare its hash; else only sizes are compared.
    """
    found = []
    for path, step in _newest_first(run.checkpoints_dir):
        try:
            sizes = [item.stat().st_size for item in path.rglob("*") if item.is_file()]
            changed = path.stat().st_mtime
        except OSError:
            continue  # let go of at this moment
        problem = verify(path, hashes=hashes)
        found.append(Checkpoint(path.name, step, sum(sizes), changed, problem, str(path)))
    return found


def verify(path: Path, *, hashes: bool = True) -> str | None:
    """What is wrong with a checkpoint; None when it is as it was written."""
    try:
        for name, (size, digest) in _manifest(path)["files"].items():
            if problem := _problem_of(path, name, size, digest if hashes else None):
                return problem
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except OSError as error:
        return f"cannot be read ({explain(error)})"
    except _DAMAGE as error:
        return f"{MANIFEST} is damaged ({error})"
    return None


def _problem_of(folder: Path, name: str, size: int, digest: str | None) -> str | None:
    """What is wrong with one file of a checkpoint; without a digest only its size is compared."""
    path = folder / name
    if folder.resolve() not in path.resolve().parents:
        return f"{MANIFEST} is damaged (it names {name})"
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return f"{name} is no file"
    if status.st_size != size:
        return f"{name} has {status.st_size:,} bytes, not {size:,}"
    if digest is not None and _hash(path) != digest:
        return f"{name} has changed since it was written"
    return None


def prune(run: RunDir, *, keep: int, leftovers: bool = True) -> list[str]:
    """Delete all but the newest good checkpoints, the damaged, and what was left half-done.

    Nothing good is counted that does not verify to the last byte. It vanishes by a rename first, so
    that a kill in between leaves no half a checkpoint.

    Args:
        run: The run; it must not be running, for a trainer lets go of its checkpoints itself.
        keep: How many good ones stay, at least 1.
        leftovers: Also delete what did not verify, and what was being written or deleted.

    Returns:
        The names of what was deleted.

    Raises:
        UsageError: `keep` is below 1.
        RunError: The run is running, or the disk or its rights do not allow it.
    """
    if keep < 1:
        raise UsageError("at least one good checkpoint stays", fix="ava runs rm deletes all of it")
    lock = process.try_lock(run.lock_path)
    if lock is None:
        raise RunError(
            f"{run.name} is running, and lets go of its checkpoints itself",
            where=str(run.checkpoints_dir),
            fix="training.save_total_limit says how many it keeps",
        )
    from shutil import rmtree

    deleted = []
    try:
        good = 0
        doomed: list[Path] = []
        for path, _ in _newest_first(run.checkpoints_dir):
            if verify(path) is not None:
                doomed += [path] if leftovers else []
            else:
                good += 1
                doomed += [path] if good > keep else []
        if not good:
            return []  # nothing that is good: a person may still save something from the rest
        if leftovers:
            doomed += [p for p in _entries(run.checkpoints_dir) if p.name.startswith(_LEFTOVERS)]
        for path in doomed:
            gone = path.with_name(f".del-{path.name.lstrip('.')}-{os.urandom(4).hex()}")
            path.rename(gone)
            rmtree(gone)
            deleted.append(path.name)
    except OSError as error:
        raise RunError(
            "a checkpoint cannot be deleted",
            where=str(error.filename or run.checkpoints_dir),
            why=explain(error),
        ) from None
    finally:
        os.close(lock)
    return deleted


def _newest_first(folder: Path) -> Iterator[tuple[Path, int]]:
    named = [(path, match) for path in _entries(folder) if (match := _NAME.fullmatch(path.name))]
    for path, match in sorted(named, key=lambda item: int(item[1][1]), reverse=True):
        yield path, int(match[1])


def _entries(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    return []


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint, if it can be one.

    Raises:
        ValueError: It cannot.
    """
    import xxhash

    raw = read_bytes(path / MANIFEST)
    manifest: dict[str, Any] = json.loads(raw)
    body = {key: value for key, value in manifest.items() if key != "seal"}
    if manifest["seal"] != xxhash.xxh3_128_hexdigest(_canonical(body)) or raw != _canonical(
        manifest
    ):
        raise ValueError("not as it was written")
    match = _NAME.fullmatch(path.name)
    if match is not None and int(match[1]) != manifest["step"]:
        raise ValueError(f"it is of step {manifest['step']}")
    if not manifest["files"]:
        raise ValueError("it lists no files")
    return manifest


def _canonical(data: dict[str, Any]) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def _hash(path: Path) -> str:
    import xxhash

    digest = xxhash.xxh3_128()
    buffer = bytearray(2**20)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
    return digest.hexdigest()
