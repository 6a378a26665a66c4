"""Edits in the text of a config: only the edited lines change.

An edit is made at the place that the reader remembered. Then the text is read again, and unless it
holds exactly the tree that was meant, the edit is refused. So an edit that some unusual notation
makes unsafe ends in a message and never in a damaged file.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from workbench.config import edit_block, edit_flow
from workbench.config.document import (
    Document,
    Entry,
    KeyPath,
    ListNode,
    MappingNode,
    Node,
    ScalarNode,
)
from workbench.config.reading import read_document
from workbench.config.render import inline
from workbench.config.scalars import resolve_1_1, same
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.config.findings import Edit


def edit_text(text: str, edits: Sequence[Edit], name: str = "config") -> str:
    """The text of a YAML or JSON config with `edits` made in it.

    Args:
        text: The text.
        edits: What to set and what to remove, in order.
        name: What the file is called; its extension decides the format, else the content does.

    Raises:
        ConfigError: The text cannot be read, or an edit cannot be made on its own.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    document = read_document(text.removeprefix(mark), name)
    for edit in edits:
        path = _key_path(document, edit.path)
        if edit.remove:
            document = _make(document, path, remove=True)
            continue
        for part, value in _parts(document, path, _plain(edit.value, edit.path)):
            document = _make(document, part, value, remove=value is _GONE)
    return mark + document.text


_GONE = object()


def _make(
    document: Document, path: KeyPath, value: Any = None, *, remove: bool = False
) -> Document:
    """One edit, verified."""
    expected = copy.deepcopy(document.tree)
    if remove:
        if not _take(expected, path):
            return document
        text = _remove(document, path)
    else:
        _put(expected, path, value)
        text = _set(document, path, value)
    why = "the lines around it are written in a way that the edit would disturb"
    try:
        made = read_document(text, document.name)
    except ConfigError as error:
        raise _by_hand(document, path, f"{why}: {error.what}") from None
    if not same(made.tree, expected):
        raise _by_hand(document, path, why)
    return made


def _key_path(document: Document, dotted: str) -> KeyPath:
    """The keys that a dotted path names; a key that itself holds dots is found, too."""
    parts = dotted.split(".")
    if not all(parts):
        raise ConfigError(f"{dotted!r} is no key", where=document.name)
    path: list[str] = []
    here: Any = document.tree
    while parts:
        if isinstance(here, list):
            raise ConfigError(
                f"{'.'.join(path)!r} is a list; it is set as a whole",
                where=document.name,
                fix=f"{'.'.join(path)}: [first, second]",
            )
        known = here if isinstance(here, dict) else {}
        joined = (n for n in range(1, len(parts) + 1) if ".".join(parts[:n]) in known)
        count = next(joined, 1)
        path.append(".".join(parts[:count]))
        here = known.get(path[-1])
        parts = parts[count:]
    return tuple(path)


def _plain(value: Any, path: str) -> Any:
    """The value as what a config can hold."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {str(key): _plain(item, path) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, path) for item in value]
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise ConfigError(f"a config cannot hold a {type(value).__name__}", where=path)


def _parts(document: Document, path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    """The smallest edits that make `value` of what stands at `path`; what is equal stays."""
    old = _get(document.tree, path)
    if same(old, value):
        if _misread(document, path):
            yield path, value
        return
    written = document.node(path)  # an alias is replaced as a whole, not followed
    if isinstance(written, MappingNode) and isinstance(value, dict) and old and value:
        for key, item in value.items():
            if not same(old.get(key, _GONE), item):
                yield from _parts(document, (*path, key), item)
        yield from (((*path, key), _GONE) for key in old if key not in value)
    elif (
        isinstance(written, ListNode) and _is_row(old) and _is_row(value) and len(old) == len(value)
    ):
        changed = (index for index, item in enumerate(value) if not same(old[index], item))
        yield from (((*path, index), value[index]) for index in changed)
    else:
        yield path, value


def _is_row(value: Any) -> bool:
    """Whether this is a list of single values."""
    return isinstance(value, list) and not any(isinstance(item, list | dict) for item in value)


def _misread(document: Document, path: KeyPath) -> bool:
    """Whether other YAML readers see another value there, so that it is worth writing again."""
    node = document.node(path)
    if not isinstance(node, ScalarNode) or node.style or document.format == "json":
        return False
    written = document.text[node.start : node.end]
    if "_" in written and not isinstance(node.value, str):
        return True  # digit groups are text to strict readers of YAML 1.2
    try:
        return not same(resolve_1_1(written), node.value)
    except ValueError:
        return True


def _set(document: Document, path: KeyPath, value: Any) -> str:
    node: Any = document.root
    if node is None:
        tree = _nest(path, value)
        if document.format == "json":
            return _broken(document, edit_flow.json_value(tree, "", "  ") + "\n")
        return edit_block.add(document, None, str(path[0]), tree[path[0]])
    for index, part in enumerate(path):
        rest = path[index + 1 :]
        if isinstance(node, ListNode):
            item = node.items[int(part)]
            spelled = _inline(document, value, item)
            return document.text[: item.start] + spelled + document.text[item.end :]
        if not isinstance(node, MappingNode):
            raise _by_hand(document, path, "its section is an alias of another one")
        entry = node.entry(part)
        if entry is None:
            return _add(document, node, str(part), _nest(rest, value))
        inner = entry.value
        empty = isinstance(inner, MappingNode) and not inner.entries and not node.flow
        if not rest or isinstance(inner, ScalarNode) or empty:
            return _replace(document, node, entry, _nest(rest, value))
        node = inner
    raise AssertionError(path)


def _remove(document: Document, path: KeyPath) -> str:
    node: Any = document.root
    section: Entry | None = None
    for part in path[:-1]:
        entry = node.entry(part) if isinstance(node, MappingNode) else None
        if entry is None:
            raise _by_hand(document, path, "it comes from an alias or a merge")
        section, node = entry, entry.value
    found = node.entry(path[-1]) if isinstance(node, MappingNode) else None
    if found is None:
        raise _by_hand(document, path, "it comes from an alias or a merge")
    if node.flow:
        return edit_flow.remove(document.text, node, node.entries.index(found))
    return edit_block.remove(document, found, section if len(node.entries) == 1 else None)


def _add(document: Document, node: MappingNode, key: str, value: Any) -> str:
    if document.format == "json":
        step = _json_step(document)
        inner = edit_flow.indent_of(document.text, node.start) + step
        first = node.entries[0] if node.entries else None
        gap = document.text[first.end : first.value.start] if first else ": "
        member = edit_flow.json_member(
            key, value, separator=gap if gap.strip() == ":" else ": ", indent=inner, step=step
        )
        return edit_flow.append(document.text, node, _broken(document, member), step=step or None)
    if node.flow:
        member = inline({key: value})[1:-1]
        return edit_flow.append(document.text, node, member, step=None)
    return edit_block.add(document, node, key, value)


def _replace(document: Document, parent: MappingNode, entry: Entry, value: Any) -> str:
    if document.format == "yaml" and not parent.flow:
        return edit_block.replace(document, entry, value)
    old = entry.value
    gap = " " if old.start == old.end and not document.text[old.start - 1].isspace() else ""
    spelled = _inline(document, value, old)
    return document.text[: old.start] + gap + spelled + document.text[old.end :]


def _inline(document: Document, value: Any, old: Node) -> str:
    if document.format == "yaml":
        return edit_block.spelled(value, old)
    indent = edit_flow.indent_of(document.text, old.start)
    return _broken(document, edit_flow.json_value(value, indent, _json_step(document)))


def _broken(document: Document, text: str) -> str:
    return text.replace("\n", edit_flow.break_of(document.text))


def _json_step(document: Document) -> str:
    """The indentation of the first level; empty for an object on one line."""
    if document.root is None or not document.root.entries:
        return "  "
    start = document.root.entries[0].start
    lead = edit_flow.indent_of(document.text, start)
    return lead if document.text[:start].endswith(("\n" + lead, "\r" + lead)) else ""


def _nest(path: KeyPath, value: Any) -> Any:
    for part in reversed(path):
        value = {str(part): value}
    return value


def _get(tree: Any, path: KeyPath) -> Any:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return _GONE
        tree = tree[part]
    return tree


def _put(tree: Any, path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        if isinstance(tree, dict) and not isinstance(tree.get(part), dict | list):
            tree[part] = {}
        tree = tree[part]
    tree[path[-1]] = value


def _take(tree: Any, path: KeyPath) -> bool:
    for part in path[:-1]:
        tree = tree.get(part) if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or path[-1] not in tree:
        return False
    del tree[path[-1]]
    return True


def _by_hand(document: Document, path: KeyPath, why: str) -> ConfigError:
    mark = next((m for n in range(len(path), 0, -1) if (m := document.marks.get(path[:n]))), None)
    return ConfigError(
        f"{'.'.join(map(str, path))} cannot be changed here without changing something else",
        where=f"{document.name}:{mark.line}" if mark else document.name,
        why=why,
        fix="edit the line by hand",
    )
