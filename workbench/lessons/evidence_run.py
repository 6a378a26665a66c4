"""One run as evidence: everything that its directory says, read when it is asked for."""

from __future__ import annotations

from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from workbench.lessons.evidence_rows import read_rows
from workbench.runs.compare import flat
from workbench.runs.files import read_json
from workbench.runs.follow import Follower
from workbench.runs.status import verdict

if TYPE_CHECKING:
    from workbench.lessons.evidence import Work
    from workbench.lessons.evidence_rows import Rows
    from workbench.lessons.outcome import Outcome
    from workbench.runs.checkpoints import Checkpoint
    from workbench.runs.directory import RunDir
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
    def skipped(self) -> set[int]:
        """The steps that it left out because something was not finite, as its events say."""
        skipped = [event for event in self.events if event.get("event") == "step_skipped"]
        return {event["step"] for event in skipped if isinstance(event.get("step"), int)}

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

    @property
    def seconds(self) -> float | None:
        """Seconds from the launch to the end; None while it runs."""
        created, ended = self.meta.get("created"), self.exit.get("t")
        if isinstance(created, int | float) and isinstance(ended, int | float):
            return max(0.0, ended - created)
        return None

    # ------------------------------------------------------------------ whether it is true

    def verify(
        self, work: Work | None = None, *, ending: str = "finished", falls: bool = True
    ) -> Outcome | None:
        """Whether the run is what it says it is; `workbench.lessons.evidence` says what that means.

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
        from workbench.lessons.evidence_verify import verify

        return verify(self, work, ending=ending, falls=falls)

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
