"""The author gate: a lesson is run as a learner would, rightly and wrongly, in every face.

1. Untouched: no cell breaks, and every check says ``unattempted``.
2. Solved (``SOLUTION`` of its case): every check passes.
3. Wrongly solved (``MUTANTS``): the check says ``fail``, for the reason that the author has named.
4. In a notebook: the generated one, solved, gives the same verdicts.

A case is `tests/lessons/cases/<lesson_id_with_underscores>.py`. All stages share one workspace, so
that runs are trained once; each mutant finds it as the solution has left it. With
``AVA_RECORD_RECEIPTS=1`` what has passed is written into ``lessons/validated.jsonl``.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from workbench.lessons.kernel import Kernel, Output
from workbench.lessons.lesson_file import Cell, Lesson
from workbench.lessons.outcome import MIME
from workbench.lessons.workspace import Workspace
from workbench.tui.learner import Shown, verdict_of

_MOST = 100_000  # characters of a stream that are kept

Verdict = dict[str, Any]


@dataclass(frozen=True)
class Mutant:
    """A wrong solution.

    Attributes:
        check: Id of the check that has to see it.
        changes: Cells that differ from the solution, by id; they are run in the lesson's order.
        why: A part of the reason that the check has to give.
        tamper: What is done to the workspace after these cells, and before the check.
    """

    check: str
    changes: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    tamper: Callable[[Workspace], None] | None = None


@dataclass(frozen=True)
class Case:
    """What an author says about a lesson.

    Attributes:
        lesson: The lesson.
        solution: Sources in the place of those of edit and config cells, by cell id.
        mutants: Wrong solutions, at least one for each check.
    """

    lesson: Lesson
    solution: Mapping[str, str]
    mutants: tuple[Mutant, ...]

    @classmethod
    def of(cls, lesson: Lesson) -> Case:
        """The case of a lesson of the course."""
        module = import_module(f"tests.lessons.cases.{lesson.id.replace('-', '_')}")
        return cls(lesson, module.SOLUTION, tuple(module.MUTANTS))

    def source(self, cell: Cell) -> str:
        """The source of a cell as solved."""
        return self.solution.get(cell.id, cell.source)


@dataclass
class Result:
    """What the gate has found.

    Attributes:
        problems: What is wrong, a sentence each; the gate is passed when there is none.
        seconds: How long the cells took, untouched and solved together: every run is in it once.
        verdicts: By stage, each check's verdict.
    """

    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    verdicts: dict[str, dict[str, str]] = field(default_factory=dict)


def environment(folder: Path) -> dict[str, str]:
    """Variables that keep a kernel, and what it launches, away from this user's home."""
    names = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
             "XDG_STATE_HOME")  # fmt: skip
    home = folder.with_name(f"{folder.name}-home")
    home.mkdir(parents=True, exist_ok=True)
    return {name: str(home / name.lower()) for name in names} | {"OMP_NUM_THREADS": "1"}


def mistakes_of(case: Case) -> list[str]:
    """What is wrong with a case before anything is run."""
    lesson, known = case.lesson, {cell.id: cell for cell in case.lesson.cells}
    found = [
        f"SOLUTION names {name}, which is no cell" for name in case.solution.keys() - known.keys()
    ]
    found += [
        f"SOLUTION changes {name}, which a learner is not asked to change"
        for name in case.solution.keys() & known.keys()
        if not (known[name].is_edit or known[name].is_config)
    ]
    seen = {mutant.check for mutant in case.mutants}
    found += [f"no mutant fails the check {check}" for check in lesson.checks if check not in seen]
    for place, mutant in enumerate(case.mutants):
        if mutant.check not in lesson.checks:
            found.append(f"mutant {place} is about {mutant.check}, which is no check")
        if not mutant.why:
            found.append(f"mutant {place} of {mutant.check} names no reason")
        found += [f"mutant {place} changes {name}, which is no cell"
                  for name in mutant.changes.keys() - known.keys()]  # fmt: skip
    return found


async def run_gate(case: Case, folder: Path, env: Mapping[str, str] | None = None) -> Result:
    """Run all stages; stops after a stage that the later ones could not build on."""
    result = Result(mistakes_of(case))
    workspace = Workspace.open(folder)
    env = {**environment(folder), "AVA_WORKSPACE": str(folder), **(env or {})}
    async with Kernel(folder, env) as kernel:
        untouched = await _stage(kernel, case, result, "untouched", {})
        for check, verdict in untouched.items():
            if verdict.get("status") != "unattempted":
                result.problems.append(
                    f"untouched: {check} says {verdict.get('status')}: {verdict.get('why')}"
                )
        solved = await _stage(kernel, case, result, "solved", case.solution)
        for check, verdict in solved.items():
            if verdict.get("status") != "pass":
                result.problems.append(
                    f"solved: {check} says {verdict.get('status')}: {verdict.get('why')}"
                )
        await _mutants(kernel, case, workspace, result)
    _notebook(case, workspace, result, env)
    return result


async def _stage(
    kernel: Kernel, case: Case, result: Result, stage: str, sources: Mapping[str, str]
) -> dict[str, Verdict]:
    """Run all cells; returns the verdict of every check."""
    verdicts: dict[str, Verdict] = {check: {} for check in case.lesson.checks}
    begun = time.monotonic()
    for cell in case.lesson.cells:
        shown, outputs = Shown(_MOST), []
        async for output in kernel.run(sources.get(cell.id, cell.source)):
            outputs.append(output)
            shown.add(output)
        result.problems += [f"{stage}: {each}" for each in _broken(cell, outputs)]
        for found in filter(None, map(verdict_of, shown.outputs)):  # as the terminal's reader does
            verdicts[found["check"]] = found
    result.seconds += time.monotonic() - begun
    result.verdicts[stage] = {name: str(each.get("status")) for name, each in verdicts.items()}
    return verdicts


def _broken(cell: Cell, outputs: list[Output]) -> list[str]:
    errors = [output for output in outputs if output.kind == "error"]
    if cell.expects_error:
        return [] if errors else [f"the cell {cell.id} was to end in an error, and did not"]
    return [f"the cell {cell.id} ends in an error:\n{each.text}" for each in errors]


async def _mutants(kernel: Kernel, case: Case, workspace: Workspace, result: Result) -> None:
    kept = workspace.path.with_name(f"{workspace.path.name}-solved")
    shutil.copytree(workspace.path, kept, symlinks=True)
    cells = {cell.id: cell for cell in case.lesson.cells}
    for place, mutant in enumerate(case.mutants):
        if mutant.check not in case.lesson.checks:
            continue
        name = f"mutant {place} of {mutant.check}"
        changed = [cell for cell in case.lesson.cells if cell.id in mutant.changes]
        problems = []
        for cell in changed:
            problems += _broken(cell, await kernel.outputs(mutant.changes[cell.id]))
        if mutant.tamper is not None:
            mutant.tamper(workspace)
        asking = case.lesson.check_cell(mutant.check)
        assert asking is not None, "a check has a cell"
        source = mutant.changes.get(asking.id, case.source(cells[asking.id]))
        verdict = next((o.check for o in await kernel.outputs(source) if o.check is not None), {})
        status, why = verdict.get("status"), str(verdict.get("why"))
        if status != "fail":
            result.problems.append(f"{name} says {status}: {why}" + "".join(problems))
        elif mutant.why not in why:
            result.problems.append(f"{name} fails, but not for {mutant.why!r}: {why}")
        result.verdicts[name] = {mutant.check: str(status)}
        _restore(workspace.path, kept)
        for cell in changed:  # the kernel's variables too; runs are there again
            await kernel.outputs(case.source(cell))
    shutil.rmtree(kept)


def _restore(folder: Path, kept: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)


def _notebook(case: Case, workspace: Workspace, result: Result, env: Mapping[str, str]) -> None:
    """The generated notebook, with the solution in its cells, as nbclient runs it."""
    import nbformat
    from nbclient import NotebookClient

    workspace.prepare([case.lesson])
    notebook = nbformat.read(workspace.notebook(case.lesson), as_version=4)
    for cell in notebook.cells:
        name = cell.metadata.get("ava", {}).get("id")
        if cell.cell_type == "code" and name in case.solution:
            cell.source = case.solution[name]
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(workspace.path)}},
    )
    client.execute(env={**os.environ, **env, **_import_path()})
    verdicts = dict.fromkeys(case.lesson.checks, "None")
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if MIME in output.get("data", {}):
                found = output["data"][MIME]
                verdicts[found["check"]] = found["status"]
    result.verdicts["notebook"] = verdicts
    if verdicts != result.verdicts["solved"]:
        result.problems.append(f"notebook: {verdicts}, in the terminal {result.verdicts['solved']}")


def _import_path() -> dict[str, str]:
    root = Path(__file__).resolve().parents[2]
    return {"PYTHONPATH": os.pathsep.join((str(root), str(root / "kernels")))}


def record(case: Case, result: Result) -> None:
    """Write down that a lesson of the course has passed, where that is asked for."""
    if os.environ.get("AVA_RECORD_RECEIPTS") != "1" or result.problems:
        return
    from workbench.lessons import validation
    from workbench.lessons.checking import device, versions

    validation.record(case.lesson, device=device(), seconds=result.seconds, versions=versions())
