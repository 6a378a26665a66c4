"""When checkpoints are written, and by whom: the training goes on while a thread writes.

The tensors are copied to host memory first, which is what the training waits for. At most one copy
exists: the next save waits for the one before. What went wrong is told as soon as it is known, and
the next save tries again; only the last one must succeed.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

from workbench.errors import CheckpointError
from workbench.training.adapter import export_adapter
from workbench.training.progress import rng_state

if TYPE_CHECKING:
    from workbench.training.checkpoint import Tensors
    from workbench.training.checkpoint_tiers import Tier, Tiers
    from workbench.training.report import Reporter
    from workbench.training.session import Session


class Saver:
    """Writes checkpoints in a thread, one at a time. For rank 0 alone.

    Args:
        tiers: Where they go.
        report: Who tells about them.
        asynchronous: Whether the training goes on meanwhile.
        start: The step that the run goes on from, which is on disk.
    """

    def __init__(self, tiers: Tiers, report: Reporter, *, asynchronous: bool, start: int) -> None:
        self.tiers = tiers
        self.asynchronous = asynchronous
        self.lasting_step = start
        self._report = report
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def begin(
        self,
        step: int,
        tensors: Tensors,
        state: dict[str, Any],
        score: float | None,
        tiers: list[Tier],
    ) -> None:
        """Copy what is to be saved, and write it while the training goes on."""
        self.wait()
        if not self.asynchronous:
            self._write(step, tensors, state, score, tiers)
            return
        copy = {
            name: {key: value.detach().to("cpu", copy=True) for key, value in values.items()}
            for name, values in tensors.items()
        }
        self._thread = threading.Thread(
            target=self._write_apart, args=(step, copy, state, score, tiers), name="checkpoint"
        )
        self._thread.start()

    def wait(self) -> int:
        """Wait for what is being written. Returns the newest step that is in the run's directory.

        Raises:
            BaseException: What went wrong in the thread and is no fault of the disk.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return self.lasting_step

    def save_now(
        self, step: int, tensors: Tensors, state: dict[str, Any], score: float | None
    ) -> None:
        """Write the last checkpoint of an attempt.

        Raises:
            CheckpointError: It could not be written to the run's own directory.
        """
        self.wait()
        for tier in self.tiers.lasting():
            try:
                self._write_to(tier, step, tensors, state, score)
            except CheckpointError as error:
                if tier is self.tiers.run:
                    raise
                self._report.save_failed(step, error)

    def _write_apart(self, *what: Any) -> None:
        try:
            self._write(*what)
        except BaseException as error:  # noqa: BLE001 - told by the next wait(), in the main thread
            self._failure = error

    def _write(
        self,
        step: int,
        tensors: Tensors,
        state: dict[str, Any],
        score: float | None,
        tiers: list[Tier],
    ) -> None:
        for tier in tiers:
            try:
                self._write_to(tier, step, tensors, state, score)
            except CheckpointError as error:
                self._report.save_failed(step, error)

    def _write_to(
        self, tier: Tier, step: int, tensors: Tensors, state: dict[str, Any], score: float | None
    ) -> None:
        saved = tier.checkpoints.save(step, tensors, state, score=score)
        if tier is self.tiers.run:
            self.lasting_step = step
        self._report.saved(step, saved, tier.name)


def save_when_due(session: Session) -> None:
    """Begin the checkpoints that are due after this step. All processes take part."""
    step, training = session.progress.step, session.config.training
    tiers = session.tiers.due(step)
    best = training.load_best_model_at_end and session.reactions.stopping.best_step == step
    if best or (training.save_strategy == "epoch" and session.epoch_ends(step)):
        tiers = list(dict.fromkeys([*tiers, session.tiers.run]))
    if tiers:
        tensors, state = contents(session)
        if session.engine.world.leads:
            session.saver.begin(step, tensors, state, score(session), tiers)


def save_last(session: Session) -> None:
    """Wait for what is being written, and make sure that the last step is on disk.

    Raises:
        CheckpointError: It is not, and cannot be.
    """
    world, step = session.engine.world, session.progress.step
    saved = world.from_leader(session.saver.wait() if world.leads else None)
    if saved < step:
        error: CheckpointError | None = None
        tensors, state = contents(session)
        if world.leads:
            try:
                session.saver.save_now(step, tensors, state, score(session))
            except CheckpointError as problem:
                error = problem
        error = world.from_leader(error)
        if error is not None:
            raise error
    export_adapter(session)
    if world.leads:
        session.tiers.leave_memory()


def load_best(session: Session) -> None:
    """Put the weights of the best evaluation into the model. All processes take part.

    Raises:
        CheckpointError: They are no longer on disk.
    """
    world, step = session.engine.world, session.reactions.stopping.best_step
    loaded = session.tiers.run.checkpoints.load_step(step or 0) if world.leads else None
    if world.from_leader(loaded is None if world.leads else None):
        raise CheckpointError(
            f"the checkpoint of the best evaluation, of step {step}, is no longer there",
            where=str(session.run.checkpoints_dir),
            why="it was deleted or damaged",
            fix="the last checkpoint is whole: resume with "
            "--training.load_best_model_at_end false to end with it",
        )
    tensors = loaded.tensors if loaded is not None else {}
    if session.average is not None:
        session.average.load_state(tensors)
    session.engine.load_state({name: tensors[name] for name in tensors.keys() & {"model"}})


def contents(session: Session) -> tuple[Tensors, dict[str, Any]]:
    """What a checkpoint holds: on rank 0 all of it, on the others empty sets."""
    world = session.engine.world
    tensors = session.engine.state()
    if not session.config.checkpointing.save_optimizer_states:
        del tensors["optimizer"]
    if session.average is not None:
        tensors["ema"] = session.average.state()
    state = {
        "average": session.average is not None,
        "progress": session.progress.to_dict(),
        "reactions": session.reactions.state(),
        "rng": world.each(rng_state(session.engine.device)),
        "data": session.dataset.source.state(),
        "data_fingerprint": session.dataset.fingerprint,
        "frozen": session.frozen,
    }
    return tensors, state


def score(session: Session) -> float | None:
    """How good the model is by ``training.metric_for_best_model``; None unless just evaluated."""
    progress = session.progress
    value = progress.val_loss
    if progress.evaluated_at != progress.step or value is None or not math.isfinite(value):
        return None
    if session.config.training.metric_for_best_model == "perplexity":
        return math.exp(min(value, 700.0))  # e^709 is the largest a float can hold
    return value
