"""The text of a run: the user's file or folder, or the Python standard library's own source.

Nothing is drawn or shuffled here: the same files give the same documents in the same order, and a
text that occurs twice counts once.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import units
from workbench.data.reading import SUFFIXES, Document, Skipped, Unusable, display, read_documents
from workbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema import DataConfig

_NOT_TEXT_FOLDERS = {"__pycache__", "node_modules", "venv", "env", "site-packages", "dist-packages"}

# Of the standard library: tests (long tables of cases), code pages and documentation stored as one
# giant literal. None of them reads like Python.
_LIBRARY_SKIPS = {"test", "tests", "idle_test", "encodings", "pydoc_data"}


@dataclass(frozen=True)
class Corpus:
    """All documents, what was passed over, and both in words."""

    documents: list[Document]
    skipped: list[Skipped]
    description: str


def load_corpus(config: DataConfig) -> Corpus:
    """Read the text that the config names.

    Raises:
        DataError: There is no usable text.
    """
    if config.path is None:
        return standard_library()
    path = _existing(config.path)
    if path.is_dir():
        return _folder(path, config)
    return _single_file(path, config)


def standard_library() -> Corpus:
    """The source of the Python that runs this: some 600 files, 10 MB, on every machine.

    Raises:
        DataError: This Python came without its source.
    """
    root = Path(sysconfig.get_path("stdlib"))
    documents = []
    for path in sorted(_library_files(root)):
        try:
            found, _ = read_documents(path, "text")
        except Unusable:
            continue  # an empty __init__.py, or a file in another encoding
        documents += [Document(str(path.relative_to(root)), each.text) for each in found]
    documents, _ = _without_repeats(documents)
    if not documents:
        raise DataError(
            "this Python came without the source of its standard library",
            where=str(root),
            fix="train on your own text: --data.path FILE_OR_FOLDER",
        )
    return Corpus(
        documents,
        [],
        f"{len(documents):,} files of the Python standard library, {_volume(documents)}",
    )


def _library_files(root: Path) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [
            name for name in subfolders if name not in _LIBRARY_SKIPS | _NOT_TEXT_FOLDERS
        ]
        for name in files:
            # _sysconfigdata is the build's settings, different on each machine.
            if name.endswith(".py") and not name.startswith("_sysconfigdata"):
                yield Path(folder, name)


def _existing(given: str) -> Path:
    try:
        if not given.strip():
            raise FileNotFoundError
        path = Path(given).expanduser()
        path.stat()
    except (OSError, ValueError, RuntimeError) as error:
        missing = isinstance(error, FileNotFoundError)
        shown = display(Path(given)) if given.strip() else given
        raise DataError(
            f"there is no file or folder {shown!r}" if missing else f"cannot open {shown!r}",
            where=f"data.path, seen from {display(Path.cwd())}",
            why=None if missing else getattr(error, "strerror", None) or str(error),
            fix=f"{_nearest(given)}give a file or folder of text: --data.path FILE_OR_FOLDER\n"
            "or leave it out to train on the Python standard library",
        ) from None
    return path


def _nearest(given: str) -> str:
    try:
        path = Path(given).expanduser()
        names = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError, RuntimeError):
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {display(path.parent / close[0])}?\n" if close else ""


def _single_file(path: Path, config: DataConfig) -> Corpus:
    try:
        documents, skipped = read_documents(path, config.text_field)
    except Unusable as error:
        where = display(path) if error.line is None else f"{display(path)}:{error.line}"
        raise DataError(
            f"cannot train on {display(path)}: it {error.why}", where=where, fix=error.fix
        ) from None
    documents, repeats = _without_repeats(documents)
    what = f"{len(documents):,} texts of " if len(documents) > 1 else ""
    return Corpus(documents, skipped + repeats, f"{what}{display(path)}, {_volume(documents)}")


def _folder(root: Path, config: DataConfig) -> Corpus:
    documents: list[Document] = []
    skipped: list[Skipped] = []
    origin: dict[str, Path] = {}
    for path in _walk(root, skipped):
        try:
            found, bad_lines = read_documents(path, config.text_field)
        except Unusable as error:
            skipped.append(Skipped(display(path), error.why))
            continue
        origin |= {each.name: path for each in found}
        documents += found
        skipped += bad_lines
    documents, repeats = _without_repeats(documents)
    skipped += repeats
    if not documents:
        shown = [f"{each.path} {each.why}" for each in skipped[:5]]
        rest = len(skipped) - len(shown)
        raise DataError(
            f"no usable text in the folder {display(root)}",
            where=display(root.absolute()),
            why="\n".join([*shown, f"and {rest:,} more"] if rest else shown)
            or "the folder is empty",
            fix="put .txt, .md, .py or .jsonl files of UTF-8 text there, or name another folder",
        )
    files = len({origin[each.name] for each in documents})
    what = f"{files:,} files" if files > 1 else "1 file"
    return Corpus(documents, skipped, f"{what} of {display(root)}, {_volume(documents)}")


def _walk(root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """The files to read below a folder, sorted by name; links are followed, loops are not."""
    seen: set[tuple[int, int]] = set()

    def walk(folder: Path) -> Iterator[Path]:
        try:
            identity = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            skipped.append(Skipped(display(folder), f"cannot be read ({error.strerror})"))
            return
        if (identity.st_dev, identity.st_ino) in seen:
            skipped.append(Skipped(display(folder), "is a link to a folder that was read already"))
            return
        seen.add((identity.st_dev, identity.st_ino))
        for entry in entries:
            path = folder / entry.name
            try:
                is_folder = entry.is_dir()
                why = _skip_folder(path) if is_folder else _skip_file(path)
            except OSError as error:
                is_folder, why = False, f"cannot be read ({error.strerror})"
            if why:
                skipped.append(Skipped(display(path), why))
            elif is_folder:
                yield from walk(path)
            else:
                yield path

    yield from walk(root)


def _skip_folder(path: Path) -> str | None:
    if path.name.startswith("."):
        return "is a hidden folder"
    if path.name in _NOT_TEXT_FOLDERS or (path / "pyvenv.cfg").exists():
        return "is a folder of programs, not of your text"
    # Runs write samples while they train: a text that contains them would change under their feet.
    if (path / "run.json").exists() and (path / "config.resolved.json").exists():
        return "is the directory of a run"
    return None


def _skip_file(path: Path) -> str | None:
    if path.name.startswith("."):
        return "is a hidden file"
    if path.is_symlink() and not path.exists():
        return "is a link to nothing"
    if path.suffix.lower() not in SUFFIXES:
        return f"is not one of {', '.join(SUFFIXES)}"
    return None


def _without_repeats(documents: list[Document]) -> tuple[list[Document], list[Skipped]]:
    first: dict[bytes, str] = {}
    kept: list[Document] = []
    repeats: list[Skipped] = []
    for document in documents:
        digest = content_hash(document.text)
        if digest in first:
            repeats.append(Skipped(document.name, f"has the same text as {first[digest]}"))
        else:
            first[digest] = document.name
            kept.append(document)
    return kept, repeats


def content_hash(text: str) -> bytes:
    """What a text is, whatever its name."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _volume(documents: list[Document]) -> str:
    return f"{units.count(sum(len(document.text) for document in documents))} characters"
