"""The text of a run: the user's file or folder, a dataset, or the Python standard library's source.

Nothing is drawn or shuffled here: the same files give the same documents in the same order, and a
text that occurs twice counts once.
"""

from __future__ import annotations

import difflib
import os
import sysconfig
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import machine, units
from workbench.config.schema.data import DataConfig
from workbench.data.huggingface import documents_of, is_saved_dataset, open_named, open_saved
from workbench.data.reading import (
    SUFFIXES,
    TABLE_SUFFIXES,
    Document,
    Skipped,
    Unusable,
    content_hash,
    display,
    read_documents,
)
from workbench.data.records import Maker
from workbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def load_corpus(config: DataConfig, path: str | None = None) -> Corpus:
    """Read the text that the config names into memory.

    Args:
        config: What to take of it, and how.
        path: Another file or folder than ``data.path``.

    Raises:
        DataError: There is no usable text, or too much of it.
    """
    maker = Maker(config)
    if path is None and config.dataset_name is not None:
        return _dataset(*open_named(config), maker)
    found = find_text(config, path)
    if found is None:
        return standard_library()
    if found.is_dir():
        if is_saved_dataset(found):
            try:
                return _dataset(*open_saved(found), maker)
            except Unusable as error:
                raise refused(found, error) from None
        return _folder(found, config, maker)
    _refuse_more_than_memory([found])
    return _single_file(found, maker)


def find_text(config: DataConfig, path: str | None = None) -> Path | None:
    """The file or folder that the config names, or the first fallback that is there.

    Returns:
        None for the embedded corpus.

    Raises:
        DataError: There is none of them.
    """
    if path is not None:
        return _existing(path)
    if config.path is None:
        return None
    for other in (config.path, *(config.fallback_paths or [])):
        if _is_there(other):
            return Path(other).expanduser()
    return _existing(config.path)


def standard_library() -> Corpus:
    """The source of the Python that runs this: some 600 files, 10 MB, on every machine.

    Raises:
        DataError: This Python came without its source.
    """
    root = library_root()
    documents = []
    maker = Maker(DataConfig())
    for path in sorted(library_files(root)):
        try:
            found, _ = read_documents(path, maker)
        except Unusable:
            continue  # an empty __init__.py, or a file in another encoding
        documents += [Document(str(path.relative_to(root)), each.text) for each in found]
    documents, _ = without_repeats(documents)
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


def library_root() -> Path:
    """The folder of this Python's own source."""
    return Path(sysconfig.get_path("stdlib"))


def library_files(root: Path) -> Iterator[Path]:
    """The files of the embedded corpus, in no order."""
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


def _is_there(given: str) -> bool:
    try:
        return bool(given.strip()) and Path(given).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def _nearest(given: str) -> str:
    try:
        path = Path(given).expanduser()
        names = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError, RuntimeError):
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {display(path.parent / close[0])}?\n" if close else ""


def refused(path: Path, error: Unusable) -> DataError:
    """What is wrong with a file, as the end of the run."""
    where = display(path) if error.line is None else f"{display(path)}:{error.line}"
    return DataError(f"cannot train on {display(path)}: it {error.why}", where=where, fix=error.fix)


def _single_file(path: Path, maker: Maker) -> Corpus:
    try:
        if maker.records_only and path.suffix.lower() not in TABLE_SUFFIXES:
            raise Unusable("holds plain text, not records", maker.fix)  # noqa: TRY301
        documents, skipped = read_documents(path, maker)
    except Unusable as error:
        raise refused(path, error) from None
    documents, repeats = without_repeats(documents)
    what = f"{len(documents):,} texts of " if len(documents) > 1 else ""
    return Corpus(documents, skipped + repeats, f"{what}{display(path)}, {_volume(documents)}")


def _dataset(dataset: Any, name: str, maker: Maker) -> Corpus:
    try:
        documents, skipped = documents_of(dataset, name, maker)
    except Unusable as error:
        raise DataError(
            f"cannot train on {name}: it {error.why}", where=f"{name}:{error.line}", fix=error.fix
        ) from None
    documents, repeats = without_repeats(documents)
    return Corpus(
        documents, skipped + repeats, f"{len(documents):,} texts of {name}, {_volume(documents)}"
    )


def _folder(root: Path, config: DataConfig, maker: Maker) -> Corpus:
    documents: list[Document] = []
    skipped: list[Skipped] = []
    origin: dict[str, Path] = {}
    paths = list(text_files(root, config, skipped))
    _refuse_more_than_memory(paths)
    for path in paths:
        try:
            found, bad_lines = read_documents(path, maker)
        except Unusable as error:
            if not maker.skip_malformed:
                raise refused(path, error) from None
            skipped.append(Skipped(display(path), error.why))
            continue
        origin |= {each.name: path for each in found}
        documents += found
        skipped += bad_lines
    documents, repeats = without_repeats(documents)
    skipped += repeats
    if not documents:
        raise no_text(root, skipped)
    files = len({origin[each.name] for each in documents})
    what = f"{files:,} files" if files > 1 else "1 file"
    return Corpus(documents, skipped, f"{what} of {display(root)}, {_volume(documents)}")


def no_text(root: Path, skipped: list[Skipped]) -> DataError:
    """A folder without anything to train on."""
    shown = [f"{each.path} {each.why}" for each in skipped[:5]]
    rest = len(skipped) - len(shown)
    return DataError(
        f"no usable text in the folder {display(root)}",
        where=display(root.absolute()),
        why="\n".join([*shown, f"and {rest:,} more"] if rest else shown) or "the folder is empty",
        fix=f"put files of UTF-8 text there ({', '.join(SUFFIXES)}), or name another folder",
    )


def text_files(root: Path, config: DataConfig, skipped: list[Skipped]) -> Iterator[Path]:
    """The files of a folder that the config takes, sorted by name; the others go to ``skipped``."""
    records_only = Maker(config).records_only
    for path in _walk(root, skipped):
        name = str(path.relative_to(root))
        if config.file_pattern is not None and not _matches(name, config.file_pattern):
            skipped.append(Skipped(display(path), f"does not match {config.file_pattern}"))
        elif config.exclude_pattern is not None and _matches(name, config.exclude_pattern):
            skipped.append(Skipped(display(path), f"matches {config.exclude_pattern}"))
        elif records_only and path.suffix.lower() not in TABLE_SUFFIXES:
            skipped.append(Skipped(display(path), "holds plain text, not records"))
        else:
            yield path


def _matches(name: str, pattern: str) -> bool:
    """Whether the pattern fits the file's name or its path below the folder."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern)


def _refuse_more_than_memory(paths: list[Path]) -> None:
    """Say it before the kernel has to end the process without a word."""
    size = sum(path.stat().st_size for path in paths if path.is_file())
    free = machine.available_memory()
    # The text once as bytes, once as a string, once as tokens.
    if free is not None and 3 * size > free:
        raise DataError(
            f"{units.size(size)} of text do not fit into memory as they are",
            why=f"reading and tokenising them takes about {units.size(3 * size)}; "
            f"{units.size(free)} are free",
            fix="prepare it once, and train on the result: ava data prepare TEXT --out DIR\n"
            "or read it while training: --data.streaming true",
        )


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


def without_repeats(documents: list[Document]) -> tuple[list[Document], list[Skipped]]:
    """Each text once, where it comes first, and what was passed over."""
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


def _volume(documents: list[Document]) -> str:
    return f"{units.count(sum(len(document.text) for document in documents))} characters"
