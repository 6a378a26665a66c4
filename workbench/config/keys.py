"""Every key of the schema by its dotted path, with everything that the schema says about it."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from workbench.config.schema import Config, Section

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Type = Literal["integer", "number", "text", "boolean", "choice", "list", "mapping"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the schema.

    Attributes:
        path: Dotted path, ``training.batch_size``.
        meaning: What it is.
        default: The value when no layer sets it.
        kind: What may stand there, in words: ``a whole number ≥ 1``, ``swiglu or gelu``.
        type: What may stand there, for programs.
        items: The type of the items of a list or the values of a mapping.
        choices: The allowed words, when it is a choice.
        optional: Whether null is allowed.
        bounds: Limits of a number or length of a text, such as ``{"ge": 1}``.
        unit: What one of it is.
        changes: What moves when it moves.
        ignored: When it has no effect.
        needs: The switch that has to be on for it to have an effect, or ``path=word``.
        unhonoured: Why today's trainer does not honour it.
        unhonoured_values: The same for single values.
        honoured: With `unhonoured`, the values that are honoured all the same.
    """

    path: str
    meaning: str
    default: Any
    kind: str
    type: Type
    items: Type | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    bounds: dict[str, float] = field(default_factory=dict)
    unit: str | None = None
    changes: str | None = None
    ignored: str | None = None
    needs: str | None = None
    unhonoured: str | None = None
    unhonoured_values: dict[str, str] = field(default_factory=dict)
    honoured: tuple[str | int, ...] = ()

    @property
    def section(self) -> str:
        """The path without the last name."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The last name of the path."""
        return self.path.rpartition(".")[2]

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other spellings of the key, as other systems and Ava's files write it."""
        from workbench.config.spelling import spellings

        return spellings(self.path)

    def why_unhonoured(self, value: Any) -> str | None:
        """Why today's trainer would not act on this value; None where it does."""
        if value == self.default:
            return None
        if self.unhonoured is not None:
            items = value if isinstance(value, list) else [value]
            return None if all(item in self.honoured for item in items) else self.unhonoured
        return self.unhonoured_values.get(value) if isinstance(value, str) else None


@cache
def keys() -> dict[str, Key]:
    """All keys, in the order of the schema."""
    found: dict[str, Key] = {}
    _collect(Config, "", found)
    return found


@cache
def sections() -> frozenset[str]:
    """Dotted paths of all sections."""
    return frozenset(
        ".".join(parts[:depth])
        for parts in (path.split(".") for path in keys())
        for depth in range(1, len(parts))
    )


@cache
def mappings() -> frozenset[str]:
    """Dotted paths of keys whose value is a mapping: one value that looks like a section."""
    return frozenset(path for path, key in keys().items() if key.type == "mapping")


@cache
def by_name() -> dict[str, tuple[str, ...]]:
    """For each last name, the paths that it stands for.

    The shallowest win, and of these the everyday sections: ``num_epochs`` is training.num_epochs
    although rlhf.num_epochs ends in it too. ``enabled`` is nobody's in particular.
    """
    names: dict[str, list[str]] = {}
    for path in keys():
        names.setdefault(path.rpartition(".")[2], []).append(path)
    return {
        name: tuple(path for path in paths if _rank(path) == min(map(_rank, paths)))
        for name, paths in names.items()
    }


_EVERYDAY = ("model", "training", "data", "evaluation", "run")


def _rank(path: str) -> tuple[int, bool]:
    return path.count("."), path.partition(".")[0] not in _EVERYDAY


def value_at(config: Config, path: str) -> Any:
    """The value of a key in a typed config."""
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def blank() -> dict[str, Any]:
    """The tree of all sections without a value.

    Validating it builds every section inside the root's own validator; a missing section would
    have its validator built apart, at several times the cost.
    """
    tree: dict[str, Any] = {}
    for path in sorted(sections()):
        inner = tree
        for name in path.split("."):
            inner = inner.setdefault(name, {})
    return tree


def _collect(model: type[Section], prefix: str, found: dict[str, Key]) -> None:
    for name, info in model.model_fields.items():
        path = f"{prefix}{name}"
        section = _section_of(info.annotation)
        if section is not None:
            _collect(section, f"{path}.", found)
            continue
        extra: dict[str, Any] = (
            info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        )
        needs = extra.get("x-needs") or model.NEEDS
        found[path] = Key(
            path=path,
            meaning=info.description or "",
            default=info.get_default(call_default_factory=True),
            unit=extra.get("x-unit"),
            changes=extra.get("x-changes"),
            ignored=extra.get("x-ignored"),
            needs=None if needs == path else needs,
            unhonoured=extra.get("x-unhonoured") or model.UNHONOURED,
            unhonoured_values=extra.get("x-unhonoured-values", {}),
            honoured=tuple(extra.get("x-honoured", ())),
            **_kind(info),
        )


def _section_of(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        assert issubclass(annotation, Section)
        return annotation
    return None


_TYPES: dict[Any, Type] = {int: "integer", float: "number", str: "text", bool: "boolean"}
_WORDS: dict[Type, str] = {
    "integer": "a whole number",
    "number": "a number",
    "text": "text",
    "boolean": "true or false",
}
_PLURALS: dict[Type, str] = {"integer": "whole numbers", "number": "numbers", "text": "texts"}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def _kind(info: FieldInfo) -> dict[str, Any]:
    """What may stand there: in words, and for programs."""
    members = [info.annotation]
    if typing.get_origin(info.annotation) in (typing.Union, types.UnionType):
        members = list(typing.get_args(info.annotation))
    optional = type(None) in members
    (member,) = (_bare(each) for each in members if each is not type(None))
    bounds = {
        name: bound
        for item in info.metadata
        for name in (*_BOUNDS, "max_length")
        if (bound := getattr(item, name, None)) is not None
    }
    kind: dict[str, Any] = {"optional": optional, "bounds": bounds}
    origin, inner = typing.get_origin(member), typing.get_args(member)
    if origin is Literal:
        kind |= {"type": "choice", "choices": inner}
        words = _or(inner)
    elif origin in (list, dict):
        kind |= {"type": "list" if origin is list else "mapping"}
        kind["items"] = _TYPES.get(_bare(inner[-1]))
        many = _PLURALS[kind["items"]] if kind["items"] else "values of any kind"
        words = f"a list of {many}"
        if origin is dict:
            words = f"a mapping of names to {many}"
    else:
        kind["type"] = _TYPES[member]
        words = _WORDS[kind["type"]]
    limits = ", ".join(
        f"{_BOUNDS[name]} {_plain(b)}" for name, b in bounds.items() if name in _BOUNDS
    )
    words += f" {limits}" if limits else ""
    return kind | {"kind": f"{words}, or null" if optional else words}


def _bare(annotation: Any) -> Any:
    """An annotation without its validators."""
    return annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation


def _plain(bound: float) -> str:
    return f"{bound:g}" if abs(bound) < 1e5 else f"{bound:,.0f}"


def _or(words: tuple[str, ...]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
