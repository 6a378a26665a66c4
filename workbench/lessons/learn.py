"""What a cell of a lesson holds: ``learn = lesson("first-launch")``, and everything it can do.

Everything returns an object that shows itself, as text in a terminal and as HTML in a notebook, and
everything works in a plain Python script too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError
from workbench.lessons.hints import reveal, revealed
from workbench.lessons.learn_config import options_of, plan_of
from workbench.lessons.learn_screen import Screen, shell

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from workbench.lessons.learn_estimate import Estimated
    from workbench.lessons.learn_run import Comparison, Run
    from workbench.lessons.learn_shell import Ran
    from workbench.lessons.learn_show import Shown
    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.outcome import Outcome
    from workbench.lessons.workspace import Workspace
    from workbench.plan import Plan


def lesson(name: str | Path, workspace: Path | str | None = None) -> Learn:
    """Open a lesson.

    Args:
        name: Its id, or the path of somebody's own lesson.
        workspace: Where runs and files go; by default ``$AVA_WORKSPACE``, else the current folder.

    Raises:
        LessonError: There is no such lesson, or it cannot be read.
    """
    from workbench.lessons.catalogue import find
    from workbench.lessons.workspace import Workspace

    learn = Learn(find(str(name)), Workspace.open(workspace))
    if (ipython := shell()) is not None:
        from workbench.lessons.learn_magic import register

        register(ipython, learn)
    return learn


class Learn:
    """One lesson in one workspace.

    Args:
        lesson: The lesson.
        workspace: Where its runs and files are.
        checks: The module of its checks, if they are no shipped ones.

    Attributes:
        lesson: The lesson.
        workspace: Where its runs and files are.
    """

    def __init__(
        self, lesson: Lesson, workspace: Workspace, checks: ModuleType | None = None
    ) -> None:
        self.lesson = lesson
        self.workspace = workspace
        self._checks = checks

    def __repr__(self) -> str:
        return f"lesson {self.lesson.id}: {self.lesson.title}; files in {self.workspace.path}"

    @property
    def folder(self) -> Path:
        """Where the lesson's configs and files are."""
        return self.workspace.work(self.lesson.id)

    # ------------------------------------------------------------------ plans

    def plan(self, *arguments: str, config: str | None = None, **keys: Any) -> Plan:
        """The plan of a recipe, a config of this lesson, and keys over it; see `launch`.

        Raises:
            ConfigError: A layer cannot be read.
            UsageError: A recipe, a file or a key does not exist.
        """
        path = self._config(config) if config is not None else None
        given = options_of(self.folder, config) if config is not None else []
        return plan_of(path, [*given, *arguments], keys, folder=self.folder)

    def _config(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise UsageError(
                f"there is no config {name} in this lesson yet",
                where=str(path),
                fix=f"run the cell that begins with %%config {name}",
            )
        return path

    def config(self, line: str, text: str) -> Shown:
        """What a ``%%config`` cell does, for a script: write a config, load it, show findings."""
        from workbench.lessons.learn_magic import show_config

        return show_config(self, line, text)

    def estimate(self, *arguments: str, config: str | None = None, **keys: Any) -> Estimated:
        """What a plan takes: memory by category, speed, time, money. Arguments as for `launch`.

        Raises:
            WorkbenchError: The plan has errors.
        """
        from workbench.lessons.learn_estimate import Estimated

        return Estimated(self.plan(*arguments, config=config, **keys))

    # ------------------------------------------------------------------ runs

    def launch(
        self,
        name: str,
        *arguments: str,
        config: str | None = None,
        wait: bool = True,
        again: bool = False,
        **keys: Any,
    ) -> Run:
        """Train, or show the run that is there already with this config.

        With another config the run that is there is kept under another name.

        Args:
            name: Name of the run, among those of the workspace.
            *arguments: As for `ava train`: a recipe, ``--KEY``, ``VALUE``. Without a recipe and a
                config it is the recipe ``lesson``.
            config: A config that a ``%%config`` cell of this lesson has written, over the recipe.
            wait: Whether to wait for its end. An interrupt stops the waiting, not the run.
            again: Train again what is there already; it is kept under another name.
            **keys: Keys of the schema by their last name, or by full path in ``**{"a.b": value}``.

        Raises:
            WorkbenchError: The plan has errors, or the run cannot be started.
        """
        from workbench.lessons import learn_launch

        keys = {"run.runs_dir": str(self.workspace.runs), **keys}
        plan = self.plan(*arguments, config=config, **keys)
        run = learn_launch.obtain(self.workspace, name, plan, again=again)
        return learn_launch.wait(run, Screen()) if wait and run.alive else run

    def run(self, name: str) -> Run:
        """A run of the workspace as it is now.

        Raises:
            RunError: There is none of that name.
        """
        from workbench.lessons.learn_run import Run
        from workbench.runs.directory import open_run

        return Run(open_run(self.workspace.runs, name))

    def wait(self, name: str, *, step: int | None = None) -> Run:
        """Wait until a run has ended, or has done so many steps.

        Raises:
            RunError: There is none of that name.
        """
        from workbench.lessons import learn_launch

        until = "end" if step is None else "step"
        return learn_launch.wait(self.run(name), Screen(), until=until, steps=step or 0)

    def stop(self, name: str, *, now: bool = False) -> Run:
        """Stop a run: it finishes its step and saves; with ``now`` it is ended at once.

        Raises:
            RunError: There is none of that name, or it cannot be asked.
        """
        from workbench.runs.control import stop, wait_for_end

        run = self.run(name)
        stop(run.dir, now=now)
        wait_for_end(run.dir, 60.0)
        return run.refreshed()

    def resume(self, name: str, *, wait: bool = True, **keys: Any) -> Run:
        """Go on with a run from its newest good checkpoint, perhaps with changed keys.

        Raises:
            WorkbenchError: It cannot go on, or a key may not change on the way.
        """
        from workbench.config.render import inline
        from workbench.lessons import learn_launch
        from workbench.resuming import resume

        run = self.run(name)
        text = {key: v if isinstance(v, str) else inline(v) for key, v in keys.items()}
        resume(run.dir, text)
        run = run.refreshed()
        return learn_launch.wait(run, Screen()) if wait else run

    def runs(self, *names: str) -> Comparison:
        """Runs side by side: figures, what differs in their configs, and their curves."""
        from workbench.lessons.evidence import Work
        from workbench.lessons.learn_run import Comparison

        found = Work(self.workspace, self.lesson).runs(*names)
        there = {run.name for run in found}
        return Comparison(found, [name for name in names if name not in there])

    # ------------------------------------------------------------------ commands and faults

    def shell(self, command: str) -> Ran:
        """Run a command in the workspace, such as ``ava runs``, and print what it prints.

        Raises:
            UsageError: There is no such program.
        """
        from workbench.lessons.learn_shell import run

        return run(command, self.workspace.path)

    def break_(self, fault: str) -> Any:
        """Produce a fault in a scratch run: what one sees, and how it is repaired.

        Raises:
            WorkbenchError: There is no such fault, or it cannot be produced here.
        """
        from workbench.lessons import faults

        folder = faults.fresh(self.folder / "faults" / fault)
        screen = Screen()
        screen.say(f"breaking on purpose: {fault} …")
        try:
            return faults.produce(fault, folder, begins=screen.say)
        finally:
            screen.clear()

    # ------------------------------------------------------------------ checks

    def check(self, check: str, **given: Any) -> Outcome:
        """Judge what has been done so far.

        Args:
            check: The check's id.
            **given: Names of runs and files, or an answer, as the check asks.

        Raises:
            UsageError: The lesson has no such check.
        """
        from workbench.lessons.checking import run_check

        screen = Screen()
        try:
            return run_check(
                self.workspace, self.lesson, check, given, module=self._checks, told=screen.say
            )
        finally:
            screen.clear()

    def hint(self, check: str) -> Shown:
        """Another hint for a check, each time one more.

        Raises:
            UsageError: The lesson has no such check.
        """
        from workbench.lessons.checking import named
        from workbench.lessons.learn_show import Shown

        hints = named(self.lesson, check, self._checks).hints
        before = revealed(self.workspace, self.lesson.id, check)
        shown = reveal(self.workspace, self.lesson.id, check, len(hints)) if hints else 0
        lines = [f"hint {place} of {len(hints)}: {hint}"
                 for place, hint in enumerate(hints[:shown], start=1)]  # fmt: skip
        if not hints:
            lines = ["there are no hints for this check; its result says what is missing"]
        elif before >= len(hints):
            lines.append("these are all of them")
        return Shown("\n".join(lines), _paragraphs(lines))


def _paragraphs(lines: list[str]) -> str:
    import html

    return "".join(f"<div>{html.escape(line)}</div>" for line in lines)
