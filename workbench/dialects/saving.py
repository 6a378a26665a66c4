"""The files of an export, written into a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.dialects.base import Writing


def save(folder: Path, writing: Writing, *, force: bool = False) -> list[Path]:
    """Write all files, or none where one is there already; scripts can be run.

    Args:
        folder: Where to; it is made if need be.
        writing: The files.
        force: Replace files that are there.

    Returns:
        The files.

    Raises:
        ConfigError: A file is there, or the folder takes no files.
    """
    paths = [folder / name for name in writing.files]
    there = [path for path in paths if path.exists()]
    if there and not force:
        raise ConfigError(
            "the file is there already; nothing was written",
            where=", ".join(map(str, there)),
            fix="another folder with -o, or --force to replace it",
        )
    try:
        for path, text in zip(paths, writing.files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            if text.startswith("#!"):
                path.chmod(path.stat().st_mode | 0o111)
    except OSError as error:
        raise ConfigError(
            "the file cannot be written", where=str(error.filename), why=error.strerror
        ) from None
    return paths
