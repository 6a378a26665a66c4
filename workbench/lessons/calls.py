"""What the code of a cell says, read without running it: which check it calls, and with what."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class CheckCall:
    """``learn.check("id", name=value)`` as it stands in a cell.

    Attributes:
        check: The check's id.
        given: The arguments whose value can be read off: literals.
        names: The arguments that are variables, and the variables.
        unknown: The arguments that only running the code would tell.
    """

    check: str
    given: Mapping[str, Any]
    names: Mapping[str, str]
    unknown: tuple[str, ...]


def parsed(source: str) -> ast.Module | None:
    """The syntax tree of a cell; None for what is no Python, such as a cell of a magic."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def check_call(source: str) -> CheckCall | None:
    """The first call of a method ``check`` with a literal name in it."""
    calls = check_calls(source)
    return calls[0] if calls else None


def check_calls(source: str) -> list[CheckCall]:
    """All calls of a method ``check`` with a literal name, in the order of the text."""
    tree = parsed(source)
    if tree is None:
        return []
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "check"
    ]
    calls.sort(key=lambda node: (node.lineno, node.col_offset))
    return [found for node in calls if (found := _call(node))]


def _call(node: ast.Call) -> CheckCall | None:
    match node.args:
        case [ast.Constant(value=str(check))]:
            pass
        case _:
            return None
    given: dict[str, Any] = {}
    names: dict[str, str] = {}
    unknown: list[str] = []
    for argument in node.keywords:
        if argument.arg is None:
            unknown.append("**")
        elif isinstance(argument.value, ast.Name):
            names[argument.arg] = argument.value.id
        elif (value := literal(argument.value)) is not NOTHING:
            given[argument.arg] = value
        else:
            unknown.append(argument.arg)
    return CheckCall(check, given, names, tuple(unknown))


NOTHING = object()
"""What `literal` gives for code that has no value until it runs."""


def literal(node: ast.expr) -> Any:
    """The value of a literal; `NOTHING` for any other code."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return NOTHING


def assigned(source: str) -> dict[str, Any]:
    """The names that a cell gives a literal at its top level, the last value of each.

    A name whose last value is no literal is `NOTHING`.
    """
    tree = parsed(source)
    values: dict[str, Any] = {}
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values[target.id] = literal(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            values[node.target.id] = literal(node.value)
    return values
