"""Faults of a file's text: where its keys stood before a repair, what a repeated key dropped."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.config.document import AliasNode, Entry, ListNode, MappingNode, ScalarNode
from workbench.config.origins import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.document import Document, KeyPath, Node
    from workbench.dialects.base import Remark

GLUED = re.compile(r"line (\d+) became ")
"""What a repair says that took a line apart."""


def as_given(
    document: Document, remarks: tuple[Remark, ...]
) -> tuple[dict[KeyPath, Mark], tuple[Remark, ...]]:
    """The place of each key in the file as it was given, and the repairs with their lines."""
    parts = sorted(int(found[1]) for each in remarks if (found := GLUED.match(each.message)))
    told = tuple(
        replace(each, line=int(found[1])) if (found := GLUED.match(each.message)) else each
        for each in remarks
    )
    if not parts:
        return document.marks, told
    # The second half of the k-th line taken apart stands k lines further down than its first half.
    halves = [line + index for index, line in enumerate(parts, 1)]
    marks = {
        path: Mark(mark.line - sum(half <= mark.line for half in halves), mark.column)
        for path, mark in document.marks.items()
    }
    return marks, told


def dropped(document: Document) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """Sections at the top of a file that a later one of the same name replaces."""
    entries = document.root.entries if document.root else []
    last = {entry.key: entry for entry in entries}
    for entry in entries:
        if last[entry.key] is not entry and isinstance(entry.value, MappingNode):
            yield entry, _value(entry.value)


def _value(node: Node) -> Any:
    if isinstance(node, AliasNode):
        node = node.target
    if isinstance(node, MappingNode):
        return {entry.key: _value(entry.value) for entry in node.entries}
    if isinstance(node, ListNode):
        return [_value(item) for item in node.items]
    assert isinstance(node, ScalarNode)
    return node.value
