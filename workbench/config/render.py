"""A config tree as YAML that YAML 1.1 and 1.2 readers understand alike."""

from __future__ import annotations

from typing import Any

from workbench.config.scalars import spell


def to_yaml(tree: dict[str, Any], indent: int = 0) -> str:
    """Block-style YAML with a blank line between top-level sections."""
    lines: list[str] = []
    for name, value in tree.items():
        if isinstance(value, dict):
            if indent == 0 and lines:
                lines.append("")
            lines.append(_key(name, indent) + ("" if value else " {}"))
            if value:
                lines.append(to_yaml(value, indent + 2).rstrip("\n"))
        else:
            lines.append(f"{_key(name, indent)} {inline(value)}")
    return "\n".join(lines) + "\n"


_LONGEST = 1000  # YAML finds the colon of a longer key only behind a question mark


def _key(name: str, indent: int) -> str:
    spelled, space = spell(name), " " * indent
    return f"{space}{spelled}:" if len(spelled) <= _LONGEST else f"{space}? {spelled}\n{space}:"


def _inner(name: str) -> str:
    spelled = spell(name)
    return f"{spelled}:" if len(spelled) <= _LONGEST else f"? {spelled} :"


def inline(value: Any) -> str:
    """One value as it stands behind a key."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_inner(key)} {inline(item)}" for key, item in value.items()) + "}"
    return spell(value)
