"""What an unquoted word means: the YAML 1.2 core schema, with the digit groups of YAML 1.1.

PyYAML follows YAML 1.1, where ``3e-5`` is text, ``no`` is false and ``12:30`` is 750. A learning
rate that is silently text has cost many people a day, so we resolve plain scalars ourselves.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_INT = re.compile(r"[-+]?[0-9][0-9_]*\Z")
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_MAX_DIGITS = 4000  # int() refuses longer text (CPython's guard against quadratic time)


def resolve(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar.

    >>> resolve("3e-5"), resolve("no"), resolve("1_000"), resolve("010"), resolve("~")
    (3e-05, 'no', 1000, 10, None)
    """
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _MAX_DIGITS or text[0] not in "+-.0123456789":
        return text
    if _INT.match(text):
        return int(text.replace("_", ""))
    if _BASED.match(text):
        return int(text, 0)
    if _FLOAT.match(text):
        value = float(text.replace("_", ""))
        return text if value in (float("inf"), float("-inf")) else value  # 1e400 is no infinity
    return text


def resolve_1_1(text: str) -> Any:
    """What PyYAML, a YAML 1.1 reader, makes of a plain scalar.

    Raises:
        ValueError: It refuses the scalar.
    """
    import yaml

    loader = _pyyaml()
    node = yaml.ScalarNode(loader.resolve(yaml.ScalarNode, text, (True, False)), text)
    constructor = yaml.SafeLoader.yaml_constructors.get(node.tag)
    if constructor is None:
        raise ValueError(text)
    return constructor(loader, node)


def same(one: Any, other: Any) -> bool:
    """Whether two trees are equal, with types: 1 is not true, 1.0 is not 1, and NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)  # noqa: PLR0124


@cache
def _pyyaml() -> Any:
    import yaml

    return yaml.SafeLoader("")


def spell(value: Scalar) -> str:
    """A scalar as YAML 1.1 and 1.2 readers both understand it: 3e-05 becomes ``3.0e-05``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _spell_float(value)
    return _spell_text(value)


def _spell_float(value: float) -> str:
    if value != value:  # noqa: PLR0124  the definition of NaN, without importing math for it
        return ".nan"
    if value in (float("inf"), float("-inf")):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    if "e" in text:
        mantissa, exponent = text.split("e")
        if "." not in mantissa:
            mantissa += ".0"
        sign = exponent[0] if exponent[0] in "+-" else "+"
        return f"{mantissa}e{sign}{exponent.lstrip('+-')}"
    return text


# Words that a YAML 1.1 reader would not read as text.
_WORDS_1_1 = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_/.+@-]*\Z")


def _spell_text(value: str) -> str:
    if value.lower() not in _WORDS_1_1 and _PLAIN.match(value) and isinstance(resolve(value), str):
        return value
    return quote(value)


def quote(value: str) -> str:
    """Text in double quotes, on one line."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    escaped = escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    if escaped.isprintable():
        return f'"{escaped}"'
    return '"' + "".join(c if c.isprintable() else _escape(c) for c in escaped) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
