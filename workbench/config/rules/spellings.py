"""Rules about one fact that is written down in several places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.render import inline
from workbench.config.rules.base import REMOVE, Problem, Subject, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.origins import Origin


@rule("aliases-disagree", "warning")
def aliases_disagree(subject: Subject) -> Iterator[Problem]:
    """Two spellings of one fact say the same.

    What is typed on a command line or in a form is meant to overrule the files, whatever they call
    it; there only two spellings side by side are worth a word.
    """
    for path, origin in subject.origins.items():
        latest = {origin.alias: origin}
        for other in origin.shadowed:
            latest.setdefault(other.alias, other)
        others = [
            other
            for other in latest.values()
            if other.value != origin.value
            and (origin.file is not None or other.layer == origin.layer)
        ]
        if twice := _same_spelling_twice(origin):
            yield Problem(
                path,
                f"{_said(path, origin)} and {_said(path, twice)}: {inline(origin.value)} is used",
                (("delete one of the two lines", {}),),
            )
        if others:
            used = inline(origin.value)
            *first, last = (_said(path, each) for each in (origin, *others))
            both = "both" if len(others) == 1 else "all"
            names = {each.alias: REMOVE for each in (origin, *others) if each.alias}
            yield Problem(
                path,
                f"{', '.join(first)} and {last}, but {both} are {path}: {used} is used",
                ((f"say it once: {path}: {used}", {**names, path: origin.value}),),
            )


def _said(path: str, origin: Origin) -> str:
    return f"{origin.alias or path} says {inline(origin.value)} ({origin.place()})"


def _same_spelling_twice(origin: Origin) -> Origin | None:
    """Another line of the same file for the value: once with dots in the name, once without."""
    for other in origin.shadowed:
        here = (other.layer, other.file, other.alias) == (origin.layer, origin.file, origin.alias)
        if here and other.mark != origin.mark and other.value != origin.value:
            return other
    return None
