"""What the schema claims the trainer to honour has a test that shows its effect.

The claim is `Key.why_unhonoured(value) is None` for some value that is not the default; the test is
one that carries ``@pytest.mark.honours("the.key")``. This reads the tests' source: a marker counts
where it decorates a test, whether or not the test is run today.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from workbench.config.keys import Key, keys

TESTS = Path(__file__).resolve().parents[1]

NOT_OF_THE_TRAINER = {
    "run.hardware": "what the plan is checked and estimated against",
    "run.objective": "what the launcher aims at",
}
"""Keys that no trainer reads, by design, and who reads them."""


def values(key: Key) -> Iterator[Any]:
    """Some values that are not the default."""
    if key.type == "boolean":
        yield not key.default
    elif key.type == "choice":
        yield from (choice for choice in key.choices if choice != key.default)
    else:
        yield from (each for each in (1, 2, 3, 0.25, 0.5, 1.5, 7) if each != key.default)


def claimed(key: Key) -> bool:
    """Whether the trainer is said to act on some value of the key."""
    return any(key.why_unhonoured(value) is None for value in values(key))


def must_be_shown(key: Key) -> bool:
    """Booleans, numbers and choices: what can be varied without knowing its meaning."""
    return key.type in ("boolean", "integer", "number", "choice") and claimed(key)


@cache
def markers() -> dict[str, list[str]]:
    """For each key that a marker names, the tests that carry it."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        source = path.read_text()
        if "honours" not in source:
            continue
        for place, names in _marked(ast.parse(source)):
            for name in names:
                found.setdefault(name, []).append(f"{path.relative_to(TESTS)}::{place}")
    return found


def _marked(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            yield "(module)", _names(node.value)
        if isinstance(node, ast.ClassDef):
            yield from _marked(ast.Module(node.body, []))
        if isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ) and node.name.startswith(("test", "Test")):
            for decorator in node.decorator_list:
                yield node.name, _names(decorator)


def _names(decorator: ast.AST) -> list[str]:
    """The literal arguments of every ``honours(…)`` inside an expression."""
    return [
        argument.value
        for call in ast.walk(decorator)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "honours"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def test_every_claimed_key_has_a_test() -> None:
    without = [
        path
        for path, key in keys().items()
        if must_be_shown(key) and path not in markers() and path not in NOT_OF_THE_TRAINER
    ]
    assert not without, "honoured without a test that shows it:\n" + "\n".join(without)


def test_every_marker_names_a_key_that_is_claimed() -> None:
    wrong = [
        f"{name}, of {', '.join(tests)}: "
        + ("is declared unhonoured" if name in keys() else "there is no such key")
        for name, tests in markers().items()
        if name not in keys() or not (claimed(keys()[name]) or _text_claimed(keys()[name]))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_marker_stands_beside_the_key_itself() -> None:
    """A test that never writes the key down can show what it does, but not that it does it."""
    silent = [
        name
        for name, tests in markers().items()
        if not any(_mentions(test.partition("::")[0], name.rpartition(".")[2]) for test in tests)
    ]
    assert not silent, "only a marker names them, and no test sets them:\n" + "\n".join(silent)


@cache
def _without_markers(file: str) -> str:
    """The source of a file of tests, but for the markers."""
    return ast.unparse(_Unmarked().visit(ast.parse((TESTS / file).read_text())))


def _mentions(file: str, word: str) -> bool:
    return re.search(rf"\b{word}\b", _without_markers(file)) is not None


class _Unmarked(ast.NodeTransformer):
    """Takes every ``honours(…)`` out."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "honours":
            return ast.Constant(None)
        return self.generic_visit(node)


def _text_claimed(key: Key) -> bool:
    """Texts, lists and mappings need no marker, but may have one where they are honoured."""
    return key.type in ("text", "list", "mapping") and (
        key.unhonoured is None or bool(key.honoured)
    )


def test_the_exceptions_are_keys() -> None:
    assert set(NOT_OF_THE_TRAINER) <= set(keys())
    assert not set(NOT_OF_THE_TRAINER) & set(markers())


def test_the_scan_sees_what_it_must() -> None:
    source = """
import pytest
pytestmark = [pytest.mark.honours("a.whole.module")]
@pytest.mark.slow
@pytest.mark.honours("a.b", "c.d")
def test_it(): ...
class TestMore:
    @pytest.mark.honours("e.f")
    async def test_that(self): ...
@pytest.mark.honours("not.a.test")
def helper(): ...
"""
    found = {name for _, names in _marked(ast.parse(source)) for name in names}
    assert found == {"a.whole.module", "a.b", "c.d", "e.f"}


@pytest.mark.parametrize(
    ("key", "is_claimed"),
    [
        ({"type": "boolean", "default": False}, True),
        ({"type": "boolean", "default": False, "unhonoured": "no"}, False),
        ({"type": "choice", "default": "a", "choices": ("a", "b")}, True),
        (
            {
                "type": "choice",
                "default": "a",
                "choices": ("a", "b"),
                "unhonoured_values": {"b": "no"},
            },
            False,
        ),
        ({"type": "integer", "default": 1, "unhonoured": "no", "honoured": (2,)}, True),
    ],
)
def test_what_a_claim_is(key: dict[str, Any], is_claimed: bool) -> None:  # noqa: FBT001
    assert claimed(Key(path="a.b", meaning="", kind="", **key)) is is_claimed
