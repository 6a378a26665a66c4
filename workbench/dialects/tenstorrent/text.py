"""A tree as YAML that PyYAML, which is a YAML 1.1 reader, and ours read alike."""

from __future__ import annotations

from typing import Any

from workbench.config.render import inline
from workbench.config.scalars import spell


def block_yaml(tree: dict[str, Any], indent: int = 0) -> str:
    """Sections in block style, lists in brackets; whole-number keys are written as numbers."""
    lines: list[str] = []
    pad = " " * indent
    for name, value in tree.items():
        key = name if name.isdecimal() else spell(name)
        if indent == 0 and lines and isinstance(value, dict):
            lines.append("")
        if isinstance(value, dict) and value:
            lines.append(f"{pad}{key}:")
            lines.append(block_yaml(value, indent + 2).rstrip("\n"))
        else:
            lines.append(f"{pad}{key}: {inline(value)}")
    return "\n".join(lines) + "\n"
