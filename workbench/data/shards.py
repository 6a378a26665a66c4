"""Prepared text on disk: tokens in flat files that are mapped into memory, not read.

A folder holds ``index.json`` and, for ``train`` and ``validation`` each, ``NAME.bin`` (all tokens,
little-endian uint8, uint16 or uint32, a separator after each document), ``NAME.documents.bin``
(int64: where each document begins) and, where the loss does not count every token,
``NAME.learn.bin`` (one byte per token). ``tokenizer.json`` is beside them, unless bytes are tokens.
A folder is written under another name and renamed when it is whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.data.reading import display
from workbench.data.store import Tokens
from workbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

INDEX = "index.json"
FORMAT = "ava-shards"
VERSION = 1
SIDES = ("train", "validation")

_CHUNK = 1 << 24


@dataclass(frozen=True)
class Shards:
    """A prepared folder, mapped.

    Attributes:
        path: The folder.
        index: What its index says.
        train: The tokens to learn from.
        validation: The held-out tokens.
    """

    path: Path
    index: dict[str, Any]
    train: Tokens
    validation: Tokens

    @property
    def fingerprint(self) -> str:
        """Hash of every byte; a file that changed since the last look is hashed again."""
        parts = [
            _hash_unless_unchanged(self.path / name, told)
            for name, told in sorted(self.index["files"].items())
        ]
        import xxhash

        return f"xxh3_128:{xxhash.xxh3_128(chr(10).join(parts).encode()).hexdigest()}"


def is_prepared(path: Path) -> bool:
    """Whether a folder is what ``ava data prepare`` wrote."""
    try:
        told: Any = json.loads((path / INDEX).read_bytes())["format"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(told == FORMAT)


def read_index(path: Path) -> dict[str, Any]:
    """What a prepared folder says about itself.

    Raises:
        DataError: It cannot be read, or is of another version.
    """
    try:
        index: dict[str, Any] = json.loads((path / INDEX).read_bytes())
        if index["format"] != FORMAT or index["version"] != VERSION:
            raise ValueError(f"it is {index['format']} version {index['version']}")  # noqa: TRY301
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{display(path)} is no folder of prepared text",
            where=display(path / INDEX),
            why=str(error),
            fix="prepare one: ava data prepare TEXT --out DIR",
        ) from None
    return index


def open_shards(path: Path) -> Shards:
    """Map a prepared folder.

    Raises:
        DataError: It is damaged.
    """
    index = read_index(path)
    try:
        train, validation = (_open_side(path, index, side) for side in SIDES)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"the prepared text {display(path)} is damaged",
            where=display(path),
            why=str(error),
            fix="prepare it again, or copy it here again",
        ) from None
    return Shards(path, index, train, validation)


def _open_side(path: Path, index: dict[str, Any], side: str) -> Tokens:
    import numpy as np

    told = index[side]
    ids = _mapped(path / f"{side}.bin", np.dtype(index["dtype"]), told["tokens"])
    starts = _mapped(path / f"{side}.documents.bin", np.dtype("<i8"), told["documents"])
    learn = None
    if index["masked"]:
        learn = _mapped(path / f"{side}.learn.bin", np.dtype(np.bool_), told["tokens"])
    return Tokens(ids, starts, learn, name=display(path))


def _mapped(file: Path, kind: np.dtype[Any], count: int) -> NDArray[Any]:
    import numpy as np

    size, wanted = file.stat().st_size, count * kind.itemsize
    if size != wanted:
        raise ValueError(f"{file.name} has {size:,} bytes, and should have {wanted:,}")
    if not count:
        return np.zeros(0, dtype=kind)  # an empty file cannot be mapped
    return np.memmap(file, dtype=kind, mode="r", shape=(count,))


def describe_file(file: Path) -> dict[str, Any]:
    """What tells later whether a file changed: its hash, and what costs nothing to compare."""
    stat = file.stat()
    return {"hash": hash_file(file), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _hash_unless_unchanged(file: Path, told: dict[str, Any]) -> str:
    stat = file.stat()
    if (stat.st_size, stat.st_mtime_ns) == (told["size"], told["mtime_ns"]):
        return str(told["hash"])
    return hash_file(file)


def hash_file(file: Path) -> str:
    """Hash of a file's content."""
    import xxhash

    digest = xxhash.xxh3_128()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return str(digest.hexdigest())
