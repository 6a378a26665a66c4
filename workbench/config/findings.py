"""What is wrong with a plan, and the edits that would repair it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.config.origins import Origin

Severity = Literal["error", "warning", "hint"]


@dataclass(frozen=True, slots=True)
class Edit:
    """Set `path` to `value`; with `remove`, take the key away."""

    path: str
    value: Any = None
    remove: bool = False


@dataclass(frozen=True, slots=True)
class Fix:
    """A repair that one key press can apply."""

    title: str
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about a plan.

    Attributes:
        rule: Stable id of the rule, for tests, documentation and searching.
        severity: ``error`` stops a launch, ``warning`` deserves a look, ``hint`` is advice.
        path: The key that it is about, dotted; empty for the plan as a whole.
        message: What is wrong and what the rule is, in one or two sentences.
        origin: Where the value was set, when a layer set it.
        fixes: Repairs, best first.
    """

    rule: str
    severity: Severity
    path: str
    message: str
    origin: Origin | None = None
    fixes: tuple[Fix, ...] = ()

    def render(self) -> str:
        """The finding as a person reads it, in the shape of `WorkbenchError.render`."""
        lines = [f"{self.severity}: {self.message}"]
        if self.origin is not None:
            written = f", as {self.origin.alias}" if self.origin.alias else ""
            lines.append(f"  where: {self.origin.place()}{written}")
        lines.extend(f"  try:   {fix.title}" for fix in self.fixes)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "path": self.path,
            "message": self.message,
            "where": self.origin.place() if self.origin else None,
            "fixes": [
                {
                    "title": fix.title,
                    "edits": [
                        {"path": edit.path, "remove": True}
                        if edit.remove
                        else {"path": edit.path, "value": edit.value}
                        for edit in fix.edits
                    ],
                }
                for fix in self.fixes
            ],
        }


class FindingsError(ConfigError):
    """The plan has findings that stop a launch. All of them are shown at once."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        first = findings[0]
        super().__init__(
            first.message,
            where=first.origin.place() if first.origin else None,
            fix=first.fixes[0].title if first.fixes else None,
        )

    def render(self) -> str:
        """Every finding, one after the other."""
        return "\n".join(finding.render() for finding in self.findings)
