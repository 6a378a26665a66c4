"""What a check may look at: the learner's runs and files, on disk, and nothing else.

**What `RunEvidence.verify` proves.** That the files of a run agree with each other, and that its
steps come out again when its config is trained from its seed. A run that was typed in, smoothed,
copied from another seed or config, cut short, stretched or altered in one place is refused, with
the reason.

**What it does not prove.** Who computed the losses: whoever trains the config with a loop of their
own that agrees with ours, and writes all files of a run directory consistently, has done the work,
and passes; so does a copy of somebody else's honest run of the same config. A run too large to be
replayed whole (see `workbench.training.replay`), or of another machine, could have a late loss
altered together with all that is computed from it. And whoever can write into the workspace can
write a verdict into ``.ava/replays.json``. Receipts are for learning, not for examinations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.lessons.evidence_run import RunEvidence
from workbench.runs.directory import RunDir, list_runs, valid_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.workspace import Workspace
    from workbench.plan import Plan

__all__ = ["RunEvidence", "Work"]


class Work:
    """What a learner has done for a lesson.

    Args:
        workspace: Where they work.
        lesson: The lesson, or its id.

    Attributes:
        opened: The runs that have been asked for.
        proofs: What has been verified, for the receipt.
        told: Called with a line before something that takes a while.
    """

    def __init__(
        self,
        workspace: Workspace,
        lesson: Lesson | str,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.told = told
        self.workspace = workspace
        self.lesson = None if isinstance(lesson, str) else lesson
        self.id = lesson if isinstance(lesson, str) else lesson.id
        self.opened: list[RunEvidence] = []
        self.proofs: dict[str, dict[str, Any]] = {}

    # ------------------------------------------------------------------ runs

    def run(self, name: str | None) -> RunEvidence | None:
        """The run of that name; None when there is none."""
        if not name or not valid_name(name):
            return None
        for each in self.opened:
            if each.name == name:
                return each
        run = RunDir(self.workspace.runs / name)
        if not run.meta_path.is_file():
            return None
        evidence = RunEvidence(run)
        self.opened.append(evidence)
        return evidence

    def runs(self, *names: str) -> list[RunEvidence]:
        """The runs of these names that are there; without names all runs, oldest first."""
        wanted = names or [run.name for run in reversed(list_runs(self.workspace.runs))]
        return [found for name in wanted if (found := self.run(name)) is not None]

    # ------------------------------------------------------------------ files

    @property
    def folder(self) -> Path:
        """Where the lesson's configs and files are."""
        return self.workspace.work(self.id)

    def path(self, name: str) -> Path | None:
        """A file of the lesson's folder; None when there is none, or it lies elsewhere."""
        path = self.folder / name
        inside = self.folder.resolve() in path.resolve().parents
        return path if inside and path.is_file() else None

    def text(self, name: str) -> str | None:
        """What a file of the lesson's folder holds."""
        path = self.path(name)
        return None if path is None else path.read_text(encoding="utf-8", errors="replace")

    def untouched(self, name: str) -> bool:
        """Whether a config is not there yet, or still as the lesson's cell has it."""
        text = self.text(name)
        if text is None:
            return True
        cells = self.lesson.cells if self.lesson is not None else ()
        given = next((cell.config_text for cell in cells if cell.config_name == name), None)
        return given is not None and _code(given) == _code(text)

    def config(self, name: str) -> Plan | None:
        """The plan that a config of the lesson's folder makes; None when it is not there.

        The options behind ``%%config name.yaml`` are part of it.

        Raises:
            ConfigError: It cannot be read.
        """
        from workbench.lessons.learn_config import options_of, plan_of

        path = self.path(name)
        if path is None:
            return None
        return plan_of(path, options_of(self.folder, name), folder=self.folder)


def _code(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
