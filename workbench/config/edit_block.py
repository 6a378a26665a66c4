"""Edits of YAML written by indentation: lines are added and removed, the others stay."""

from __future__ import annotations

import re
from typing import Any

from workbench.config.document import (
    LINE_BREAK,
    Document,
    Entry,
    ListNode,
    MappingNode,
    Node,
    ScalarNode,
)
from workbench.config.edit_flow import break_of
from workbench.config.render import inline
from workbench.config.scalars import quote, spell

_BLANK_LINE = re.compile(r"(?:\r\n|\n|\r)[ \t]*(?:\r\n|\n|\r)")
_DOCUMENT_END = re.compile(r"^\.\.\.(?=\s|\Z)", re.MULTILINE)


def add(document: Document, node: MappingNode | None, key: str, value: Any) -> str:
    """The text with a key at the end of a mapping; without one, at the end of the file."""
    text = document.text
    if node is None or node is document.root:
        return _add_at_end(document, key, value)
    indent = node.entries[0].column - 1
    last = node.entries[-1]
    at = _after_comments(text, _line_end(text, max(last.end, last.value.end)), indent)
    return text[:at] + break_of(text) + _lines(document, {key: value}, indent) + text[at:]


def replace(document: Document, entry: Entry, value: Any) -> str:
    """The text with another value behind a key."""
    text, old = document.text, entry.value
    colon = _after_colon(text, entry)
    own_end = _line_end(text, colon)
    block = isinstance(old, MappingNode | ListNode) and not old.flow
    if isinstance(value, dict) and value:
        indent = entry.column - 1 + _step(document)
        rest = text[_line_end(text, old.end) :]
        head = text[:own_end] if block else text[:colon] + text[old.end : _line_end(text, old.end)]
        return head + break_of(text) + _lines(document, value, indent) + rest
    if not block:
        gap = " " if old.start == old.end and not text[old.start - 1].isspace() else ""
        return text[: old.start] + gap + spelled(value, old) + text[old.end :]
    if isinstance(old, ListNode) and isinstance(value, list) and value:
        indent = old.column - 1
        items = (" " * indent + "- " + inline(item) for item in value)
        return text[: old.start] + break_of(text).join(items).lstrip() + text[old.end :]
    # The key's own line stays with its comment, the lines of the old value go.
    return (
        text[:colon] + " " + inline(value) + text[colon:own_end] + text[_line_end(text, old.end) :]
    )


def remove(document: Document, entry: Entry, only_one_of: Entry | None) -> str:
    """The text without the lines of a key.

    Args:
        document: The document.
        entry: What to remove.
        only_one_of: The section that is empty without it, which then says so: ``section: {}``.
    """
    text = document.text
    start = _line_start(text, entry.start)
    found = LINE_BREAK.search(text, max(entry.end, entry.value.end))
    end = found.end() if found else len(text)
    if found is None and start > 0:  # the file keeps its ending without a line break
        start -= 2 if text[:start].endswith("\r\n") else 1
    text = text[:start] + text[end:]
    if only_one_of is not None:
        colon = _after_colon(text, only_one_of)
        text = text[:colon] + " {}" + text[colon:]
    return text


def _after_colon(text: str, entry: Entry) -> int:
    """Behind the colon of a key.

    A key written with a question mark may have none; the end of the text then stands for it, and
    the edit is refused because it comes out as something else.
    """
    return text.find(":", entry.end) + 1 or len(text)


def spelled(value: Any, old: Node) -> str:
    """A value as text, in the quotes of the value that it replaces."""
    if isinstance(value, str) and isinstance(old, ScalarNode):
        if old.style == '"':
            return quote(value)
        if old.style == "'" and value.isprintable():
            return "'" + value.replace("'", "''") + "'"
    return inline(value)


def _add_at_end(document: Document, key: str, value: Any) -> str:
    text = document.text
    lines = _lines(document, {key: value}, 0)
    stop = len(text)
    if (found := _DOCUMENT_END.search(text, document.root.end if document.root else 0)) is not None:
        stop = found.start()
    content = len(text[:stop].rstrip())
    if not content:
        return lines + break_of(text) + text
    at = _line_end(text, content)
    airy = isinstance(value, dict) and _BLANK_LINE.search(text[:at]) is not None
    return text[:at] + break_of(text) * (2 if airy else 1) + lines + text[at:]


def _lines(document: Document, tree: dict[str, Any], indent: int) -> str:
    """A mapping as lines, without the last line break."""
    made: list[str] = []
    for key, value in tree.items():
        start = " " * indent + spell(key) + ":"
        if isinstance(value, dict) and value:
            made += [start, _lines(document, value, indent + _step(document))]
        else:
            made.append(f"{start} {inline(value)}")
    return break_of(document.text).join(made)


def _step(document: Document) -> int:
    """How far the file indents its sections."""
    for outer in document.root.entries if document.root else ():
        inner = outer.value
        if isinstance(inner, MappingNode) and not inner.flow and inner.entries:
            return max(1, inner.entries[0].column - outer.column)
    return 2


def _after_comments(text: str, at: int, indent: int) -> int:
    """The end of the comment lines below `at` that are indented as far as the section."""
    while indent and (found := LINE_BREAK.match(text, at)):
        end = _line_end(text, found.end())
        line = text[found.end() : end]
        if not line.lstrip(" ").startswith("#") or len(line) - len(line.lstrip(" ")) < indent:
            break
        at = end
    return at


def _line_start(text: str, index: int) -> int:
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def _line_end(text: str, index: int) -> int:
    found = LINE_BREAK.search(text, index)
    return found.start() if found else len(text)
