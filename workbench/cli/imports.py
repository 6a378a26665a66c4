"""What `ava import` and `ava lint` have in common: reading files and telling what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.cli.output import console, relative

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from workbench.config.findings import Finding
    from workbench.dialects.base import Guess, Reading, Remark
    from workbench.dialects.joining import Joined

_LONG = 60
_COLUMN = 34


@dataclass(frozen=True, slots=True)
class Imported:
    """Foreign files, understood.

    Attributes:
        readings: One for each file, with the reason for its system.
        titles: The name of each one's system.
        joined: The layer that they make together.
        findings: What the workbench finds in that layer.
    """

    readings: tuple[tuple[Reading, Guess], ...]
    titles: tuple[str, ...]
    joined: Joined
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Whether upstream would refuse one of the files."""
        return any(
            remark.verdict == "refused"
            for reading, _ in self.readings
            for remark in reading.remarks
        )


def read_files(files: Sequence[str], system: str | None) -> Imported:
    """Read foreign files that belong together.

    Raises:
        ConfigError: A file cannot be read or understood.
        UsageError: There is no such system.
    """
    from workbench.config.layers import compose
    from workbench.dialects.joining import join
    from workbench.dialects.opening import open_foreign
    from workbench.dialects.registry import dialect, understand
    from workbench.plan import Plan

    readings = []
    for file in files:
        foreign, remarks = open_foreign(Path(file))
        readings.append(understand(foreign, system, remarks))
    joined = join([reading for reading, _ in readings])
    titles = tuple(dialect(reading.system).title for reading, _ in readings)
    findings = Plan(compose([joined.layer])).findings
    return Imported(tuple(readings), titles, joined, _founded(findings, joined.layer.tree))


def _founded(findings: Sequence[Finding], tree: dict[str, Any]) -> tuple[Finding, ...]:
    """Findings without those about the sizes of a model that no file names: those are ours."""
    if "model" in tree:
        return tuple(findings)
    from workbench.config.keys import keys

    sizes = {path.rpartition(".")[2] for path in keys() if path.startswith("model.")}
    return tuple(
        finding
        for finding in findings
        if not finding.path.startswith("model.")
        and not any(edit.path.startswith("model.") for fix in finding.fixes for edit in fix.edits)
        and sizes.isdisjoint(re.findall(r"[a-z]+(?:_[a-z]+)+", finding.message))
    )


def to_dict(imported: Imported, wrote: str | None = None) -> dict[str, Any]:
    """Everything as JSON-ready data."""
    from dataclasses import asdict

    return {
        "files": [
            {
                "file": reading.layer.name,
                "system": reading.system,
                "title": title,
                "score": guess.score,
                "reason": guess.reason,
                "understood": {path: list(ours) for path, ours in reading.places.items()},
                "residue": [
                    asdict(each) | {"path": ".".join(each.path)} for each in reading.residue
                ],
                "remarks": [asdict(remark) for remark in reading.remarks],
            }
            for (reading, guess), title in zip(imported.readings, imported.titles, strict=True)
        ],
        "together": [asdict(remark) for remark in imported.joined.remarks],
        "layer": imported.joined.layer.tree,
        "findings": [finding.to_dict() for finding in imported.findings],
        "refused": imported.refused,
        "wrote": wrote,
    }


def tell(imported: Imported) -> None:
    """Print everything for a person."""
    out = console()
    for index, ((reading, guess), title) in enumerate(
        zip(imported.readings, imported.titles, strict=True)
    ):
        if index:
            out.print()
        _tell_one(out, reading, guess, title)
    if imported.joined.remarks:
        section(out, "the files together", [_said(remark) for remark in imported.joined.remarks])
    _tell_findings(out, imported.findings)


def _tell_one(out: Console, reading: Reading, guess: Guess, title: str) -> None:
    from rich.text import Text

    out.print(Text(relative(reading.layer.name), style="bold"))
    out.print(f"{title}: {guess.reason}", markup=False)
    _tell_places(out, reading)
    for heading, kind, verdict in (
        (f"{title} refuses", "upstream", "refused"),
        (f"{title} ignores", "upstream", "ignored"),
        (f"about {title}", "upstream", None),
        ("assumed", "assumed", None),
        ("repaired", "repaired", None),
        ("translated", "translated", None),
    ):
        found = [
            remark
            for remark in reading.remarks
            if remark.kind == kind
            and (
                verdict == remark.verdict
                or (verdict is None and remark.verdict not in ("refused", "ignored"))
            )
        ]
        if found:
            section(out, heading, [_said(remark) for remark in found])
    _tell_residue(out, reading)


def _tell_residue(out: Console, reading: Reading) -> None:
    """The residue by reason; what has no line is about the form of the file, and only counted."""
    reasons: dict[str, list[str]] = {}
    form: dict[str, int] = {}
    for each in reading.residue:
        if each.line is None:
            form[each.reason] = form.get(each.reason, 0) + 1
        else:
            shown = f"{'.'.join(each.path)} = {_short(each.value)}"
            reasons.setdefault(each.reason, []).append(shown)
    if reading.residue:
        out.print("\nkept for ava export, without effect here", markup=False)
    for reason, keys in reasons.items():
        indented(out, f"{reason}:", 2)
        for key in keys:
            indented(out, key, 4)
    for reason, count in form.items():
        indented(out, f"{reason}  ({count})", 2)


def _tell_places(out: Console, reading: Reading) -> None:
    if not reading.places:
        return
    out.print(f"\nunderstood: {len(reading.places)} keys", markup=False)
    values = _values(reading)
    for theirs, ours in reading.places.items():
        said = [f"{path} = {_short(values[path])}" for path in ours if path in values]
        words = ", ".join(said or ours)
        if len(theirs) <= _COLUMN and _COLUMN + len(words) + 6 <= out.width:
            indented(out, f"{theirs:<{_COLUMN}}  → {words}", 2)
        else:
            indented(out, theirs, 2)
            indented(out, f"→ {words}", 6)


def _values(reading: Reading) -> dict[str, Any]:
    from workbench.dialects.joining import flat

    return dict(flat(reading.layer.tree))


def _tell_findings(out: Console, findings: Sequence[Finding]) -> None:
    """The workbench's own errors; the rest is counted."""
    errors = [finding for finding in findings if finding.severity == "error"]
    for finding in errors:
        out.print("\n" + finding.render(), markup=False)
    rest = len(findings) - len(errors)
    if rest:
        out.print(
            f"\n{rest} more warning{'s' if rest > 1 else ''} or hint{'s' if rest > 1 else ''}: "
            "ava config check LAYER",
            markup=False,
            style="dim",
        )


def section(out: Console, heading: str, lines: Sequence[str]) -> None:
    """A heading with lines below it."""
    out.print(f"\n{heading}", markup=False)
    for line in lines:
        indented(out, line, 2)


def indented(out: Console, line: str, columns: int) -> None:
    """A line that stays indented where a terminal wraps it; in a file it stays one line."""
    from rich.padding import Padding
    from rich.text import Text

    if out.soft_wrap:
        out.print(Text(" " * columns + line))
    else:
        out.print(Padding(Text(line), (0, 0, 0, columns)))


def _said(remark: Remark) -> str:
    place = f"line {remark.line}  " if remark.line else ""
    key = f"{remark.path}: " if remark.path else ""
    return f"{place}{key}{remark.message}"


def _short(value: Any) -> str:
    from workbench.config.render import inline

    text = inline(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
