"""Questions with given answers: a check on what was understood, not on what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.lessons.checking import check
from workbench.lessons.outcome import Outcome, fail, passed, unattempted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def quiz(
    id: str,  # noqa: A002 - as `check` calls it
    right: str,
    *,
    because: str,
    wrong: Mapping[str, str],
    hints: tuple[str, ...] = (),
) -> Callable[..., Outcome]:
    """A check of a question with options; stands in a module of checks under any name.

    Args:
        id: Id of the check.
        right: The right option, such as ``b``.
        because: Why it is right.
        wrong: Every other option, and why it is not.
        hints: What helps on.
    """

    def judge(work: Any, answer: object = None) -> Outcome:
        del work
        if answer is None or answer == "":
            return unattempted("put the letter of your answer between quotes in the cell above")
        given = str(answer).strip().lower()
        if given == right:
            return passed(because, answer=given)
        if given in wrong:
            return fail(f"not {given}: {wrong[given]}", answer=given)
        options = ", ".join(sorted([right, *wrong]))
        return fail(f"{answer!r} is none of the answers: {options}", answer=str(answer)[:80])

    return check(id, hints=hints)(judge)
