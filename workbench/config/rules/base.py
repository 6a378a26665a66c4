"""The frame of a rule: a pure function of the plan, registered under a stable id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from workbench.config.findings import Edit, Finding, Fix, Severity
from workbench.config.render import inline

if TYPE_CHECKING:
    from workbench.config.origins import Origin
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule may look at, never this machine.

    Attributes:
        config: The typed config.
        origins: Where its values came from.
        hardware: The hardware that the plan is made for; None assumes nothing about it.
        missing_paths: Keys that name a file or folder which is not there, as whoever looked found.
    """

    config: Config
    origins: dict[str, Origin] = field(default_factory=dict)
    hardware: HardwareProfile | None = None
    missing_paths: frozenset[str] = frozenset()

    def is_set(self, path: str) -> bool:
        """Whether any layer says something about the key."""
        return path in self.origins

    def blame(self, *paths: str) -> str:
        """The first of `paths` that a layer set, so that a finding can point at a line."""
        return next((path for path in paths if path in self.origins), paths[0])


REMOVE: Final = object()
"""In a repair: take the key away."""

Repair: TypeAlias = tuple[str, dict[str, Any]]
"""A title and what it sets, ``{key: value}``."""


def put(path: str, value: Any) -> Repair:
    """The repair that sets one key, titled as it would stand in a file."""
    return f"{path}: {inline(value)}", {path: value}


def drop(path: str) -> Repair:
    """The repair that takes one key away."""
    return f"remove {path}", {path: REMOVE}


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule found: the key, the sentence, and repairs, best first."""

    path: str
    message: str
    fixes: tuple[Repair, ...] = ()


Check: TypeAlias = Callable[[Subject], Iterator[Problem]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A registered rule; the first line of the function's docstring is its documentation."""

    name: str
    severity: Severity
    check: Check

    @property
    def summary(self) -> str:
        """The documentation line."""
        return (self.check.__doc__ or "").strip().splitlines()[0]

    def findings(self, subject: Subject) -> Iterator[Finding]:
        """The rule's problems as findings with origins."""
        for problem in self.check(subject):
            yield Finding(
                self.name,
                self.severity,
                problem.path,
                problem.message,
                _origin(problem.path, subject),
                tuple(_fix(repair, subject) for repair in problem.fixes),
            )


def _origin(path: str, subject: Subject) -> Origin | None:
    """Where a key was set; a mapping, where its first part was."""
    if path in subject.origins:
        return subject.origins[path]
    parts = (each for each in subject.origins if each.startswith(f"{path}."))
    return subject.origins.get(next(parts, ""))


def _fix(repair: Repair, subject: Subject) -> Fix:
    """The repair as edits; another spelling of a key gives way to the key itself."""
    title, values = repair
    edits: list[Edit] = []
    for path, value in values.items():
        origin = subject.origins.get(path)
        alias = origin.alias if origin else None
        if alias and _means_only(alias, path, subject):
            edits.append(Edit(alias, remove=True))
            title = title.replace(f"remove {path}", f"remove {alias}")
        if value is not REMOVE:
            edits.append(Edit(path, value))
        elif not alias:
            edits.append(Edit(path, remove=True))
    return Fix(title, tuple(edits))


def _means_only(alias: str, path: str, subject: Subject) -> bool:
    """Whether a spelling sets this key alone; a list of betas sets two."""
    return all(o.alias != alias for other, o in subject.origins.items() if other != path)


RULES: dict[str, Rule] = {}


def rule(name: str, severity: Severity) -> Callable[[Check], Check]:
    """Register a check under an id that never changes."""

    def register(check: Check) -> Check:
        assert name not in RULES, f"two rules are called {name}"
        RULES[name] = Rule(name, severity, check)
        return check

    return register
