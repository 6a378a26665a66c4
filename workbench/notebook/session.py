"""One editing session, shared by all widgets that were given the same draft."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from workbench.outlook import Figures, Outlook

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.findings import Finding, Fix
    from workbench.draft import Draft
    from workbench.plan import Plan

_open: WeakValueDictionary[int, Session]


class Session:
    """A draft, the lock that its edits take, and what its figures are compared with.

    Widgets find each other's edits, and those of cells, by the plan: another plan is another
    object.

    Args:
        draft: What is edited.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.lock = threading.RLock()
        self._before: Figures | None = None
        self._typing: object = None
        self._seen: Plan | None = None
        self._outlook: Outlook | None = None

    @classmethod
    def of(cls, draft: Draft) -> Session:
        """The session of a draft; the same one for every widget."""
        session = _open.get(id(draft))
        if session is None or session.draft is not draft:
            session = _open[id(draft)] = cls(draft)
        return session

    @property
    def outlook(self) -> Outlook:
        """The estimate and the verdict, made once for each plan."""
        plan = self.draft.plan
        if self._outlook is None or plan is not self._seen:
            self._outlook, self._seen = Outlook.of(plan, self._before), plan
        return self._outlook

    def edit(self, act: Callable[[], Any]) -> Any:
        """Do something to the draft; the figures that follow are compared with those of now."""
        self._typing = None
        self._remember()
        return act()

    def type(self, path: str, text: str, focus: object) -> None:
        """Take what has been typed so far; all of one visit to an input is one step of undo.

        Args:
            path: The key.
            text: As it was typed.
            focus: Which visit: a view's and the visit's number.

        Raises:
            WorkbenchError: The text is no value, or not yet.
        """
        goes_on = self._typing == (path, focus)
        if not goes_on:
            self._remember()
        steps = len(self.draft.undoable)
        self.draft.set(path, text, amend=goes_on)
        # What changed nothing made no step, and the next edit must not take another one's place.
        if goes_on or len(self.draft.undoable) > steps:
            self._typing = (path, focus)

    def start_over(self, draft: Draft) -> None:
        """Edit another plan in the place of this one."""
        self._typing = self._before = self._outlook = None
        self.draft = draft
        _open[id(draft)] = self

    def fix(self, name: str) -> Fix | None:
        """The repair of that name, see `fix_name`; None where the plan no longer needs it."""
        for finding in self.draft.findings:
            for number, fix in enumerate(finding.fixes):
                if fix_name(finding, number) == name:
                    return fix
        return None

    def _remember(self) -> None:
        now = self.outlook.now
        if now is not None:
            self._before = now


_open = WeakValueDictionary()


def fix_name(finding: Finding, number: int) -> str:
    """A name for a repair that holds as long as the finding does."""
    return f"{finding.rule}|{finding.path}|{number}"
