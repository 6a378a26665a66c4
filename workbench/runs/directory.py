"""The run directory: where everything lies, and how runs are made, found and deleted."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench import __version__
from workbench.errors import RunError, UsageError
from workbench.runs import process
from workbench.runs.files import (
    atomic_write_json,
    atomic_write_text,
    explain,
    parse_line,
    read_json,
    sync_directory,
    tail_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_FOLDERS: Final = ("metrics", "attempts", "checkpoints", "samples", "inbox")
_LEFTOVER_SECONDS: Final = 3600


class RunDir:
    """One run on disk. Nothing is read before it is asked for.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - a link stays a link: delete_run asks
        self.name = self.path.name
        self.metrics_dir = self.path / "metrics"
        self.attempts_dir = self.path / "attempts"
        self.checkpoints_dir = self.path / "checkpoints"
        self.samples_dir = self.path / "samples"
        self.inbox = self.path / "inbox"
        self.meta_path = self.path / "run.json"
        self.config_path = self.path / "config.resolved.json"
        self.environment_path = self.path / "environment.json"
        self.log_path = self.path / "training.log"
        self.validation_path = self.path / "validation.txt"
        self.curves_path = self.path / "training_curves.png"
        self.summary_path = self.path / "summary.json"
        self.events_path = self.path / "events.jsonl"
        self.lock_path = self.path / "lock"
        self.supervisor_log_path = self.path / "supervisor.log"
        self.heartbeat_path = self.path / "heartbeat.json"
        self.estimate_path = self.path / "estimate.json"
        self.labels_path = self.path / "labels.json"
        self.notes_path = self.path / "notes.jsonl"
        self.cache_path = self.path / "cache"

    def __repr__(self) -> str:
        return f"RunDir({str(self.path)!r})"

    def meta(self) -> dict[str, Any]:
        """What ``run.json`` says.

        Raises:
            RunError: The directory is no run, or the file is damaged.
        """
        return self._read(self.meta_path)

    def config(self) -> dict[str, Any]:
        """The resolved config.

        Raises:
            RunError: The directory is no run, or the file is damaged.
        """
        return self._section("config")

    def origins(self) -> dict[str, Any]:
        """Where each value of the config came from.

        Raises:
            RunError: The directory is no run, or the file is damaged.
        """
        return self._section("origins")

    def attempts(self) -> list[int]:
        """The numbers of the attempts, oldest first."""
        try:
            names = [path.name for path in self.attempts_dir.iterdir()]
        except OSError:
            return []
        return sorted(int(name) for name in names if re.fullmatch(r"\d{4,9}", name, re.ASCII))

    def attempt_dir(self, attempt: int) -> Path:
        """Where an attempt keeps what it printed and how it ended."""
        return self.attempts_dir / f"{attempt:04d}"

    def metrics_path(self, attempt: int) -> Path:
        """The metrics of an attempt."""
        return self.metrics_dir / f"{attempt:04d}.jsonl"

    def attempt_events_path(self, attempt: int) -> Path:
        """The trainer's events of an attempt."""
        return self.attempt_dir(attempt) / "events.jsonl"

    def output_path(self, attempt: int) -> Path:
        """What the trainer printed in an attempt, from the first byte."""
        return self.attempt_dir(attempt) / "out.log"

    def trainer(self, attempt: int) -> process.Identity | None:
        """The process that trains, or has trained, in an attempt."""
        for line in tail_bytes(self.events_path):
            event = parse_line(line)
            if event.get("event") == "attempt" and event.get("attempt") == attempt:
                return process.Identity.from_dict(event)
        return None

    def _section(self, key: str) -> dict[str, Any]:
        section = self._read(self.config_path).get(key)
        if not isinstance(section, dict):
            raise RunError(f"the run has no {key}", where=str(self.config_path), why="damaged file")
        return section

    def _read(self, path: Path) -> dict[str, Any]:
        data = read_json(path)
        if not data:
            raise RunError(
                f"{self.name} is no run, or a damaged one",
                where=str(path),
                why="the file holds no JSON object" if path.exists() else "the file is missing",
            )
        return data


def name_problem(name: str) -> str | None:
    """What is wrong with a run's name; None when nothing is."""
    if not name:
        return "it is empty"
    if len(name) > 80:
        return f"it has {len(name)} characters, 80 are allowed"
    if not _NAME.fullmatch(name):
        return "only A-Z a-z 0-9 . _ - are allowed, and a letter or digit first"
    return None


def valid_name(name: str) -> bool:
    """Whether a run may have this name: it is also a folder's name, in every shell and system."""
    return name_problem(name) is None


def create_run(
    runs_dir: Path,
    name: str | None,
    *,
    config: dict[str, Any],
    origins: dict[str, Any],
    config_yaml: str,
    meta: dict[str, Any],
    estimate: dict[str, Any] | None = None,
) -> RunDir:
    """Make the directory of a new run.

    It is built under a hidden name and renamed, so that it is there whole or not at all. The rename
    also decides between two processes that ask for one name: it cannot replace a run.

    Args:
        runs_dir: The folder of all runs; made when missing.
        name: The run's name; None makes one of recipe and time.
        config: The resolved config.
        origins: Where each value came from.
        config_yaml: The resolved config as a person reads it.
        meta: What else ``run.json`` tells: recipe, title, command, stack.
        estimate: What was predicted, to be laid beside what is measured; None when nothing was.

    Raises:
        UsageError: The name is not allowed.
        RunError: The name is taken, or the disk does not allow it. Nothing is left behind.
    """
    if name is not None and (problem := name_problem(name)):
        raise UsageError(
            f"a run cannot be named {name!r}", why=problem, fix="choose another name: --name NAME"
        )
    if name is not None and os.path.lexists(runs_dir / name):
        raise _taken(runs_dir / name)  # before anything else that may be wrong, as a full disk
    made: list[Path] = []
    try:
        runs_dir = runs_dir.absolute()
        made = _make_folder(runs_dir)
        _collect_leftovers(runs_dir)
        names = iter([name]) if name is not None else _automatic_names(meta.get("recipe"))
        building = runs_dir / f".new-{os.urandom(6).hex()}"
        try:
            building.mkdir(mode=0o700)
            for folder in _FOLDERS:
                (building / folder).mkdir(mode=0o700)
            atomic_write_text(building / "config.yaml", config_yaml)
            atomic_write_json(
                building / "config.resolved.json",
                {"schema": SCHEMA, "config": config, "origins": origins},
                masked=False,
            )
            if estimate is not None:
                atomic_write_json(building / "estimate.json", {"schema": SCHEMA, **estimate})
            return _publish(building, names, meta)
        except BaseException:
            _remove_tree(building)
            raise
    except BaseException as error:
        _remove_empty(made)
        if not isinstance(error, OSError):
            raise
        raise RunError(
            "the run's directory cannot be made",
            where=str(runs_dir),
            why=explain(error),
            fix="make room, or choose another folder: --runs_dir DIR"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "choose another folder: --runs_dir DIR",
        ) from None


def _publish(building: Path, names: Iterator[str], meta: dict[str, Any]) -> RunDir:
    """Give the finished directory the first name that is free."""
    now = time.time()
    facts = {
        "schema": SCHEMA,
        "name": "",
        "created": now,
        "created_iso": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now)),
        "recipe": None,
        "title": None,
        "command": [],
        "stack": [],
        "workbench_version": __version__,
        "python": sys.version.split()[0],
        **meta,
    }
    for name in names:
        target = building.with_name(name)
        if not os.path.lexists(target):
            atomic_write_json(building / "run.json", facts | {"schema": SCHEMA, "name": name})
            try:
                building.rename(target)
            except OSError:
                if not os.path.lexists(target):
                    raise
            else:
                sync_directory(target.parent)
                return RunDir(target)
    raise _taken(target)


def _taken(place: Path) -> RunError:
    name = place.name
    if not (place / "run.json").exists():
        return RunError(
            f"the name {name} is taken by something that is no run",
            where=str(place),
            fix="choose another name: --name NAME",
        )
    return RunError(
        f"there is already a run named {name}",
        where=str(place),
        fix=f"choose another name: --name NAME\ngo on with that run: ava train --resume {name}"
        f"\nor delete it: ava runs rm {name}",
    )


def _automatic_names(recipe: object) -> Iterator[str]:
    first = recipe if isinstance(recipe, str) and valid_name(recipe) else "run"
    stem = f"{first[:60]}-{time.strftime('%Y%m%d-%H%M%S')}"
    yield stem
    for number in itertools.count(2):
        yield f"{stem}-{number}"


def _remove_tree(path: Path) -> None:
    from shutil import rmtree

    rmtree(path, ignore_errors=True)


def _make_folder(path: Path) -> list[Path]:
    """Make a folder and its parents; returns those that were missing, innermost first."""
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            made.insert(0, folder)
    except OSError:
        _remove_empty(made)
        raise
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _collect_leftovers(runs_dir: Path) -> None:
    """Delete what a killed `create_run` or `delete_run` has left behind long ago."""
    with contextlib.suppress(OSError), os.scandir(runs_dir) as entries:
        for entry in entries:
            if entry.name.startswith((".new-", ".del-")) and entry.is_dir(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                old = time.time() - status.st_mtime > _LEFTOVER_SECONDS
                if old and status.st_uid == os.getuid():
                    _remove_tree(Path(entry.path))


def expanded(runs_dir: str) -> Path:
    """The folder of all runs as a path, ``~`` resolved.

    Raises:
        UsageError: No folder can have this name.
    """
    try:
        path = Path(runs_dir).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, ~nobody, a NUL
        why = explain(error) if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"{runs_dir!r} cannot be the folder of the runs", why=why, fix="--runs_dir DIR"
        ) from None
    return path


def open_run(runs_dir: Path, name: str) -> RunDir:
    """The run of that name, or at that path when the name has a slash.

    Raises:
        UsageError: No run can have this name.
        RunError: There is no such run.
    """
    if "/" in name:
        run = RunDir(Path(name).expanduser())
    elif problem := name_problem(name):
        raise UsageError(f"no run can be named {name!r}", why=problem, fix="ava runs")
    else:
        run = RunDir(runs_dir / name)
    if run.meta_path.is_file():
        return run
    from difflib import get_close_matches

    near = get_close_matches(run.name, [other.name for other in list_runs(run.path.parent)], n=3)
    raise RunError(
        f"there is no run {name}",
        where=str(run.path),
        why="the folder holds no run.json" if run.path.is_dir() else None,
        fix=f"did you mean {' or '.join(near)}?" if near else "see what there is: ava runs",
    )


def list_runs(runs_dir: Path) -> list[RunDir]:
    """All runs in a folder, newest first; none when there is no such folder.

    Raises:
        RunError: The folder cannot be read.
    """
    try:
        names = [path.name for path in runs_dir.iterdir() if valid_name(path.name)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(
            "the folder of runs cannot be read",
            where=str(runs_dir),
            why=explain(error),
            fix="choose another folder: --runs_dir DIR",
        ) from None
    found = []
    for name in names:
        run = RunDir(runs_dir / name)
        if meta := read_json(run.meta_path):
            created = meta.get("created")
            found.append((created if isinstance(created, int | float) else 0.0, name, run))
    return [run for _, _, run in sorted(found, key=lambda item: item[:2], reverse=True)]


def delete_run(run: RunDir) -> None:
    """Delete a run with everything in it.

    It vanishes from the list at once by a rename, so that a kill in between leaves no half a run.

    Raises:
        RunError: It is running, it is no run of ours, or the disk or its rights do not allow it.
    """
    if run.path.is_symlink():
        raise RunError(
            f"{run.name} is a link, and only real runs are deleted",
            where=str(run.path),
            fix=f"remove the link itself: rm {run.path}",
        )
    if read_json(run.meta_path).get("schema") is None:
        raise RunError(
            f"{run.name} is not deleted, because it is no run",
            where=str(run.path),
            why="it holds no run.json of ours",
        )
    try:
        lock = process.try_lock(run.lock_path)
        if lock is None:
            raise RunError(
                f"{run.name} is running, and a running run is not deleted",
                where=str(run.path),
                fix=f"stop it first: ava runs stop {run.name}",
            )
        try:
            if left := process.marked(run.path):
                raise RunError(
                    f"{run.name} is not deleted, because its processes still run",
                    where=str(run.path),
                    why=f"pid {', '.join(map(str, sorted(left)))}, without a supervisor",
                    fix="wait until they have ended, or end them: kill "
                    + " ".join(map(str, sorted(left))),
                )
            doomed = run.path.with_name(f".del-{run.name}-{os.urandom(4).hex()}")
            from shutil import rmtree

            from workbench.runs.tiers import leave_memory

            leave_memory(run)
            run.path.rename(doomed)
            rmtree(doomed)
        finally:
            os.close(lock)
    except OSError as error:
        raise RunError(
            f"{run.name} cannot be deleted",
            where=error.filename or str(run.path),
            why=explain(error),
        ) from None
