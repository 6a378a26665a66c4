"""What a check says, and how it looks in a terminal, in a notebook and to a program."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

Status = Literal["pass", "fail", "unattempted", "stale", "error"]

MIME: Final = "application/vnd.ava.check+json"
"""The form of an outcome that programs read: the terminal's reader, tests, the browser."""

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "pass": ("✓", "passed"),
    "fail": ("✗", "not yet"),
    "unattempted": ("○", "not attempted yet"),
    "stale": ("↻", "passed before, run it again"),
    "error": ("!", "the check itself has failed"),
}
# On white and on black each of them has a contrast of at least 4.5 (WCAG 2.2, 1.4.3): light, dark.
_COLOURS: Final[dict[str, tuple[str, str]]] = {
    "pass": ("#1a7f37", "#3fb950"),
    "fail": ("#b42318", "#ff7b72"),
    "unattempted": ("#57606a", "#9aa4af"),
    "stale": ("#8a5a00", "#d9a441"),
    "error": ("#7a3db8", "#c297ff"),
}
_WIDTH: Final = 76


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict of one check.

    Attributes:
        status: ``pass``, ``fail``, ``unattempted`` (nothing to judge yet), ``stale`` (an earlier
            pass whose lesson or check has changed) or ``error`` (the check could not judge).
        why: The reason, in sentences for a person.
        hints: What helps on, the gentlest first.
        evidence: The figures that it was judged by, JSON-ready.
        check: Id of the check; empty while nobody has set it.
        title: What the check asks, as its cell says.
        shown: How many of the hints the learner has asked for so far.
    """

    status: Status
    why: str = ""
    hints: tuple[str, ...] = ()
    evidence: dict[str, Any] = field(default_factory=dict)
    check: str = ""
    title: str = ""
    shown: int = 0

    @property
    def passed(self) -> bool:
        """Whether it is a pass."""
        return self.status == "pass"

    def of(
        self, check: str, *, title: str = "", hints: tuple[str, ...] = (), shown: int = 0
    ) -> Outcome:
        """The same verdict as that of a named check."""
        return replace(self, check=check, title=title, hints=hints, shown=shown)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON-ready data."""
        return {
            "check": self.check,
            "title": self.title,
            "status": self.status,
            "why": self.why,
            "hints": list(self.hints[: self.shown]),
            "hints_left": max(0, len(self.hints) - self.shown),
            "evidence": self.evidence,
        }

    @property
    def _next(self) -> str:
        """What to type for another hint; empty where there is none, or none is needed."""
        wanted = self.status in ("fail", "unattempted") and self.check
        return f'learn.hint("{self.check}")' if wanted and self.shown < len(self.hints) else ""

    def text(self) -> str:
        """The outcome as plain lines."""
        sign, words = _WORDS[self.status]
        lines = [f"{sign} {self.title or self.check or 'check'}: {words}"]
        lines += _wrapped(self.why, "  ")
        for number, hint in enumerate(self.hints[: self.shown], start=1):
            lines += _wrapped(f"hint {number}: {hint}", "  ")
        if self._next:
            lines.append(f"  a hint: {self._next}")
        return "\n".join(lines)

    def html(self) -> str:
        """The outcome as HTML that needs nothing from elsewhere and suits light and dark pages."""
        sign, words = _WORDS[self.status]
        light, dark = _COLOURS[self.status]
        title = f"<b>{html.escape(self.title or self.check or 'check')}</b>: {words}"
        sign = f'<span aria-hidden="true">{sign}</span>'
        parts = [f'<div class="ava-check-head">{sign} {title}</div>']
        if self.why:
            parts.append(f"<div>{_lines(self.why)}</div>")
        for number, hint in enumerate(self.hints[: self.shown], start=1):
            parts.append(f"<div><b>hint {number}</b> {_lines(hint)}</div>")
        if self._next:
            parts.append(f"<div>a hint: <code>{html.escape(self._next)}</code></div>")
        return (
            f'<div class="ava-check" role="status" data-status="{self.status}" '
            f'style="--ava-light:{light};--ava-dark:{dark}">{_STYLE}{"".join(parts)}</div>'
        )

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The three forms, for IPython."""
        return {"text/plain": self.text(), "text/html": self.html(), MIME: self.to_dict()}


def _wrapped(text: str, indent: str) -> list[str]:
    return [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(
            paragraph, _WIDTH, initial_indent=indent, subsequent_indent=indent
        )
        or [""]
    ]


def _lines(text: str) -> str:
    return "<br>".join(html.escape(line) for line in text.splitlines())


# JupyterLab says its theme in body[data-jp-theme-light]; elsewhere the system's wish counts.
_STYLE: Final = (
    "<style>.ava-check{border-left:4px solid var(--ava-light);padding:.4em .8em;margin:.3em 0;"
    "line-height:1.5}.ava-check-head{color:var(--ava-light)}"
    "@media (prefers-color-scheme:dark){body:not([data-jp-theme-light]) .ava-check"
    "{border-color:var(--ava-dark)}body:not([data-jp-theme-light]) .ava-check-head"
    "{color:var(--ava-dark)}}"
    'body[data-jp-theme-light="false"] .ava-check{border-color:var(--ava-dark)}'
    'body[data-jp-theme-light="false"] .ava-check-head{color:var(--ava-dark)}</style>'
)


def passed(why: str = "", **evidence: Any) -> Outcome:
    """A pass, with what it rests on."""
    return Outcome("pass", why, evidence=evidence)


def fail(why: str, *advice: str, **evidence: Any) -> Outcome:
    """Not yet: why, and what to do about this very mistake; the check's own hints come on top."""
    return Outcome("fail", "\n".join((why, *advice)), evidence=evidence)


def unattempted(why: str = "") -> Outcome:
    """Nothing is there to be judged."""
    return Outcome("unattempted", why)
