"""Checks: functions that look at evidence and say pass, fail or unattempted, and how they are run.

A lesson's checks stand in `workbench.lessons.checks`, in the module of its id, which is imported
when the first of them is asked for:

    @check("launched", hints=("look at …", "the whole answer: …"))
    def launched(work: Work, run: str | None = "first") -> Outcome:
        evidence = work.run(run)
        if evidence is None:
            return unattempted("there is no run of that name yet")
        return evidence.verify(work) or passed("it has learnt", loss=evidence.last_loss)

The checks of a lesson of one's own stand beside it: ``NAME.md`` and ``NAME.py``.

A check judges by what lies on disk, never by the learner's variables; the only things it takes from
the cell are names of runs and files, and answers.
"""

from __future__ import annotations

import inspect
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbench.errors import ConfigError, DataError, UsageError, WorkbenchError
from workbench.lessons.outcome import Outcome, Status, fail, passed, unattempted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.workspace import Workspace

    Judge = Callable[..., Outcome]

__all__ = ["Check", "Outcome", "Status", "check", "checks_of", "fail", "passed", "run_check",
           "unattempted"]  # fmt: skip

_MARK = "__ava_check__"


@dataclass(frozen=True, slots=True)
class Check:
    """A check as its lesson has it.

    Attributes:
        id: Its name in the lesson.
        hints: What helps on, the gentlest first.
        judge: The function.
        digest: A hash of its source and of what its module shares: another one makes earlier
            passes stale.
    """

    id: str
    hints: tuple[str, ...]
    judge: Judge
    digest: str


def check(id: str, *, hints: tuple[str, ...] = ()) -> Callable[[Judge], Judge]:  # noqa: A002 - as cells call it
    """Make a function the check of that id.

    Args:
        id: Its name, as ``learn.check("…")`` in a cell says it.
        hints: What helps on, the gentlest first; the last one may be the whole answer.
    """

    def mark(judge: Judge) -> Judge:
        setattr(judge, _MARK, (id, hints))
        return judge

    return mark


def checks_of(lesson: str, module: ModuleType | None = None) -> dict[str, Check]:
    """The checks of a lesson, by id.

    Args:
        lesson: The lesson's id.
        module: Where they stand; by default the module of `workbench.lessons.checks`.

    Raises:
        UsageError: The lesson has no checks.
    """
    if module is None:
        name = f"workbench.lessons.checks.{lesson.replace('-', '_')}"
        try:
            module = import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise UsageError(f"the lesson {lesson} has no checks", fix="ava lessons") from None
    marked = {name: value for name, value in vars(module).items() if hasattr(value, _MARK)}
    shared = _shared_source(module, set(marked))
    found: dict[str, Check] = {}
    for judge in marked.values():
        name, hints = getattr(judge, _MARK)
        assert name not in found, f"two checks are named {name}"
        found[name] = Check(name, hints, judge, _digest(shared, inspect.getsource(judge)))
    return found


def module_of(lesson: Lesson) -> ModuleType | None:
    """Where the checks of a lesson stand that is not of the course; None for one that is."""
    from workbench.resources import data_dir

    if lesson.path.resolve().parent == data_dir("lessons").resolve():
        return None
    path = lesson.path.with_suffix(".py").resolve()
    if not path.is_file():
        raise UsageError(
            f"the lesson {lesson.id} has no checks", where=str(path), fix="write them there"
        )
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(f"ava_checks_{lesson.id.replace('-', '_')}", path)
    assert spec is not None, "a path ending in .py has a loader"
    assert spec.loader is not None, "a path ending in .py has a loader"
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - whatever the author of the lesson has done
        raise UsageError(
            f"the checks of {lesson.id} cannot be loaded",
            where=str(path),
            why=f"{type(error).__name__}: {error}",
        ) from None
    return module


def _shared_source(module: ModuleType, checks: set[str]) -> str:
    """The source of a module without its checks: helpers, constants and imports of them all."""
    import ast

    tree = ast.parse(inspect.getsource(module))
    kept = [node for node in tree.body if getattr(node, "name", None) not in checks]
    return "\n".join(ast.unparse(node) for node in kept)


def _digest(*texts: str) -> str:
    import hashlib

    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def run_check(
    workspace: Workspace,
    lesson: Lesson,
    check_id: str,
    given: Mapping[str, Any] | None = None,
    *,
    module: ModuleType | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run one check on what lies in a workspace, and write down its verdict.

    A verdict of ``unattempted`` is not written: whoever opens a passed lesson again and runs all
    its cells has not unlearnt it.

    Args:
        workspace: Where the learner works.
        lesson: The lesson.
        check_id: Which of its checks.
        given: What the cell says: names of runs and files, answers.
        module: Where the lesson's checks stand, if elsewhere.
        told: Called with a line before something that takes a while.

    Raises:
        UsageError: The lesson has no such check.
    """
    from workbench.lessons.evidence import Work
    from workbench.lessons.hints import revealed

    found = named(lesson, check_id, module)
    work = Work(workspace, lesson, told)
    arguments = dict(given or {})
    outcome = _judged(found, work, arguments)
    cell = lesson.check_cell(check_id)
    outcome = outcome.of(
        check_id,
        title=cell.title if cell is not None else "",
        hints=found.hints,
        shown=revealed(workspace, lesson.id, check_id),
    )
    if outcome.status != "unattempted":
        _write_down(workspace, lesson, found, outcome, arguments, work.proofs)
    return outcome


def named(lesson: Lesson, check_id: str, module: ModuleType | None = None) -> Check:
    """One of the lesson's checks.

    Raises:
        UsageError: It has no such check.
    """
    known = checks_of(lesson.id, module or module_of(lesson))
    if check_id in known:
        return known[check_id]
    import difflib

    near = difflib.get_close_matches(check_id, known, n=1)
    raise UsageError(
        f"the lesson {lesson.id} has no check {check_id!r}",
        fix=f'learn.check("{near[0]}")' if near else f"one of: {', '.join(known)}",
    )


def _judged(found: Check, work: Any, given: dict[str, Any]) -> Outcome:
    """The verdict; whatever goes wrong in a check is a verdict too."""
    takes = list(inspect.signature(found.judge).parameters)[1:]
    if unknown := [name for name in given if name not in takes]:
        words = f"it takes {', '.join(takes)}" if takes else "it takes nothing but its name"
        return Outcome("error", f"the check {found.id} takes no {unknown[0]!r}: {words}")
    try:
        outcome: Any = found.judge(work, **given)
    except (ConfigError, DataError) as error:  # the learner's own file, and theirs to repair
        return fail(error.render().removeprefix("error: "))
    except WorkbenchError as error:
        return Outcome("error", error.render().removeprefix("error: "))
    except Exception as error:  # noqa: BLE001 - a learner never sees a traceback of ours
        place = _place(error)
        return Outcome("error", f"{type(error).__name__}: {error}\nin {place}; this is our mistake")
    if not isinstance(outcome, Outcome):
        return Outcome("error", f"the check {found.id} has returned {outcome!r}, and no outcome")
    return outcome


def _place(error: BaseException) -> str:
    """File and line of the innermost call."""
    traceback = error.__traceback__
    place = "an unknown place"
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = f"{code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return place


def _write_down(
    workspace: Workspace,
    lesson: Lesson,
    found: Check,
    outcome: Outcome,
    given: Mapping[str, Any],
    proofs: Mapping[str, Any],
) -> None:
    from workbench.lessons import receipts

    evidence = {**outcome.evidence, **({"runs": dict(proofs)} if proofs else {})}
    receipts.append(
        workspace,
        receipts.Receipt(
            t=time.time(),
            lesson=lesson.id,
            digest=lesson.digest_of(found.id),
            check=found.id,
            check_digest=found.digest,
            status=outcome.status,
            evidence=plain(evidence | ({"why": outcome.why} if outcome.why else {})),
            versions=versions(),
            device=device(),
            given=plain(given),
        ),
    )


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that JSON can hold; of anything else, how it reads."""
    import json

    found: dict[str, Any] = json.loads(
        json.dumps(dict(values), default=lambda value: repr(value)[:200])
    )
    return found


def versions() -> dict[str, str]:
    """What a verdict depends on: the workbench, Python and torch, without importing torch."""
    from importlib.metadata import PackageNotFoundError, version
    from platform import python_version

    from workbench import __version__

    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = ""
    return {"workbench": __version__, "python": python_version(), "torch": torch}


def device() -> str:
    """What this machine computes with: the name of its first GPU, or ``cpu``."""
    from workbench.hardware import nvml

    try:
        cards = nvml.cards()
    except nvml.NvmlError:
        return "cpu"
    return cards[0].name if cards else "cpu"
