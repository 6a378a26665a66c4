"""Saving edits into a person's own file: in one step, and never over somebody else's change."""

from __future__ import annotations

import codecs
import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.config.editing import edit_text
from workbench.config.reading import decode, read_bytes
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.config.findings import Edit

__all__ = ["edit_text", "replace_text", "save_edits"]


def save_edits(path: Path, edits: Sequence[Edit], expected_text: str | None = None) -> None:
    """Make `edits` in a YAML or JSON file; other lines, comments and the encoding stay as they are.

    Args:
        path: The file; a symbolic link is followed, and stays a link.
        edits: What to set and what to remove, in order.
        expected_text: The text that the edits were made for; another text on disk is not touched.

    Raises:
        ConfigError: The file cannot be read or written, it changed meanwhile, or an edit cannot be
            made without changing something else. The file is as it was.
    """
    target = Path(os.path.realpath(path))
    raw, status = read_bytes(target)
    text = decode(raw, str(path))
    if expected_text is not None and text != expected_text.removeprefix("\ufeff"):
        raise _changed(path)
    edited = edit_text(text, edits, str(path))
    if edited == text:
        return
    mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
    _write(target, mark + edited.encode(), status, path)


def replace_text(path: Path, text: str, *, expected_text: str) -> Path:
    """Put `text` in the place of a whole file, which is kept beside it as ``NAME.bak``.

    Args:
        path: The file; a symbolic link is followed, and stays a link.
        text: The new text.
        expected_text: The text that it was made from; another text on disk is not touched.

    Returns:
        Where the old file is.

    Raises:
        ConfigError: The file cannot be read or written, it changed meanwhile, or there is a backup
            already. The file is as it was.
    """
    target = Path(os.path.realpath(path))
    raw, status = read_bytes(target)
    if decode(raw, str(path)) != expected_text:
        raise _changed(path)
    backup = target.with_name(f"{target.name}.bak")
    try:
        os.link(target, backup)
    except OSError as error:
        raise ConfigError(
            "the file cannot be kept under another name first; nothing was written",
            where=str(backup),
            why=error.strerror,
            fix=f"move it away: mv {backup} {backup}.old",
        ) from None
    _write(target, text.encode(), status, path)
    return backup


def _changed(path: Path) -> ConfigError:
    return ConfigError(
        "the file changed on disk since it was read; nothing was written",
        where=str(path),
        fix="read it again, then repeat the edit",
    )


def _write(target: Path, raw: bytes, before: os.stat_result, shown: Path) -> None:
    """Replace a file in one step, unless somebody else changed it meanwhile."""
    if not os.access(target, os.W_OK):
        raise ConfigError("the file may not be written", where=str(shown), why="it is read-only")
    scratch = target.with_name(f".ava-{secrets.token_hex(6)}.tmp")
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(raw)
            stream.flush()
            with contextlib.suppress(OSError):  # only root may give files away
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, before.st_mode & 0o7777)
            os.fsync(descriptor)
        now = target.stat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (
            before.st_ino,
            before.st_size,
            before.st_mtime_ns,
        ):
            raise _changed(shown)
        scratch.replace(target)
    except OSError as error:
        raise ConfigError(
            "the file cannot be saved; it is as it was", where=str(shown), why=error.strerror
        ) from None
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
