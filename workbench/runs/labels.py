"""What people write about a run: notes, tags, and its name. Only faces write these files."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import RunError, UsageError
from workbench.runs import process
from workbench.runs.directory import RunDir, name_problem
from workbench.runs.files import (
    atomic_write_json,
    encode,
    explain,
    parse_line,
    printable,
    read_bytes,
    read_json,
    to_json,
)
from workbench.runs.writer import EventWriter, LineWriter

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_NOTE: Final = 4096
_LONGEST_TAG: Final = 40
_MOST_TAGS: Final = 50


def add_note(run: RunDir, text: str) -> None:
    """Write a note beside the run; it stands with its time in notes.jsonl.

    Raises:
        UsageError: There is nothing in it, or too much.
        RunError: It cannot be written.
    """
    said = "\n".join(printable(line) for line in text.strip().splitlines())
    if not said or len(text) > _LONGEST_NOTE:
        raise UsageError(
            f"a note has 1 to {_LONGEST_NOTE} characters, this one {len(text)}",
            fix=f'ava runs note {run.name} "what I have seen"',
        )
    writer = LineWriter(run.notes_path)
    writer.append(encode(to_json({"t": time.time(), "note": said})))
    problem = writer.problem
    writer.close()
    if problem:
        raise RunError("the note cannot be written", where=str(run.notes_path), why=problem)


def notes(run: RunDir) -> list[dict[str, Any]]:
    """All notes, oldest first: ``t`` and ``note``."""
    try:
        lines = read_bytes(run.notes_path).splitlines()
    except OSError:
        return []
    found = map(parse_line, lines)
    return [note for note in found if isinstance(note.get("note"), str)]


def tags(run: RunDir) -> list[str]:
    """The run's tags: those of its config, and what was added and removed since."""
    given = read_json(run.labels_path).get("tags")
    if not isinstance(given, list):
        section = _config(run).get("run")
        given = section.get("tags") if isinstance(section, dict) else None
    return [str(tag) for tag in given] if isinstance(given, list) else []


def change_tags(run: RunDir, add: Iterable[str] = (), remove: Iterable[str] = ()) -> list[str]:
    """Add and remove tags; returns those that the run has then.

    Raises:
        UsageError: A tag is no word.
        RunError: It cannot be written.
    """
    gone = set(remove)
    wanted = list(dict.fromkeys([*(tag for tag in tags(run) if tag not in gone), *add]))
    for tag in wanted:
        if not tag or len(tag) > _LONGEST_TAG or tag != printable(tag) or len(tag.split()) != 1:
            raise UsageError(
                f"{tag!r} cannot be a tag",
                why=f"a tag is one word of at most {_LONGEST_TAG} characters",
            )
    if len(wanted) > _MOST_TAGS:
        raise UsageError(f"{len(wanted)} tags are more than {_MOST_TAGS}")
    try:
        atomic_write_json(run.labels_path, {"tags": wanted})
    except OSError as error:
        raise RunError(
            "the tags cannot be written", where=str(run.labels_path), why=explain(error)
        ) from None
    return wanted


def rename_run(run: RunDir, name: str) -> RunDir:
    """Give a run another name, which is that of its directory too.

    Raises:
        UsageError: No run can have this name.
        RunError: The name is taken, the run is running, or the disk or its rights do not allow it.
    """
    if problem := name_problem(name):
        raise UsageError(f"a run cannot be named {name!r}", why=problem)
    if run.path.is_symlink():
        raise RunError(f"{run.name} is a link, and only real runs are renamed", where=str(run.path))
    facts = run.meta()
    if name == run.name:
        return run
    target = RunDir(run.path.with_name(name))
    try:
        lock = process.try_lock(run.lock_path)
        if lock is None or process.marked(run.path):
            if lock is not None:
                os.close(lock)
            raise RunError(
                f"{run.name} is running, and a running run keeps its name",
                where=str(run.path),
                fix=f"stop it first: ava runs stop {run.name}",
            )
        try:
            if os.path.lexists(target.path):
                raise RunError(
                    f"the name {name} is taken", where=str(target.path), fix="choose another name"
                )
            run.path.rename(target.path)
            atomic_write_json(target.meta_path, facts | {"name": name})
            events = EventWriter(target.events_path)
            events.write("renamed", before=run.name, after=name)
            events.close()
        finally:
            os.close(lock)
    except OSError as error:
        raise RunError(
            f"{run.name} cannot be renamed",
            where=str(error.filename or run.path),
            why=explain(error),
        ) from None
    return target


def _config(run: RunDir) -> dict[str, Any]:
    config = read_json(run.config_path).get("config")
    return config if isinstance(config, dict) else {}
