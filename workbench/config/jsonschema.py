"""The schema in other forms: JSON Schema for editors, and the key reference for people.

Both are committed beside the layers and made again by ``python -m workbench.config.jsonschema``; a
test fails when they are stale.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workbench.config.aliases import SECTIONS
from workbench.config.findings_table import table
from workbench.config.keys import Key, keys, sections
from workbench.config.render import inline
from workbench.config.retired import RETIRED
from workbench.config.schema import Config, Section
from workbench.config.spelling import spellings
from workbench.resources import data_dir

if TYPE_CHECKING:
    from collections.abc import Sequence

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {
    "integer": "integer",
    "number": "number",
    "text": "string",
    "boolean": "boolean",
    "list": "array",
    "mapping": "object",
}
_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "max_length": "maxLength",
}


def generate() -> str:
    """JSON Schema of a config file: the canonical tree and ``extends``."""
    schema = {
        "$schema": DIALECT,
        "title": "Ava Workbench config",
        "description": "A layer of a training plan. Every key may be left out.",
        **_section(""),
    }
    schema["properties"] = {
        "extends": {
            "description": "Layers below this one, by name or path, the lowest first.",
            "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        },
        **schema["properties"],
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def reference() -> str:
    """The key reference in Markdown: one table per section, other spellings, retired keys."""
    parts = [_INTRODUCTION.format(keys=len(keys()), sections=len(sections()))]
    for path, title in _titles().items():
        whole = _model(path).UNHONOURED
        note = f" Not yet: {whole}." if whole else ""
        parts.append(f"## {path}\n\n{title}{note}\n")
        rows = [
            (f"`{key.name}`", _takes(key), f"`{inline(key.default)}`", _told(key, known=whole))
            for key in keys().values()
            if key.section == path
        ]
        if rows:
            parts.append(_table(("key", "takes", "default", ""), rows))
    parts.append("## Other spellings\n\nThey set the same key; the key's own name is the best.\n")
    also = ((path, ", ".join(f"`{each}`" for each in spellings(path))) for path in keys())
    parts.append(
        _table(("key", "also written"), [(f"`{path}`", names) for path, names in also if names])
    )
    parts.append("And sections that stand elsewhere in files made for other trainers:\n")
    moved = [(f"`{there}`", f"`{here}`") for there, here in SECTIONS]
    parts.append(_table(("section", "is read as"), moved))
    parts.append("## Retired keys\n\nKeys of other trainers that mean nothing here.\n")
    retired = [(f"`{path}`", reason) for path, reason in RETIRED.items()]
    parts.append(_table(("key", "instead"), retired))
    return "\n".join(parts)


_INTRODUCTION = """\
# Every key of a config

{keys} keys in {sections} sections, made from the schema by `python -m workbench.config.jsonschema`.
A key that is not set has its default: what the trainer does by itself. *Not yet* marks what today's
trainer does not act on; setting it is a warning.
"""


OUTPUTS = {"schema.json": generate, "KEYS.md": reference, "RULES.md": table}
"""Files in ``configs`` and what makes them."""


def stale() -> list[str]:
    """The files that no longer say what the schema says."""
    root = data_dir("configs")
    return [
        name
        for name, make in OUTPUTS.items()
        if not (root / name).exists() or (root / name).read_text("utf-8") != make()
    ]


def write() -> None:
    """Make the committed files again."""
    for name, make in OUTPUTS.items():
        (data_dir("configs") / name).write_text(make(), "utf-8")


def _section(path: str) -> dict[str, Any]:
    """A section as a JSON Schema object."""
    inside: dict[str, Any] = {}
    for name in _model(path).model_fields:
        here = f"{path}.{name}" if path else name
        if here in keys():
            inside[name] = _key(keys()[here])
        else:
            inside[name] = {"description": _titles()[here], **_section(here)}
    return {"type": "object", "additionalProperties": False, "properties": inside}


def _key(key: Key) -> dict[str, Any]:
    unit = f" Unit: {key.unit}." if key.unit else ""
    schema: dict[str, Any] = {"description": _told(key) + unit}
    if key.type == "choice":
        schema["enum"] = [*key.choices, *([None] if key.optional else [])]
    else:
        plain = _TYPES[key.type]
        schema["type"] = [plain, "null"] if key.optional else plain
    if key.type == "list" and key.items:
        schema["items"] = {"type": _TYPES[key.items]}
    if key.type == "mapping":
        schema["additionalProperties"] = {"type": _TYPES[key.items]} if key.items else {}
    schema |= {_BOUNDS[name]: bound for name, bound in key.bounds.items()}
    schema["default"] = key.default
    return schema


def _model(path: str) -> type[Section]:
    model: type[Section] = Config
    for name in path.split(".") if path else []:
        inner = model.model_fields[name].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, Section)
        model = inner
    return model


def _titles() -> dict[str, str]:
    """What each section is about, in the order of the schema."""
    ordered = dict.fromkeys(
        ".".join(parts[:depth])
        for parts in (path.split(".") for path in keys())
        for depth in range(1, len(parts))
    )
    return {path: (_model(path).__doc__ or "").strip().splitlines()[0] for path in ordered}


def _takes(key: Key) -> str:
    return f"{key.kind} ({key.unit})" if key.unit else key.kind


def _told(key: Key, *, known: str | None = None) -> str:
    """Everything that is to be said about a key, in sentences; `known` has been said before."""
    parts = [key.meaning]
    for label, text in (("Changes", key.changes), ("Ignored", key.ignored)):
        if text:
            parts.append(f"{label}: {text}.")
    if key.needs:
        parts.append(f"Needs: {key.needs.replace('=', ': ')}.")
    if key.unhonoured and key.unhonoured != known:
        but = f" (but for {', '.join(map(str, key.honoured))})" if key.honoured else ""
        parts.append(f"Not yet{but}: {key.unhonoured}.")
    reasons: dict[str, list[str]] = {}
    for value, reason in key.unhonoured_values.items():
        reasons.setdefault(reason, []).append(value)
    parts += [f"Not yet {', '.join(values)}: {reason}." for reason, values in reasons.items()]
    return " ".join(parts)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


if __name__ == "__main__":
    write()
