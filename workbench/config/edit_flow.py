"""Edits inside braces and brackets: JSON, and the flow collections of YAML."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from workbench.config.document import LINE_BREAK, ListNode, MappingNode
from workbench.config.scalars import spell
from workbench.errors import ConfigError

_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/|#[^\r\n]*", re.DOTALL)


def append(text: str, node: MappingNode | ListNode, member: str, *, step: str | None) -> str:
    """The text with one more member at the end of a collection.

    Args:
        text: The whole text.
        node: The collection.
        member: The new member as text.
        step: One step of indentation, to put a first member on its own line; None keeps the line.
    """
    spans = _spans(node)
    close = node.end - 1
    if not spans:
        outer = indent_of(text, node.start)
        if step is not None and not text[node.start + 1 : close].strip():
            line = break_of(text)
            member = f"{line}{outer}{step}{member}{line}{outer}"
            return text[: node.start + 1] + member + text[close:]
        return text[: node.start + 1] + member + text[node.start + 1 :]
    start, end = spans[-1]
    comma = _comma(text, end, close)
    after = end if comma is None else comma + 1
    if not _leads_its_line(text, start):
        separator, member = (", ", member) if comma is None else (" ", f"{member},")
        return text[:after] + separator + member + text[after:]
    found = LINE_BREAK.search(text, after, close)
    stop = found.start() if found else after  # behind a comment on the last member's line
    head = text[:end] + ("," if comma is None else "") + text[end:stop]
    tail = "" if comma is None else ","
    return head + break_of(text) + indent_of(text, start) + member + tail + text[stop:]


def remove(text: str, node: MappingNode | ListNode, index: int) -> str:
    """The text without one member of a collection."""
    spans = _spans(node)
    start, end = spans[index]
    close = node.end - 1
    last = index == len(spans) - 1
    comma = _comma(text, end, close if last else spans[index + 1][0])
    after = end if comma is None else comma + 1
    before = spans[index - 1][1] if index else None
    rest = LINE_BREAK.search(text, after)
    if len(spans) == 1 and not _COMMENT.search(text[node.start + 1 : start] + text[end:close]):
        return text[: node.start + 1] + text[close:]
    if _leads_its_line(text, start) and rest and not _bare(text[after : rest.start()]):
        text = text[: _line_start(text, start)] + text[rest.end() :]
        if last and comma is None and before is not None:
            orphan = _comma(text, before, len(text))
            text = text if orphan is None else text[:orphan] + text[orphan + 1 :]
        return text
    if not last:
        return text[:start] + text[spans[index + 1][0] :]
    return text[:before] + text[end:] if before is not None else text[:start] + text[after:]


def json_member(key: str, value: Any, *, separator: str, indent: str, step: str) -> str:
    """A member of a JSON object as text; mappings spread over lines when there is a `step`."""
    return json.dumps(key, ensure_ascii=False) + separator + json_value(value, indent, step)


def json_value(value: Any, indent: str, step: str) -> str:
    """A value as JSON text that YAML readers understand alike.

    Raises:
        ConfigError: JSON cannot say it.
    """
    if isinstance(value, dict) and value:
        inner = indent + step
        members = [
            json_member(key, item, separator=": ", indent=inner, step=step)
            for key, item in value.items()
        ]
        if not step:
            return "{" + ", ".join(members) + "}"
        return "{\n" + ",\n".join(inner + member for member in members) + f"\n{indent}}}"
    if isinstance(value, list):
        return "[" + ", ".join(json_value(item, indent, "") for item in value) + "]"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"JSON has no number {spell(value)}", fix="use a number or null")
        return spell(value)
    return json.dumps(value, ensure_ascii=False)


def break_of(text: str) -> str:
    """The line break that the text uses."""
    found = LINE_BREAK.search(text)
    return found[0] if found else "\n"


def indent_of(text: str, index: int) -> str:
    """The white space that starts the line of `index`."""
    line = text[_line_start(text, index) : index]
    return line[: len(line) - len(line.lstrip())]


def _line_start(text: str, index: int) -> int:
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def _leads_its_line(text: str, index: int) -> bool:
    return not text[_line_start(text, index) : index].strip()


def _bare(rest: str) -> str:
    """What stands in the rest of a line besides comments."""
    return _COMMENT.sub("", rest).strip()


def _comma(text: str, start: int, stop: int) -> int | None:
    """The next comma, if only space and comments stand before it."""
    while start < stop:
        if text[start] == ",":
            return start
        comment = _COMMENT.match(text, start)
        if comment is None and not text[start].isspace():
            return None
        start = comment.end() if comment else start + 1
    return None


def _spans(node: MappingNode | ListNode) -> list[tuple[int, int]]:
    if isinstance(node, MappingNode):
        return [(entry.start, max(entry.end, entry.value.end)) for entry in node.entries]
    return [(item.start, item.end) for item in node.items]
