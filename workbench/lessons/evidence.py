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

import json
import math
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from workbench.lessons import evidence_layers
from workbench.lessons.evidence_rows import read_rows
from workbench.lessons.outcome import Outcome, fail, unattempted
from workbench.runs.compare import flat
from workbench.runs.directory import RunDir, list_runs, valid_name
from workbench.runs.files import read_json
from workbench.runs.follow import Follower
from workbench.runs.status import verdict

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.lessons.evidence_rows import Rows
    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.workspace import Workspace
    from workbench.plan import Plan
    from workbench.runs.checkpoints import Checkpoint
    from workbench.runs.follow import Series
    from workbench.runs.status import Verdict

_ALIVE = ("queued", "starting", "running", "stalled", "stopping", "restarting")
_WARM_UP = 2  # steps whose time is not counted, as in workbench.runs.short


class RunEvidence:
    """One run, read from its directory when it is asked for; what was read once stays.

    Args:
        run: The run.
    """

    def __init__(self, run: RunDir) -> None:
        self.dir = run
        self.name = run.name

    def __repr__(self) -> str:
        return f"<run {self.name}: {self.state}, {len(self.steps)} steps>"

    # ------------------------------------------------------------------ what it is

    @cached_property
    def verdict(self) -> Verdict:
        """Its state, with reason and error."""
        return verdict(self.dir)

    @property
    def state(self) -> str:
        """``finished``, ``stopped``, ``failed``, ``running`` …; see `workbench.runs.status`."""
        return self.verdict.state

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.state in _ALIVE

    @property
    def finished(self) -> bool:
        """Whether it has come to its end, and its trainer has said so."""
        return self.state == "finished" and self.done is not None

    @property
    def error(self) -> dict[str, Any]:
        """Why it failed: what, where, why, fix; empty when it did not."""
        return self.verdict.error or {}

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What ``run.json`` says: recipe, command, layers."""
        return read_json(self.dir.meta_path)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its resolved config, as a tree."""
        tree = read_json(self.dir.config_path).get("config")
        return tree if isinstance(tree, dict) else {}

    @cached_property
    def values(self) -> dict[str, Any]:
        """Its config by dotted path."""
        return flat(self.config)

    @cached_property
    def origins(self) -> dict[str, Any]:
        """Who set each value that a layer set."""
        found = read_json(self.dir.config_path).get("origins")
        return found if isinstance(found, dict) else {}

    def value(self, path: str) -> Any:
        """A value of its config, as ``training.batch_size``; a section is a mapping."""
        found: Any = self.config
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, device, threads and number format, as the trainer wrote them."""
        return read_json(self.dir.environment_path)

    @cached_property
    def attempts(self) -> list[int]:
        """The numbers of its attempts; more than one when it was resumed."""
        return self.dir.attempts()

    # ------------------------------------------------------------------ what happened

    @cached_property
    def _follower(self) -> Follower:
        follower = Follower(self.dir, cached=False)
        while follower.poll():
            pass
        return follower

    @property
    def events(self) -> list[dict[str, Any]]:
        """What supervisor and trainer reported, in order."""
        return self._follower.events

    def event(self, name: str) -> dict[str, Any] | None:
        """The newest event of that name."""
        return next((each for each in reversed(self.events) if each.get("event") == name), None)

    @property
    def ready(self) -> dict[str, Any]:
        """What the trainer said when it was ready; empty before."""
        return self._follower.ready or {}

    @cached_property
    def done(self) -> dict[str, Any] | None:
        """The end event of the newest attempt."""
        newest = self.attempts[-1] if self.attempts else 0
        event = self.event("done")
        return event if event is not None and event.get("attempt") == newest else None

    @property
    def summary(self) -> dict[str, Any]:
        """What the end event says in figures; empty without one."""
        found = (self.done or {}).get("summary")
        return found if isinstance(found, dict) else {}

    @cached_property
    def exit(self) -> dict[str, Any]:
        """How the newest attempt ended, as its supervisor saw it."""
        return (
            read_json(self.dir.attempt_dir(self.attempts[-1]) / "exit.json")
            if self.attempts
            else {}
        )

    @property
    def config_changed(self) -> bool:
        """Whether its config was changed when it was resumed."""
        return self.event("config_changed") is not None

    @property
    def skipped(self) -> bool:
        """Whether it may leave out a step that is not finite and go on."""
        health = self.value("training.gradient_health")
        return bool(isinstance(health, dict) and health.get("enabled"))

    @cached_property
    def rows(self) -> Rows:
        """Its rows with a loss, read strictly."""
        return read_rows(self.dir)

    @cached_property
    def steps(self) -> list[int]:
        """The steps that have a loss."""
        return [row["step"] for row in self.rows.rows]

    @cached_property
    def losses(self) -> list[float]:
        """The loss of each of these steps, in nats per token."""
        return [float(row["loss"]) for row in self.rows.rows]

    @property
    def first_loss(self) -> float | None:
        """The loss of the first step; None before it."""
        return self.losses[0] if self.losses else None

    @property
    def last_loss(self) -> float | None:
        """The loss of the last step; one step's loss is noisy, see `final_loss`."""
        return self.losses[-1] if self.losses else None

    @property
    def final_loss(self) -> float | None:
        """The mean loss of the last tenth of the steps."""
        count = max(1, len(self.losses) // 10)
        return sum(self.losses[-count:]) / count if self.losses else None

    def series(self, name: str) -> Series:
        """A metric over the steps, with ``.steps`` and ``.values``; empty when there is none."""
        return self._follower.series(name)

    @property
    def val_loss(self) -> float | None:
        """The newest loss of held-out text."""
        return self._follower.last("val_loss")

    @cached_property
    def prediction(self) -> dict[str, Any]:
        """What was predicted at the launch (``estimate.json``)."""
        return read_json(self.dir.estimate_path)

    @cached_property
    def measured(self) -> dict[str, float]:
        """What it took: ``step_seconds`` and ``tokens_per_second`` (medians after the warm-up),
        ``allocated``, ``reserved`` and ``host`` (largest bytes). What nobody measured is left out.
        """  # noqa: D205 - one sentence over two lines
        found: dict[str, float] = {}
        for name, metric in (("step_seconds", "step_s"), ("tokens_per_second", "tokens_per_s")):
            values = list(self.series(metric).values)
            if values:
                found[name] = median(values[_WARM_UP:] or values)
        for name in ("allocated", "reserved", "host"):
            values = list(self.series(f"memory_{name}").values)
            if values:
                found[name] = max(values)
        return found

    def checkpoints(self, *, hashes: bool = True) -> list[Checkpoint]:
        """Its checkpoints, newest first, each with its ``problem`` or None."""
        from workbench.runs.checkpoints import list_checkpoints

        return list_checkpoints(self.dir, hashes=hashes)

    @property
    def starts_from_nothing(self) -> bool:
        """Whether its first weights are random."""
        given = ("model.pretrained_path", "checkpointing.resume_from_checkpoint")
        return not any(self.value(path) for path in given)

    # ------------------------------------------------------------------ whether it is true

    def verify(
        self, work: Work | None = None, *, ending: str = "finished", falls: bool = True
    ) -> Outcome | None:
        """Whether the run is what it says it is; see the module for what that means.

        Args:
            work: The work it is part of: there verdicts of replays are kept, and the other runs
                that the check has opened are replayed in the same process.
            ending: The state that it should be in: ``finished``, or ``failed`` or ``stopped`` in a
                lesson about such ends.
            falls: Whether the loss has to have fallen.

        Returns:
            None when all holds; else ``fail`` with the first reason, or ``unattempted`` while the
            run is still under way.
        """
        if self.alive and ending not in _ALIVE:
            return unattempted(
                f"{self.name} is {self.state}: step {self.verdict.step} of "
                f"{self.verdict.max_steps}; wait for its end and check again"
            )
        for layer, why in evidence_layers.broken(self, ending):
            return self._refused(layer, why)
        if why := self._replayed(work):
            return self._refused("replay", why, *self._advice())
        if falls and (why := evidence_layers.fell(self)):
            return self._refused("fell", why)
        if work is not None:
            work.proofs[self.name] = self.proof()
        return None

    def proof(self) -> dict[str, Any]:
        """What goes into a receipt: a hash of the content, and the figures that matter."""
        from workbench.lessons.replaying import fingerprint

        return {
            "content": fingerprint(self.dir),
            "state": self.state,
            "steps": len(self.steps),
            "first_loss": self.first_loss,
            "last_loss": self.last_loss,
            "seconds": self.seconds,
        }

    @property
    def seconds(self) -> float | None:
        """Seconds from the launch to the end; None while it runs."""
        created, ended = self.meta.get("created"), self.exit.get("t")
        if isinstance(created, int | float) and isinstance(ended, int | float):
            return max(0.0, ended - created)
        return None

    def _replayed(self, work: Work | None) -> str:
        from workbench.lessons.replaying import replayed

        if not self.steps:
            return "it has no steps that could be replayed"
        runs = {self.dir: self.rows.rows}
        if work is not None:
            for other in work.opened:
                if other.dir.path != self.dir.path and other.replayable:
                    runs[other.dir] = other.rows.rows
        found = replayed(runs, None if work is None else work.workspace.path / ".ava")
        return found[self.dir].why

    @property
    def replayable(self) -> bool:
        """Whether a replay of it would make sense at all."""
        ended = not self.alive and bool(self.steps)
        return ended and not next(evidence_layers.broken(self, self.state), None)

    def _advice(self) -> tuple[str, ...]:
        """Why an honest run may not come out again."""
        from workbench import __version__

        made = self.meta.get("workbench_version")
        if made != __version__:
            return (f"it was made by version {made}, and this is {__version__}: train it again",)
        return ("train it again with learn.launch(…, again=True), and leave its folder as it is",)

    def _refused(self, layer: str, why: str, *hints: str) -> Outcome:
        return fail(f"the run {self.name}: {why}", *hints, run=self.name, layer=layer)


class Work:
    """What a learner has done for a lesson.

    Args:
        workspace: Where they work.
        lesson: The lesson, or its id.

    Attributes:
        opened: The runs that have been asked for.
        proofs: What has been verified, for the receipt.
    """

    def __init__(self, workspace: Workspace, lesson: Lesson | str) -> None:
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
        return None if path is None else plan_of(path, options_of(self.folder, name))

    def results(self, name: str) -> dict[str, Any]:
        """What a JSON file of the lesson's folder holds; empty when there is none."""
        try:
            data = json.loads(self.text(name) or "{}")
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}


def _code(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def is_number(value: object) -> bool:
    """Whether a value from a file is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
