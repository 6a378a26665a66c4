"""What `ava-tui` needs of a learner's workspace: edits and outputs, verdicts, hints, the kernel.

Edits and outputs are those of the learner's notebook (``NN-id.ipynb``), so what is done here is
there in JupyterLab. A notebook is JSON, and is read as such: nbformat takes 1.6 s of CPU to import.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.kernel import Kernel, Output
    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.progress import Progress
    from workbench.lessons.workspace import Workspace

CHECK = "application/vnd.ava.check+json"
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07")
_ARROW = re.compile(r"-+> \d")  # where IPython points at a line

Kept = dict[str, tuple[str, list[dict[str, Any]]]]
"""By the id of a cell: its code and its outputs."""


def folder(named: str | None = None) -> Path:
    """The learner's workspace: the named one, ``$AVA_WORKSPACE``, or the usual one."""
    from workbench.lessons.workspace import Workspace

    return Path(named).expanduser().absolute() if named else Workspace.usual().absolute()


def course(place: Path) -> list[Progress]:
    """All lessons with the learner's progress.

    Raises:
        WorkbenchError: A lesson or the receipts cannot be read.
    """
    from workbench.lessons import course as lessons
    from workbench.lessons.progress import of
    from workbench.lessons.workspace import Workspace

    return of(Workspace(place), lessons())


def validated(course: list[Progress]) -> dict[str, str]:
    """By lesson, the devices on which its solution is known to pass every check."""
    from workbench.lessons.validation import validated_on

    return {each.lesson.id: ", ".join(validated_on(each.lesson)) for each in course}


def standing(place: Path, lesson: Lesson) -> dict[str, str]:
    """The status of every check that was ever made, by its cell: pass, fail, stale, error."""
    from workbench.lessons.progress import of
    from workbench.lessons.workspace import Workspace

    found = of(Workspace(place), [lesson])[0].checks
    cells = {check: cell.id for check in found if (cell := lesson.check_cell(check)) is not None}
    return {cells[check]: status for check, status in found.items()
            if status != "unattempted" and check in cells}  # fmt: skip


def hints(place: Path, lesson: str, check: str, *, more: bool) -> tuple[list[str], int]:
    """The hints that have been asked for, one more on request, and how many are left.

    Raises:
        WorkbenchError: The checks of the lesson cannot be read, or the disk is full.
    """
    from workbench.lessons import hints as asked
    from workbench.lessons.checking import checks_of
    from workbench.lessons.workspace import Workspace

    known = checks_of(lesson).get(check)
    every = list(known.hints) if known is not None else []
    space = Workspace(place)
    shown = (asked.reveal if more else _revealed)(space, lesson, check, len(every))
    return every[:shown], len(every) - min(shown, len(every))


def _revealed(space: Workspace, lesson: str, check: str, of: int) -> int:
    from workbench.lessons.hints import revealed

    return min(of, revealed(space, lesson, check))


# ---------------------------------------------------------------- the notebook


def load(place: Path, lesson: Lesson) -> Kept:
    """What the learner has in the notebook; nothing where there is none.

    Raises:
        WorkbenchError: It is there and is no notebook.
    """
    path = place / lesson.notebook_name
    if not path.is_file():
        return {}
    wanted = {cell.id for cell in lesson.cells}
    return {
        name: (_text(cell.get("source", "")), list(cell.get("outputs", [])))
        for name, cell in _cells(_read(path))
        if name in wanted
    }


def save(place: Path, lesson: Lesson, kept: Kept) -> None:
    """Put code and outputs into the cells of the notebook; everything else in it stays.

    Raises:
        WorkbenchError: It cannot be read or written.
    """
    from workbench.lessons.workspace import Workspace

    path = place / lesson.notebook_name
    space = Workspace.open(place)
    if not path.is_file():
        space.prepare([lesson])
    with space.lock():
        notebook = _read(path)
        changed = False
        for name, cell in _cells(notebook):
            if name in kept:
                source, outputs = kept[name]
                new = {**cell, "source": source.splitlines(keepends=True), "outputs": outputs}
                changed |= new != {
                    **cell,
                    "source": _text(cell["source"]).splitlines(keepends=True),
                }
                cell.update(new)
        if changed:
            from workbench.runs.files import atomic_write_text

            text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
            atomic_write_text(path, text)


def _read(path: Path) -> dict[str, Any]:
    from workbench.errors import WorkbenchError
    from workbench.lessons.notebooks_reading import read

    try:
        return read(path)
    except (OSError, ValueError) as error:
        raise WorkbenchError(
            "the learner's notebook cannot be read",
            where=str(path),
            why=str(error),
            fix="move it away; a new one is made with the next edit",
        ) from None


def _cells(notebook: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The code cells of a notebook with their ids, which are those of the lesson."""
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code":
            yield str(cell.get("id", "")), cell


def _text(source: object) -> str:
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


# ---------------------------------------------------------------- outputs


def new_kernel(place: Path) -> Kernel:
    """A kernel in the workspace; its process starts with the first cell."""
    import jupyter_client.manager  # noqa: F401  (a tenth of a second, here in a thread)

    from workbench.lessons.kernel import Kernel
    from workbench.lessons.workspace import VARIABLE

    place.mkdir(parents=True, exist_ok=True)
    return Kernel(place, env={VARIABLE: str(place)})


class Shown:
    """What a cell shows, in the form of a notebook, as it comes.

    Attributes:
        outputs: The outputs.
    """

    def __init__(self, most: int) -> None:
        self.outputs: list[dict[str, Any]] = []
        self._most = most
        self._places: dict[str, int] = {}
        self._clear = False

    def add(self, output: Output) -> None:
        """Add one; text of the same stream is joined, an update replaces what it updates."""
        if output.kind == "clear":
            self._clear = True  # what is there goes when something comes
            return
        if self._clear:
            self.outputs.clear()
            self._places.clear()
            self._clear = False
        last = self.outputs[-1] if self.outputs else {}
        if output.kind == "stream" and last.get("name") == output.name:
            last["text"] = (last["text"] + output.text)[-self._most :]
        elif output.kind == "stream":
            text = output.text[-self._most :]
            self.outputs.append({"output_type": "stream", "name": output.name, "text": text})
        elif output.kind == "error":
            lines = output.text.splitlines()
            evalue = lines[-1].partition(": ")[2] if lines else ""
            self.outputs.append(
                {
                    "output_type": "error",
                    "ename": output.name,
                    "evalue": evalue,
                    "traceback": lines,
                }
            )
        else:
            made = {"output_type": "display_data", "data": dict(output.data), "metadata": {}}
            place = self._places.get(output.display) if output.kind == "update" else None
            if place is not None:
                self.outputs[place] = made
            else:
                if output.display:
                    self._places[output.display] = len(self.outputs)
                self.outputs.append(made)


def shown(output: dict[str, Any]) -> str:
    """An output as plain text."""
    if output["output_type"] == "stream":
        text = _text(output.get("text", ""))
    elif output["output_type"] == "error":
        text = _error(output)
    else:
        text = _text(output.get("data", {}).get("text/plain", ""))
    return _ANSI.sub("", text).rstrip("\n")


def _error(output: dict[str, Any]) -> str:
    """Of a traceback, the line of the cell and what went wrong; the rest is for JupyterLab."""
    lines = [_ANSI.sub("", str(line)) for part in output.get("traceback", [])
             for line in str(part).splitlines()]  # fmt: skip
    at = next((line.strip() for line in lines if _ARROW.match(line)), "")
    # Without an arrow it is a message of ours, which has no traceback and is told whole.
    words = [line for line in (lines[-1:] if at else lines) if line.strip()]
    told = f"{output.get('ename', 'error')}: {output.get('evalue', '')}".rstrip(": ")
    return "\n".join([*([at] if at else []), *(words or [told])])


def verdict_of(output: dict[str, Any]) -> dict[str, Any]:
    """The verdict of a check in an output; empty where there is none."""
    found = output.get("data", {}).get(CHECK) if isinstance(output.get("data"), dict) else None
    return dict(found) if isinstance(found, dict) else {}
