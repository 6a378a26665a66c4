"""Every finding that a config can have, as the table in ``configs/RULES.md``."""

from __future__ import annotations

_HEAD = """\
# Everything that can be wrong

What `ava config check` says, by the id that `--json` shows: {count} findings. An error stops a
launch, a warning deserves a look, a hint is advice. Made from the rules themselves by
`python -m workbench.config.jsonschema`.

| finding | severity | what holds where it is silent |
|---|---|---|
"""

_SCHEMA = {
    "unknown-key": "Every key is one of the schema, or one of its other names.",
    "invalid-value": "Every value has the type and the range of its key.",
    "not-a-section": "A section holds keys, not a value.",
    "unknown-hardware": "run.hardware is the name of a device profile.",
    "invalid": "Every part of a mapping has the form that its key asks for.",
}
"""What is said before any rule can look."""


def table() -> str:
    """All findings as Markdown: those of the schema, of the rules, and of the text of a file."""
    from workbench.config import notes
    from workbench.config.rules import RULES

    rows = [(name, "error", line) for name, line in _SCHEMA.items()]
    rows += [(rule.name, rule.severity, rule.summary) for rule in RULES.values()]
    rows += [
        (name, "hint" if name == "yaml-1.1" else "warning", line)
        for name, line in notes.RULES.items()
    ]
    lines = (f"| `{name}` | {severity} | {line} |\n" for name, severity, line in sorted(rows))
    return _HEAD.format(count=len(rows)) + "".join(lines)
