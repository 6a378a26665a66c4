"""What deserves a look in a file that could be read: the notes of a `Document`.

They are findings about the text rather than the plan: garbled characters, quotes that are none, and
values that YAML 1.1 readers such as PyYAML take for something else.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Any

from workbench.config import mojibake
from workbench.config.document import (
    Document,
    Entry,
    ListNode,
    MappingNode,
    Node,
    ScalarNode,
    line_starts,
)
from workbench.config.findings import Edit, Finding, Fix, Severity
from workbench.config.origins import Mark, Origin
from workbench.config.scalars import resolve, resolve_1_1, same, spell
from workbench.config.yaml_reader import INVISIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = {
    "mojibake": "No text was UTF-8 once and read as Mac Roman, Windows-1252 or Latin-1.",
    "lost-characters": "No replacement character stands where text was lost.",
    "curly-quotes": "Quotes around a value are straight; others become part of the text.",
    "invisible-character": "An unquoted value holds nothing that looks like a space or is unseen.",
    "yaml-1.1": "YAML 1.1 readers such as PyYAML and strict 1.2 readers read every value alike.",
}
"""The findings that a text can have, by id: what holds where each is silent."""

_MOST = 500  # notes on values; nobody reads more
_PYYAML = "YAML 1.1 readers such as PyYAML"
_OPENING = "\u2018\u201a\u201b\u201c\u201e\u201f\u00ab"
_CLOSING = "\u2019\u201d\u201c\u00bb\u2018"


def notes(document: Document) -> list[Finding]:
    """All notes of a document, in the order of its lines."""
    found = [*_garbled(document), *_lost(document)]
    if document.root is not None:
        found += islice(_walk(document.root, (), document), _MOST)
    return sorted(
        found, key=lambda note: note.origin.mark.line if note.origin and note.origin.mark else 0
    )


def _note(
    rule: str, document: Document, path: str, message: str, mark: Mark, *fixes: Fix
) -> Finding:
    severity: Severity = "hint" if rule == "yaml-1.1" else "warning"
    origin = Origin(document.name, None, document.name, mark)
    return Finding(rule, severity, path, message, origin, fixes)


def _garbled(document: Document) -> Iterator[Finding]:
    found = mojibake.find(document.text)
    if not found:
        return
    starts = line_starts(document.text)
    lines = sorted({bisect_right(starts, item.start) for item in found})
    first = found[0]
    where = _lines(lines)
    yield _note(
        "mojibake",
        document,
        "",
        f"the text is garbled: {first.seen!r} stands for {first.meant!r} ({where})",
        Mark(lines[0], first.start - starts[lines[0] - 1] + 1),
        Fix(f"restore the characters of {where}"),
    )


def _lost(document: Document) -> Iterator[Finding]:
    if lines := mojibake.lost_lines(document.text):
        yield _note(
            "lost-characters",
            document,
            "",
            f"characters are lost: a replacement character stands in {_lines(lines)}",
            Mark(lines[0], 1),
        )


def _lines(lines: list[int]) -> str:
    if len(lines) == 1:
        return f"line {lines[0]}"
    shown = ", ".join(map(str, lines[:4]))
    return f"lines {shown}" + (f" and {len(lines) - 4} more" if len(lines) > 4 else "")


def _walk(node: Node, path: tuple[str | int, ...], document: Document) -> Iterator[Finding]:
    if isinstance(node, MappingNode):
        for entry in node.entries:
            here = (*path, entry.key)
            if document.format == "yaml" and not entry.merge:
                yield from _key_notes(entry, here, document)
            yield from _walk(entry.value, here, document)
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from _walk(item, (*path, index), document)
    elif isinstance(node, ScalarNode) and not node.style and document.format == "yaml":
        yield from _value_notes(node, path, document)


def _key_notes(entry: Entry, path: tuple[str | int, ...], document: Document) -> Iterator[Finding]:
    written = document.text[entry.start : entry.end]
    if written != entry.key:
        return  # quoted
    other = _read_1_1(written)
    if not isinstance(other, str):
        yield _note(
            "yaml-1.1",
            document,
            _dotted(path),
            f"the key {written} is text here and {_show(other)} to {_PYYAML}",
            Mark(entry.line, entry.column),
        )


def _value_notes(
    node: ScalarNode, path: tuple[str | int, ...], document: Document
) -> Iterator[Finding]:
    written = document.text[node.start : node.end]
    dotted, mark = _dotted(path), Mark(node.line, node.column)
    value = node.value
    if isinstance(value, str) and not value.isascii():
        yield from _odd_characters(value, dotted, mark, document)
        return
    other = _read_1_1(written)
    if not same(other, value):
        yield _note(
            "yaml-1.1",
            document,
            dotted,
            f"{written} is {_show(value)} here and {_show(other)} to {_PYYAML}",
            mark,
            Fix(f"write {spell(value)}", (Edit(dotted, value),)),
        )
    elif "_" in written and not isinstance(value, str):
        yield _note(
            "yaml-1.1",
            document,
            dotted,
            f"{written} is {_show(value)} here and text to readers that follow YAML 1.2 strictly",
            mark,
            Fix(f"write {spell(value)}", (Edit(dotted, value),)),
        )


def _odd_characters(value: str, path: str, mark: Mark, document: Document) -> Iterator[Finding]:
    if value[0] in _OPENING and value[-1] in _CLOSING and len(value) > 1:
        meant = value[1:-1]
        fixes = [Fix(f"write {spell(meant)}", (Edit(path, meant),))]
        if not isinstance(plain := resolve(meant), str):
            fixes.insert(0, Fix(f"write {spell(plain)}", (Edit(path, plain),)))
        yield _note(
            "curly-quotes",
            document,
            path,
            f"the quotes of {value} are typographic: they become part of the text",
            mark,
            *fixes,
        )
    elif (found := INVISIBLE.search(value)) is not None:
        clean = resolve(INVISIBLE.sub(lambda m: " " if m[0].isspace() else "", value).strip())
        yield _note(
            "invisible-character",
            document,
            path,
            f"the value holds the invisible character U+{ord(found[0]):04X}",
            mark,
            Fix(f"write {spell(clean)}", (Edit(path, clean),)),
        )


class _Refused:
    """What stands for a value that PyYAML refuses."""


def _read_1_1(written: str) -> Any:
    try:
        return resolve_1_1(written)
    except ValueError:
        return _Refused()


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


def _show(value: Any) -> str:
    if isinstance(value, _Refused):
        return "an error"
    if isinstance(value, str):
        return "text"
    if value is None or isinstance(value, bool):
        return spell(value)
    if isinstance(value, int | float):
        return f"the number {spell(value)}"
    return f"a {type(value).__name__}"
