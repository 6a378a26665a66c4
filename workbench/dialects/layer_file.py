"""An imported layer as a YAML file: the same values when it is loaded, the remarks as comments."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Any

from workbench.config.reading import read_yaml
from workbench.config.render import to_yaml
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workbench.dialects.base import Reading, Remark

_WIDTH = 98
_MOST = 60  # remarks; a file with more of them is read with `ava lint`


def layer_text(tree: dict[str, Any], readings: Iterable[Reading], titles: Iterable[str]) -> str:
    """The text of a layer file.

    Args:
        tree: The layer, ``imported`` included.
        readings: Where it comes from; their remarks become comments.
        titles: The name of each reading's system.
    """
    lines: list[str] = []
    for reading, title in zip(readings, titles, strict=True):
        lines += _comment(f"Imported from {reading.layer.name} ({title}).")
        for remark in reading.remarks[:_MOST]:
            lines += _comment(_said(remark), indent="  ")
        if len(reading.remarks) > _MOST:
            lines += _comment(f"  and {len(reading.remarks) - _MOST} more: ava lint shows them")
    ours = {name: value for name, value in tree.items() if name != "imported"}
    body = to_yaml(ours) if ours else ""
    parts = ["\n".join(lines) + "\n\n", body]
    if "imported" in tree:
        parts.append("\n# Read by no trainer: what ava export writes back.\n")
        parts.append(to_yaml({"imported": tree["imported"]}))
    text = "".join(parts)
    assert read_yaml(text, "layer").tree == tree, "a layer file says what the layer says"
    return text


def write_layer(path: Path, text: str, *, force: bool) -> None:
    """Write a layer file.

    Raises:
        ConfigError: It exists and `force` is off, or the folder takes no files.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o666)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except FileExistsError:
        raise ConfigError(
            "the file is there already; nothing was written",
            where=str(path),
            fix="another name with -o NAME.yaml, or --force to replace it",
        ) from None
    except OSError as error:
        raise ConfigError(
            "the file cannot be written", where=str(path), why=error.strerror
        ) from None


def _said(remark: Remark) -> str:
    word = {"upstream": remark.verdict or "upstream"}.get(remark.kind, remark.kind)
    place = f"line {remark.line}, " if remark.line else ""
    key = f"{remark.path}: " if remark.path else ""
    return f"{word}: {place}{key}{remark.message}"


def _comment(text: str, indent: str = "") -> list[str]:
    plain = "".join(c if c.isprintable() else " " for c in text)
    wrapped = textwrap.wrap(
        plain, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False
    )
    return [f"# {indent}{line}" for line in wrapped]
