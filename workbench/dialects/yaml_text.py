"""A tree as YAML that readers of YAML 1.1 and of 1.2 understand alike: ``3.0e-05``, ``"no"``."""

from __future__ import annotations

from typing import Any

from workbench.config.scalars import spell


def yaml_text(tree: dict[str, Any]) -> str:
    """A tree as block YAML; lists of plain values stand in brackets."""
    return "\n".join(_lines(tree, "")) + "\n"


def _lines(tree: dict[str, Any], indent: str) -> list[str]:
    lines: list[str] = []
    for name, value in tree.items():
        key = f"{indent}{spell(str(name))}:"
        if isinstance(value, dict) and value:
            lines += [key, *_lines(value, f"{indent}  ")]
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            lines.append(key)
            lines += [f"{indent}- {_flow(item)}" for item in value]
        else:
            lines.append(f"{key} {_flow(value)}")
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{spell(str(k))}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return spell(value)
